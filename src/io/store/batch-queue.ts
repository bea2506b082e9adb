import { messageOf } from '../../lib/errors.ts'
import { systemTimers, type Timers } from '../../lib/timers.ts'
import { isConflict, StoreError } from './database.ts'

/** Maximum number of items in one batch; others wait for the next. */
const MAX_BATCH = 100
/** Items that may wait; beyond them none is taken. */
const MAX_WAITING = 10_000
/** An item is answered within this time, whatever the database does. */
const ANSWER_MS = 5_000
/** One attempt of a batch may take this long. */
const ATTEMPT_MS = 2_500
const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1_000

/** How batches reach the database, and who is told. */
export interface BatchQueueNeeds<Item, Answer> {
  /**
   * Settles a batch. One number names one batch for ever: sent again it is answered as it was the first time, and one with a
   * lower number than the last is refused.
   */
  send(seq: number, items: readonly Item[], limitMs: number): Promise<readonly Answer[]>
  /** Whether the server or the way to it is at fault, so that the batch may have been settled or not. */
  isServersFault(error: unknown): boolean
  /** The error in words for the operator. */
  explain(error: unknown): unknown
  /** Told why batches fail, and null when they succeed again. */
  onFault(fault: string | null): void
  /** Told of what was settled after its caller had been told that it was not answered in time. */
  onLate(item: Item, answer: Answer): void
}

/** Limits, which tests lower, and the timers that they go by. */
export interface BatchQueueOptions {
  readonly answerMs?: number
  readonly attemptMs?: number
  readonly timers?: Timers
}

interface Waiting<Item, Answer> {
  readonly item: Item
  resolve(answer: Answer): void
  reject(error: unknown): void
  isOver: boolean
}

/**
 * Sends what comes at the same moment as one batch, one batch at a time. A batch whose answer is lost is sent again under
 * its number until it is known what became of it; its callers are told in time that there was no answer.
 */
export class BatchQueue<Item, Answer> {
  readonly #needs: BatchQueueNeeds<Item, Answer>
  readonly #answerMs: number
  readonly #attemptMs: number
  readonly #timers: Timers
  #waiting: Waiting<Item, Answer>[] = []
  #seq = 0
  #fault: StoreError | null = null
  #draining: Promise<void> | null = null
  #patience: (() => void) | null = null
  #isClosed = false
  #wake: () => void = () => {}

  constructor(needs: BatchQueueNeeds<Item, Answer>, options: BatchQueueOptions = {}) {
    this.#needs = needs
    this.#answerMs = options.answerMs ?? ANSWER_MS
    this.#attemptMs = options.attemptMs ?? ATTEMPT_MS
    this.#timers = options.timers ?? systemTimers
  }

  /** Why the last batch failed, as a sentence; null if it succeeded. */
  get fault(): string | null {
    return this.#fault?.message ?? null
  }

  /**
   * Settles an item and gives its answer. With patience it waits up to that many milliseconds for others to share a batch
   * with. Rejects with StoreError `store-unavailable` when there is no answer in time.
   */
  run(item: Item, patienceMs = 0): Promise<Answer> {
    if (this.#isClosed || this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(this.#fault ?? new StoreError('store-unavailable', 'the database is not open'))
    }
    return new Promise<Answer>((resolve, reject) => {
      const stop = this.#timers.after(this.#answerMs, () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting)
        waiting.reject(this.#fault ?? noAnswer(this.#answerMs))
      })
      const over = () => {
        waiting.isOver = true
        stop()
      }
      const waiting: Waiting<Item, Answer> = {
        ...{ item, isOver: false },
        resolve: (answer) => {
          if (waiting.isOver) return this.#needs.onLate(item, answer)
          over()
          resolve(answer)
        },
        reject: (error) => {
          if (waiting.isOver) return
          over()
          reject(error)
        },
      }
      this.#waiting.push(waiting)
      if (patienceMs > 0) this.#patience ??= this.#timers.after(patienceMs, () => this.#begin())
      else this.#begin()
    })
  }

  /** Settles what waits and takes nothing more; what the database does not answer in time is given up. */
  async close(): Promise<void> {
    if (this.#waiting.length > 0) this.#begin()
    const stop = this.#timers.after(this.#answerMs, () => this.#stop())
    await this.#draining
    stop()
    this.#stop()
  }

  #stop(): void {
    this.#isClosed = true
    this.#wake()
  }

  #begin(): void {
    this.#patience?.()
    this.#patience = null
    this.#draining ??= this.#drain()
  }

  async #drain(): Promise<void> {
    // What becomes ready in this turn may join the first batch.
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) await this.#settle(this.#waiting.splice(0, MAX_BATCH))
    this.#draining = null
  }

  /** Sends a batch until it is known what became of it. */
  async #settle(batch: readonly Waiting<Item, Answer>[]): Promise<void> {
    let sent = batch
    let seq = ++this.#seq
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        const items = sent.map(({ item }) => item)
        const answers = await this.#needs.send(seq, items, this.#attemptMs)
        this.#noteFault(null)
        for (const [i, waiting] of sent.entries()) waiting.resolve(answers[i]!)
        return
      } catch (error) {
        const mayPass = this.#needs.isServersFault(error) || isConflict(error)
        if (!mayPass) return this.#settleAlone(sent, error)
        if (this.#needs.isServersFault(error)) this.#noteFault(error)
      }
      await this.#pause(pauseMs)
      if (this.#isClosed) {
        for (const waiting of sent) waiting.reject(this.#fault ?? noAnswer(this.#answerMs))
        return
      }
      // Nobody waits for it any more: an empty batch after it keeps it from being settled later.
      if (sent.length > 0 && sent.every(({ isOver }) => isOver)) {
        sent = []
        seq = ++this.#seq
      }
    }
  }

  /** A batch that is refused holds an item that is wrong: each is sent alone, and only that one fails. */
  async #settleAlone(batch: readonly Waiting<Item, Answer>[], error: unknown): Promise<void> {
    if (batch.length > 1) for (const waiting of batch) await this.#settle([waiting])
    else for (const waiting of batch) waiting.reject(error)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#timers.after(ms, resolve)
      this.#wake = () => {
        stop()
        resolve()
      }
    })
  }

  #noteFault(error: unknown): void {
    const explained = error === null ? null : this.#needs.explain(error)
    const isChange = (this.#fault === null) !== (explained === null)
    this.#fault = explained === null ? null : faultOf(explained)
    if (isChange) this.#needs.onFault(this.#fault?.message ?? null)
  }
}

function noAnswer(ms: number): StoreError {
  return new StoreError('store-unavailable', `the database did not answer within ${ms / 1000} s`)
}

function faultOf(error: unknown): StoreError {
  return error instanceof StoreError ? error : new StoreError('store-unavailable', messageOf(error))
}
