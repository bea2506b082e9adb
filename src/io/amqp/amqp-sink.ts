import type { ChannelModel, ConfirmChannel } from 'amqplib'
import type { PublishedEvent } from '../../domain/published-event.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import { hiderOf, maskUrl } from '../../lib/mask-url.ts'
import { TimeLimit, unlessAborted } from '../../lib/patience.ts'
import { escaped } from '../../lib/printable.ts'
import type { EventSink } from '../../services/publishing/event-publisher.ts'

/** A broker has this long to take a connection, with its name and password, and to declare the exchange. */
const CONNECT_MS = 10_000
const MAX_SHOWN = 200
/** `signal` is one of Node's socket, to which the library hands all of them. */
type SocketOptions = NonNullable<Parameters<typeof import('amqplib').connect>[1]>

/** Why a broker cannot be used. */
export type AmqpFault = 'no-broker' | 'not-confirmed'

/** Settings of the broker. */
export interface AmqpOptions {
  /** `-metadataQueueUri`. */
  readonly url: string
  /** `-metadataAmqpExchange`. */
  readonly exchange: string
  /** `-metadataPublishTimeout`: how long the broker may take to confirm what it was sent. */
  readonly timeoutMs: number
}

interface Connected {
  readonly model: ChannelModel
  readonly channel: ConfirmChannel
  /** Aborted to end the connection at once. */
  readonly cut: AbortController
}

/** Publishes events to a topic exchange of an AMQP broker, such as RabbitMQ (gateway.md §13). */
export class AmqpSink implements EventSink {
  readonly name: string
  readonly #options: AmqpOptions
  readonly #clock: Clock
  readonly #hide: (text: string) => string
  #connected: Connected | null = null

  constructor(options: AmqpOptions, needs: { readonly clock: Clock }) {
    this.#options = options
    this.#clock = needs.clock
    this.#hide = hiderOf(options.url)
    this.name = maskUrl(options.url)
  }

  /** Throws NodeError `no-broker`, with what to change. */
  async open(signal: AbortSignal): Promise<void> {
    try {
      await this.#connect(signal)
    } catch (error) {
      signal.throwIfAborted()
      throw new NodeError<AmqpFault>(
        'no-broker',
        `no events can be published to the AMQP broker of -metadataQueueUri ${this.name}: ${messageOf(error)}; correct -metadataQueueUri, or leave it out`,
      )
    }
  }

  async send(events: readonly PublishedEvent[], signal: AbortSignal): Promise<void> {
    const { exchange, timeoutMs } = this.#options
    const { channel, cut } = this.#connected ?? (await this.#connect(signal))
    const abort = () => cut.abort()
    signal.addEventListener('abort', abort, { once: true })
    try {
      for (const { body, key } of events) {
        channel.publish(exchange, key, Buffer.from(body), {
          ...{ contentType: 'application/json', deliveryMode: 1, priority: 1 },
        })
      }
      await this.#within(timeoutMs, cut, channel.waitForConfirms(), 'the broker confirms no events')
    } catch (error) {
      this.#leave()
      throw this.#shown(error)
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async close(): Promise<void> {
    const { model, cut } = this.#connected ?? {}
    this.#connected = null
    if (!model || !cut) return
    await this.#within(this.#options.timeoutMs, cut, model.close(), 'the broker is slow').catch(() => {})
    cut.abort()
  }

  async #connect(signal: AbortSignal): Promise<Connected> {
    const cut = new AbortController()
    const abort = () => cut.abort()
    signal.addEventListener('abort', abort, { once: true })
    try {
      const connecting = this.#declare(cut)
      // One that is late is ended by the signal.
      connecting.catch(() => {})
      return await this.#within(CONNECT_MS, cut, connecting, 'the broker does not answer')
    } catch (error) {
      cut.abort()
      throw this.#shown(error)
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async #declare(cut: AbortController): Promise<Connected> {
    const { exchange, url } = this.#options
    // Loaded only where it is used.
    const { connect } = await import('./amqp-library.ts')
    const model = await connect(url, { noDelay: true, signal: cut.signal } as SocketOptions)
    // Told by whatever waits for the connection.
    model.on('error', () => {})
    const channel = await model.createConfirmChannel()
    channel.on('error', () => {})
    await channel.assertExchange(exchange, 'topic', { durable: true, autoDelete: false, internal: false })
    const connected = { model, channel, cut }
    const lost = () => {
      if (this.#connected === connected) this.#connected = null
    }
    model.on('close', lost)
    channel.on('close', lost)
    this.#connected = connected
    return connected
  }

  #leave(): void {
    this.#connected?.cut.abort()
    this.#connected = null
  }

  /** Waits for the broker, and no longer. */
  async #within<T>(ms: number, cut: AbortController, work: Promise<T>, what: string): Promise<T> {
    using limit = new TimeLimit(this.#clock, ms)
    const over = AbortSignal.any([cut.signal, limit.signal])
    try {
      return await unlessAborted(work, over)
    } catch (error) {
      if (!isAbort(error)) throw error
      throw new NodeError<AmqpFault>('not-confirmed', `${what} within ${ms / 1000} s`)
    }
  }

  /** What a library or a broker says, without what is secret. */
  #shown(error: unknown): NodeError {
    const said = messageOf(error)
    // All that the library says of it.
    const isClosed = /got <ConnectionClose/.test(said)
    const text = isClosed
      ? 'the broker has no such virtual host, or does not let this user in'
      : escaped(this.#hide(said))
    return new NodeError<AmqpFault>(
      'not-confirmed',
      text === '' ? 'the connection failed' : text.slice(0, MAX_SHOWN),
    )
  }
}
