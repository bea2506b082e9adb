import type { EventQueue, NodeEvents } from '../../domain/events.ts'
import type { PublishedEvent } from '../../domain/published-event.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Fields, Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import { isDoneWithin } from '../../lib/patience.ts'
import type { Scope, Service } from '../../lib/service.ts'

/** Events that wait while the broker is away. Then the oldest make room: of what happens now a platform must hear. */
const MAX_WAITING = 2_000
const MAX_WAITING_CHARS = 8_000_000
/** A longer one is not published. */
const MAX_BODY_CHARS = 256_000
/** Events that are sent together. */
const MAX_BATCH = 100
const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 30_000
const IDLE_MS = 60_000
/** When the node stops, what waits is sent if that takes no longer. */
const LAST_MS = 1_000

/** A broker that takes events. */
export interface EventSink {
  /** For the log; shows nothing secret. */
  readonly name: string
  /**
   * Sends events in this order, over a new connection where there is none; resolves when the broker has them. Takes a
   * bounded time. Rejects with an error whose message shows nothing secret.
   */
  send(events: readonly PublishedEvent[], signal: AbortSignal): Promise<void>
  /** Connects if that must be possible before the node starts. Rejects with NodeError. */
  open?(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** What publishing depends on. */
export interface EventPublisherNeeds {
  readonly sink: EventSink
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
}

/**
 * Publishes events for other programs, in the order in which they happen and at least once. Nobody waits for it: what a broker
 * does not take waits in a bounded queue, and what has no room there is dropped and counted.
 */
export class EventPublisher implements Service {
  readonly name: string
  readonly #queue: EventQueue
  readonly #needs: EventPublisherNeeds
  readonly #waiting: PublishedEvent[] = []
  readonly #alarm = new Alarm()
  readonly #failure: PassingFailure
  #waitingChars = 0
  /** Of the events that are being sent. */
  #inHand = 0
  #dropped = 0
  #hasStopped = false

  constructor(queue: EventQueue, needs: EventPublisherNeeds) {
    this.name = `events to ${queue.toUpperCase()}`
    this.#queue = queue
    this.#needs = needs
    this.#failure = new PassingFailure(
      { message: 'events cannot be published, retrying', over: 'events are published again', first: 'info' },
      needs,
    )
  }

  /** Events that wait. */
  get waiting(): number {
    return this.#waiting.length
  }

  async start(scope: Scope): Promise<void> {
    const { sink } = this.#needs
    scope.defer(() => this.#finish())
    await sink.open?.(scope.signal)
    scope.spawn('publish events', (signal) => this.#publish(signal))
  }

  /** Takes an event to publish. Never fails and never waits. */
  offer(event: PublishedEvent): void {
    if (this.#hasStopped) return
    if (event.body.length > MAX_BODY_CHARS) {
      this.#drop(event)
      return
    }
    this.#waiting.push(event)
    this.#waitingChars += event.body.length
    while (this.#waiting.length > MAX_WAITING || this.#waitingChars > MAX_WAITING_CHARS) {
      // Those in hand may be with the broker already.
      const [oldest] = this.#waiting.splice(Math.min(this.#inHand, this.#waiting.length - 1), 1)
      this.#waitingChars -= oldest!.body.length
      this.#drop(oldest!)
    }
    this.#alarm.ring()
  }

  async #publish(signal: AbortSignal): Promise<void> {
    const { clock, sink } = this.#needs
    let failures = 0
    for (;;) {
      if (this.#waiting.length === 0) {
        await this.#alarm.wait(clock, IDLE_MS, signal)
        continue
      }
      try {
        await this.#sendSome(signal)
        failures = 0
        this.#isWorking()
      } catch (error) {
        signal.throwIfAborted()
        this.#failure.failed({ broker: sink.name, reason: messageOf(error) })
        await clock.sleep(Math.min(FIRST_RETRY_MS * 2 ** failures, LONGEST_RETRY_MS), signal)
        failures++
      }
    }
  }

  async #sendSome(signal: AbortSignal): Promise<void> {
    const batch = this.#waiting.slice(0, MAX_BATCH)
    this.#inHand = batch.length
    try {
      await this.#needs.sink.send(batch, signal)
      for (const { body } of this.#waiting.splice(0, batch.length)) this.#waitingChars -= body.length
    } finally {
      this.#inHand = 0
    }
  }

  #isWorking(): void {
    this.#failure.passed()
    if (this.#dropped > 0)
      this.#needs.log.info('events were dropped', this.#facts({ dropped: this.#dropped }))
    this.#dropped = 0
  }

  #drop({ type }: PublishedEvent): void {
    this.#dropped++
    // The rest is counted: an outage must not fill the log.
    if (this.#dropped === 1) {
      this.#needs.log.warn('events are being dropped', this.#facts({ waiting: this.#waiting.length }))
    }
    this.#needs.events.tell({ kind: 'event-dropped', queue: this.#queue, eventType: type })
  }

  #facts(facts: Fields): Fields {
    return { broker: this.#needs.sink.name, ...facts }
  }

  async #finish(): Promise<void> {
    this.#hasStopped = true
    const { clock, log, sink } = this.#needs
    const limit = new AbortController()
    if (this.#waiting.length > 0) {
      const sending = (async () => {
        while (this.#waiting.length > 0) await this.#sendSome(limit.signal)
      })().catch(() => {})
      await isDoneWithin(clock, LAST_MS, sending)
      const left = this.#waiting.length
      if (left > 0) log.warn('events were dropped', this.#facts({ dropped: left }))
    }
    limit.abort()
    await sink.close()
  }
}
