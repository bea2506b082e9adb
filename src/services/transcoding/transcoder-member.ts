import type { Capabilities } from '../../domain/capabilities.ts'
import type { Notice } from '../../domain/transcoder-notice.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'
import { cutTo } from '../../lib/printable.ts'

/** A transcoder that leaves more notices than this unread is dropped. */
const MAX_UNREAD = 256
const MAX_STREAMS_SHOWN = 100
const MAX_STREAM_NAME = 64
/** The reader of notices wakes up at least this often. */
const IDLE_MS = 60_000

/** The other end of a transcoder's registration. */
export interface TranscoderPeer {
  readonly address: string
  /** The fingerprint of its certificate; null where no certificates are used. */
  readonly identity?: string | null
  /** Aborted once its connection is gone; after its stream alone has ended it may still bring results. */
  readonly gone: AbortSignal
  /** Resolves when the other side answers; rejects when there is no connection. */
  ping(): Promise<void>
}

/** Why a transcoder has left the pool. */
export type LossReason = 'stream-ended' | 'too-late' | 'does-not-read' | 'silent'

/** A transcoder as the operator sees it. */
export interface TranscoderState {
  /** As it calls itself; empty where it tells no name. */
  readonly name: string
  readonly address: string
  /** What it transcodes on, as it says; empty where it does not. */
  readonly hardware: string
  readonly sinceMs: number
  readonly capacity: number
  /** Sessions that it has. */
  readonly load: number
  /** The streams of some of them, by the gateways' manifest ids. */
  readonly streams: readonly string[]
  readonly running: number
  readonly done: number
  readonly failed: number
  /** When it brought its last result, good or bad; null for none. */
  readonly lastAnswerMs: number | null
  /** Why it gets no work; null when it does. */
  readonly outOfRotation: 'silent' | 'leaving' | LossReason | null
  readonly version: string
}

/** A transcoder in the pool. */
export class Member {
  readonly name: string
  readonly address: string
  readonly hardware: string
  readonly identity: string | null
  readonly sinceMs: number
  readonly capabilities: Capabilities
  /** Whether it is this node's own engine, which gets no notices. */
  readonly isLocal: boolean
  /** The stream of each of its sessions. */
  readonly sessions = new Map<string, string>()
  /** The tasks that it works on. */
  readonly tasks = new Set<bigint>()
  done = 0
  failed = 0
  lastAnswerMs: number | null = null
  /** Whether it does not answer pings just now. */
  isSilent = false
  /** Gateways whose segments it was late with since its last answer: one may declare too little, several show that it hangs. */
  readonly lateFor = new Set<string>()
  /** Aborted once it is out of the pool. */
  readonly over = new AbortController()
  readonly #capacity: () => number
  /** The largest capacity that it ever offered. */
  #most = 0
  readonly #unread: Notice[] = []
  readonly #alarm = new Alarm()
  #isOver = false

  constructor(facts: {
    name: string
    address: string
    hardware: string
    identity: string | null
    sinceMs: number
    /** Sessions that it takes, which may change. */
    capacity: () => number
    capabilities: Capabilities
    isLocal: boolean
  }) {
    this.name = facts.name
    this.address = facts.address
    this.hardware = facts.hardware
    this.identity = facts.identity
    this.sinceMs = facts.sinceMs
    this.#capacity = facts.capacity
    this.capabilities = facts.capabilities
    this.isLocal = facts.isLocal
  }

  /** Sessions that it takes just now. */
  get capacity(): number {
    const now = this.#capacity()
    this.#most = Math.max(this.#most, now)
    return now
  }

  /** How much of its capacity is taken. */
  get load(): number {
    return this.sessions.size / this.capacity
  }

  /** Whether it can take one more session. Sessions admitted under a larger capacity may come back. */
  get hasRoom(): boolean {
    return this.sessions.size < Math.max(this.capacity, this.#most)
  }

  /** Queues a notice for it; false when it leaves too many unread. */
  tell(notice: Notice): boolean {
    if (this.isLocal || this.#isOver) return true
    this.#unread.push(notice)
    this.#alarm.ring()
    return this.#unread.length <= MAX_UNREAD
  }

  /** Its notices, until it leaves the pool or the signal is aborted. */
  async *notices(clock: Clock, signal: AbortSignal): AsyncGenerator<Notice, void> {
    while (!signal.aborted && !this.#isOver) {
      const notice = this.#unread.shift()
      if (notice) yield notice
      else await this.#alarm.wait(clock, IDLE_MS, signal).catch(() => {})
    }
  }

  /** It brought a result, good or bad: it does not hang, whatever was late. */
  answered(nowMs: number): void {
    this.lastAnswerMs = nowMs
    this.lateFor.clear()
  }

  /** Whether it gets work only when no other transcoder can take it. */
  get isDoubtful(): boolean {
    return this.lateFor.size > 0
  }

  /** Ends its notices. */
  close(): void {
    this.#isOver = true
    this.over.abort()
    this.#alarm.ring()
  }

  state(outOfRotation: TranscoderState['outOfRotation']): TranscoderState {
    const { address, hardware, name, sinceMs, capacity, done, failed, lastAnswerMs } = this
    const streams = [...new Set(this.sessions.values())].slice(0, MAX_STREAMS_SHOWN)
    return {
      ...{ name, address, hardware, sinceMs, capacity, done, failed, lastAnswerMs, outOfRotation },
      ...{ load: this.sessions.size, streams: streams.map((stream) => cutTo(MAX_STREAM_NAME, stream)) },
      running: this.tasks.size,
      version: this.capabilities.version,
    }
  }
}
