import type { IncomingMessage, ServerResponse } from 'node:http'
import type { NodeEvent } from '../../domain/events.ts'
import { bigintsAsTexts } from '../../lib/bigints.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { ControlError } from './control-route.ts'

/** Readers at once; each holds a connection. */
const MAX_READERS = 32
/** What may wait for a reader that is slow. Beyond it events are left out for it, and it is told so. */
const MAX_WAITING_BYTES = 256 * 1024
/** An event with texts of strangers that is longer is left out. */
const MAX_EVENT_CHARS = 16 * 1024
/** A comment line is sent this often, so that both ends notice a dead connection. */
const BEAT_MS = 5_000
/** A reader that takes nothing for this long is disconnected. */
const STALLED_MS = 60_000
/** Events kept for readers that come, or come back. */
const MAX_KEPT = 200

/** Kinds that come with every segment or payment, or repeat: sent to readers, but not kept. */
const FREQUENT: ReadonlySet<NodeEvent['kind']> = new Set([
  ...(['tickets-received', 'payment-refused', 'payment-sent', 'payment-accepted'] as const),
  ...(['ticket-params-offered', 'segment-arrived', 'segment-done', 'segment-failed'] as const),
  ...(['segment-handed-over', 'segment-uploaded', 'segment-downloaded', 'segment-retried'] as const),
  ...(['segment-resent', 'segment-tried', 'attempt-failed', 'publisher-answered', 'publisher-left'] as const),
  ...([
    'recording-saved',
    'recording-save-failed',
    'event-dropped',
    'result-compared',
    'result-judged',
  ] as const),
  ...(['problem-repeated', 'transcoders-changed', 'discovery-failed'] as const),
])

/** Tells a reader that it has missed some. */
const RESYNC = 'event: resync\ndata: {}\n\n'

interface Told {
  readonly number: number
  readonly kind: NodeEvent['kind']
  /** Null for one that is too long. */
  readonly text: string | null
}

interface Reader {
  readonly response: ServerResponse
  readonly wants: (kind: string) => boolean
  /** Since when events are left out for it; null while none are. */
  behindSinceMs: number | null
}

/**
 * The node's events for browsers and programs, as server-sent events: each is a JSON object with its `kind`, the time `atMs`
 * and its facts, amounts as text. `resync` says that events are missing, so that what was concluded from them must be read
 * again. Readers, and what waits for each of them, are bounded.
 */
export class LiveEvents implements Service {
  readonly name = 'live events'
  readonly #clock: Clock
  /** Tells the numbers of this process from those of the one before. */
  readonly #run: string
  readonly #readers = new Set<Reader>()
  readonly #kept: Told[] = []
  #count = 0

  constructor(needs: { readonly clock: Clock }) {
    this.#clock = needs.clock
    this.#run = needs.clock.now().toString(36)
  }

  start(scope: Scope): void {
    scope.spawn('heartbeats', async (signal) => {
      for (;;) {
        await this.#clock.sleep(BEAT_MS, signal)
        for (const reader of [...this.#readers]) this.#beat(reader)
      }
    })
    scope.defer(() => {
      for (const { response } of [...this.#readers]) response.end()
      this.#readers.clear()
    })
  }

  /** Readers that are connected. */
  get readers(): number {
    return this.#readers.size
  }

  /** Sends an event to the readers that want it. */
  hear(event: NodeEvent): void {
    const isKept = !FREQUENT.has(event.kind)
    this.#count++
    if (!isKept && this.#readers.size === 0) return
    const told: Told = { number: this.#count, kind: event.kind, text: this.#textOf(event) }
    if (isKept) {
      this.#kept.push(told)
      if (this.#kept.length > MAX_KEPT) this.#kept.shift()
    }
    for (const reader of this.#readers) this.#send(reader, told)
  }

  /**
   * Makes a client a reader until it leaves: of some kinds, of all where none is named. It gets first what was kept since
   * the event that it has seen last. Throws ControlError while there are as many readers as are served.
   */
  open(request: IncomingMessage, response: ServerResponse, kinds: ReadonlySet<string>): void {
    if (this.#readers.size >= MAX_READERS) {
      throw new ControlError('refused', `${MAX_READERS} readers follow the events already`, 503)
    }
    const reader: Reader = {
      response,
      wants: kinds.size === 0 ? () => true : (kind) => kinds.has(kind),
      behindSinceMs: null,
    }
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      // Proxies must not wait for the end.
      'x-accel-buffering': 'no',
    })
    response.on('error', () => {})
    if (request.method === 'HEAD') return void response.end()
    response.write('retry: 1000\n\n')
    this.#readers.add(reader)
    const leave = () => this.#readers.delete(reader)
    response.once('close', leave)
    // A client that closes its half of the connection is gone too.
    request.socket.once('end', () => response.end())
    const seen = this.#lastSeenOf(request)
    // Of the frequent kinds nothing is kept, so whoever was away may have missed some.
    if (seen !== 'none' && seen !== this.#count) response.write(RESYNC)
    const last = typeof seen === 'number' ? seen : 0
    for (const told of this.#kept) if (told.number > last) this.#send(reader, told)
  }

  /** The number of the event that a client has seen last, if it has seen any of this process. */
  #lastSeenOf({ headers }: IncomingMessage): number | 'none' | 'of another process' {
    const given = headers['last-event-id']
    if (given === undefined || given === '') return 'none'
    const [run, number] = String(given).split('-')
    const isOwn = run === this.#run && number !== undefined && /^\d{1,15}$/.test(number)
    return isOwn ? Number(number) : 'of another process'
  }

  #send(reader: Reader, { kind, number, text }: Told): void {
    if (!reader.wants(kind) || reader.behindSinceMs !== null) return
    const { response } = reader
    if (response.writableLength > MAX_WAITING_BYTES) this.#leaveOut(reader)
    else response.write(text === null ? RESYNC : `id: ${this.#run}-${number}\ndata: ${text}\n\n`)
  }

  #leaveOut(reader: Reader): void {
    reader.behindSinceMs = this.#clock.now()
    reader.response.once('drain', () => {
      reader.behindSinceMs = null
      reader.response.write(RESYNC)
    })
  }

  #beat({ behindSinceMs, response }: Reader): void {
    if (behindSinceMs === null) response.write(':\n\n')
    else if (this.#clock.now() - behindSinceMs > STALLED_MS) response.destroy()
  }

  #textOf(event: NodeEvent): string | null {
    const told = { ...event, atMs: this.#clock.now() }
    const text = JSON.stringify(told, bigintsAsTexts)
    return text.length > MAX_EVENT_CHARS ? null : text
  }
}
