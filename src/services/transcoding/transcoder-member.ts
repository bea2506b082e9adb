import type { Capabilities } from '../../domain/capabilities.ts'
import type { Notice } from '../../domain/transcoder-notice.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'

/** Notices that wait for a transcoder to read them; one that leaves so many unread is lost. */
const MAX_UNREAD = 256
/** How long the reading of notices sleeps at a time. */
const IDLE_MS = 60_000

/** The other end of a transcoder's registration. */
export interface TranscoderPeer {
  readonly address: string
  /** The fingerprint of the certificate by which it is known; null where there are none. */
  readonly identity?: string | null
  /** Aborted once its connection is gone: with the stream alone it may still bring results. */
  readonly gone: AbortSignal
  /** Resolves when the other side gives a sign of life; rejects when there is no connection. */
  ping(): Promise<void>
}

/** Why a transcoder is in the pool no more. */
export type LossReason = 'stream-ended' | 'too-late' | 'does-not-read' | 'silent'

/** A transcoder as the operator sees it. */
export interface TranscoderState {
  readonly address: string
  readonly sinceMs: number
  readonly capacity: number
  /** Sessions that it has. */
  readonly load: number
  readonly running: number
  readonly done: number
  readonly failed: number
  /** When it brought its last result, good or bad; null for none. */
  readonly lastAnswerMs: number | null
  /** Why it gets no work; null: it does. */
  readonly outOfRotation: 'silent' | 'leaving' | LossReason | null
  readonly version: string
}

/** A transcoder in the pool. */
export class Member {
  readonly address: string
  readonly identity: string | null
  readonly sinceMs: number
  readonly capabilities: Capabilities
  /** The engine of this node itself, which is told nothing. */
  readonly isLocal: boolean
  readonly sessions = new Set<string>()
  /** The tasks that it works on. */
  readonly tasks = new Set<bigint>()
  done = 0
  failed = 0
  lastAnswerMs: number | null = null
  /** It gives no sign of life just now. */
  isSilent = false
  /** Whose segments were late here since its last answer: one gateway may declare too little, several tell of it. */
  readonly lateFor = new Set<string>()
  /** Aborted once it is out of the pool. */
  readonly over = new AbortController()
  readonly #capacity: () => number
  /** The most that it ever offered. */
  #most = 0
  readonly #unread: Notice[] = []
  readonly #alarm = new Alarm()
  #isOver = false

  constructor(facts: {
    address: string
    identity: string | null
    sinceMs: number
    /** Sessions that it takes, which may change. */
    capacity: () => number
    capabilities: Capabilities
    isLocal: boolean
  }) {
    this.address = facts.address
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

  /** Whether it can take one more session. Who was let in when its capacity was larger finds the way back. */
  get hasRoom(): boolean {
    return this.sessions.size < Math.max(this.capacity, this.#most)
  }

  /** Puts a notice up for it to read; false when it leaves too many unread. */
  tell(notice: Notice): boolean {
    if (this.isLocal || this.#isOver) return true
    this.#unread.push(notice)
    this.#alarm.ring()
    return this.#unread.length <= MAX_UNREAD
  }

  /** What it is told, until it is out or the signal is aborted. */
  async *notices(clock: Clock, signal: AbortSignal): AsyncGenerator<Notice, void> {
    while (!signal.aborted && !this.#isOver) {
      const notice = this.#unread.shift()
      if (notice) yield notice
      else await this.#alarm.wait(clock, IDLE_MS, signal).catch(() => {})
    }
  }

  /** It brought a result, good or bad: whatever was late, it works. */
  answered(nowMs: number): void {
    this.lastAnswerMs = nowMs
    this.lateFor.clear()
  }

  /** Whether it gets work only where nobody else takes it. */
  get isDoubtful(): boolean {
    return this.lateFor.size > 0
  }

  /** Nothing more is told. */
  close(): void {
    this.#isOver = true
    this.over.abort()
    this.#alarm.ring()
  }

  state(outOfRotation: TranscoderState['outOfRotation']): TranscoderState {
    const { address, sinceMs, capacity, done, failed, lastAnswerMs } = this
    return {
      ...{ address, sinceMs, capacity, done, failed, lastAnswerMs, outOfRotation },
      load: this.sessions.size,
      running: this.tasks.size,
      version: this.capabilities.version,
    }
  }
}
