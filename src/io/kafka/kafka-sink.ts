import type { Producer } from '@platformatic/kafka'
import type { PublishedEvent } from '../../domain/published-event.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { hostAndPort } from '../../lib/hosts.ts'
import { escaped } from '../../lib/printable.ts'
import type { EventSink } from '../../services/publishing/event-publisher.ts'

const CONNECT_MS = 5_000
const REQUEST_MS = 10_000
/** All that sending takes, connections and metadata included. */
const SEND_MS = 30_000
const MAX_SHOWN = 200
/** All replicas that are in step have an event before it counts as sent. */
const ALL_REPLICAS = -1

/** Why Kafka did not take events. */
export type KafkaFault = 'not-sent'

/** Settings of Kafka. */
export interface KafkaOptions {
  readonly brokers: readonly { readonly host: string; readonly port: number }[]
  readonly topic: string
  /** With a user, the brokers are called over TLS and by SASL/PLAIN; empty: in the clear and without a name. */
  readonly user: string
  readonly password: string
  /** How the brokers know this node. */
  readonly clientId: string
  /** PEM of the authority of the brokers' certificates, instead of the usual ones. */
  readonly ca?: string
}

/** Sends events to a topic of Kafka, those of one stream to one partition (operations.md §6). */
export class KafkaSink implements EventSink {
  readonly name: string
  readonly #options: KafkaOptions
  readonly #clock: Clock
  #producer: Producer<string, string, string, string> | null = null

  constructor(options: KafkaOptions, needs: { readonly clock: Clock }) {
    this.#options = options
    this.#clock = needs.clock
    this.name = options.brokers.map(({ host, port }) => hostAndPort(host, port)).join(',')
  }

  async send(events: readonly PublishedEvent[], signal: AbortSignal): Promise<void> {
    const { topic } = this.#options
    const enough = new AbortController()
    const abort = () => enough.abort()
    signal.addEventListener('abort', abort, { once: true })
    try {
      this.#producer ??= await this.#open()
      const messages = events.map(({ body, key }) => ({ topic, value: body, ...(key !== '' && { key }) }))
      const sending = Promise.resolve(this.#producer.send({ messages, acks: ALL_REPLICAS }))
      sending.catch(() => {})
      const late = this.#clock.sleep(SEND_MS, enough.signal).catch(() => {})
      await Promise.race([
        sending,
        late.then(() => Promise.reject(new Error(`nothing came within ${SEND_MS / 1000} s`))),
      ])
    } catch (error) {
      // What it knows of the cluster may be out of date.
      await this.close()
      signal.throwIfAborted()
      throw new NodeError<KafkaFault>('not-sent', this.#shown(error))
    } finally {
      signal.removeEventListener('abort', abort)
      enough.abort()
    }
  }

  async close(): Promise<void> {
    const producer = this.#producer
    this.#producer = null
    await Promise.resolve(producer?.close(true)).catch(() => {})
  }

  async #open(): Promise<Producer<string, string, string, string>> {
    // Loaded only where it is used: it takes a while.
    const { Producer, stringSerializers } = await import('@platformatic/kafka')
    const { brokers, ca, clientId, password, user } = this.#options
    const producer = new Producer({
      ...{
        clientId,
        bootstrapBrokers: brokers.map((broker) => ({ ...broker })),
        serializers: stringSerializers,
      },
      ...{ connectTimeout: CONNECT_MS, requestTimeout: REQUEST_MS, timeout: REQUEST_MS },
      // The events wait, and are sent again, elsewhere.
      ...{ retries: 0, autocreateTopics: false },
      ...(user !== '' && {
        tls: ca === undefined ? {} : { ca },
        sasl: { mechanism: 'PLAIN', username: user, password },
      }),
    })
    // A connection may fail once more after its failure was told, which would end the process.
    producer.connections.on('connecting', ({ connection }) => void connection.on('error', () => {}))
    return producer
  }

  /** What the library says: errors hold further ones, of which the innermost tells most. */
  #shown(error: unknown): string {
    const { password } = this.#options
    const texts = [...new Set(reasonsOf(error))].join(': ')
    const hidden = password === '' ? texts : texts.replaceAll(password, '***')
    return escaped(hidden).slice(0, MAX_SHOWN)
  }
}

const MAX_DEPTH = 5

function reasonsOf(error: unknown, depth = 0): string[] {
  if (depth === MAX_DEPTH) return []
  const { cause, errors } = error as { readonly cause?: unknown; readonly errors?: readonly unknown[] }
  const inner = cause ?? errors?.at(-1)
  return [messageOf(error), ...(inner === undefined ? [] : reasonsOf(inner, depth + 1))]
}
