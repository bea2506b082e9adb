import { abortError } from '../../lib/errors.ts'

/** The most waiting requests; further ones would only time out. */
const MAX_WAITING = 10_000

/**
 * Head start by method, in ms of waiting: sending goes first, then receipts; periodic reads yield a little. No request
 * waits forever.
 */
const HEAD_STARTS_MS: Readonly<Record<string, number>> = {
  eth_sendRawTransaction: 30_000,
  eth_getTransactionReceipt: 10_000,
  eth_getTransactionCount: 10_000,
  eth_getTransactionByHash: 10_000,
  eth_maxPriorityFeePerGas: 10_000,
  eth_feeHistory: 10_000,
  eth_gasPrice: -2_000,
}

/** Requests that are never shared. */
const NEVER_SHARED = new Set(['eth_sendRawTransaction'])

/** A request that waits for its turn, or for its answer. */
export interface QueuedRequest {
  readonly method: string
  readonly params: readonly unknown[]
  readonly timeoutMs: number
  /** When it is given up if still queued. */
  readonly expiresAtMs: number
  readonly answer: PromiseWithResolvers<unknown>
  /** Sent alone, since combining it failed. */
  alone: boolean
}

interface Entry extends QueuedRequest {
  /** Equal for requests that can share an answer; null: never shared. */
  readonly key: string | null
  readonly dueMs: number
  /** Orders requests that are due at the same time. */
  readonly order: number
  askers: number
  isWaiting: boolean
  onUnwanted: (() => void) | null
}

/** The requests that wait to be sent to one endpoint, oldest first; equal requests are sent once. */
export class RequestQueue {
  /** The next one to send is the last. */
  #waiting: Entry[] = []
  #isSorted = true
  #asked = 0
  readonly #byKey = new Map<string, Entry>()

  get size(): number {
    return this.#waiting.length
  }

  /** Whether the queue is full. */
  get isFull(): boolean {
    return this.#waiting.length >= MAX_WAITING
  }

  /**
   * Waits for the answer to a request, sharing an equal one that is still queued. Rejects when the signal is aborted; a
   * request that no caller waits for any more is removed from the queue or, if already taken, reported to `watch`.
   */
  async ask(
    request: { method: string; params: readonly unknown[]; timeoutMs: number },
    when: { sinceMs: number; expiresAtMs: number; signal?: AbortSignal | undefined },
  ): Promise<unknown> {
    const { signal } = when
    const entry = this.#enter(request, when)
    const aborted = Promise.withResolvers<never>()
    const onAbort = () => aborted.reject(abortError(signal))
    signal?.addEventListener('abort', onAbort, { once: true })
    entry.askers++
    try {
      return await Promise.race([entry.answer.promise, aborted.promise])
    } finally {
      signal?.removeEventListener('abort', onAbort)
      entry.askers--
      if (entry.askers === 0) this.#drop(entry)
    }
  }

  /** Takes the next request. Later equal ones do not share it: its answer may be older than they are. */
  take(): QueuedRequest | null {
    this.#sort()
    const entry = this.#waiting.pop()
    if (!entry) return null
    this.#leave(entry)
    return entry
  }

  /** The next request, left in the queue. */
  peek(): QueuedRequest | null {
    this.#sort()
    return this.#waiting.at(-1) ?? null
  }

  /** Takes all further requests that `wanted` accepts, in order. */
  takeAlso(wanted: (request: QueuedRequest) => boolean): QueuedRequest[] {
    this.#sort()
    const taken: Entry[] = []
    const left: Entry[] = []
    for (const entry of this.#waiting.toReversed()) (wanted(entry) ? taken : left).push(entry)
    this.#waiting = left.reverse()
    for (const entry of taken) this.#leave(entry)
    return taken
  }

  /** Puts a request back that was taken. */
  putBack(request: QueuedRequest): void {
    const entry = request as Entry
    if (entry.askers === 0) return
    entry.onUnwanted = null
    this.#add(entry)
  }

  /** Calls `unwanted` once when none of these taken requests is waited for any more. */
  watch(requests: readonly QueuedRequest[], unwanted: () => void): void {
    let wanted = requests.length
    for (const entry of requests as readonly Entry[]) {
      entry.onUnwanted = () => {
        if (--wanted === 0) unwanted()
      }
    }
  }

  /** Takes out the requests that have waited too long. */
  takeExpired(nowMs: number): QueuedRequest[] {
    return this.takeAlso(({ expiresAtMs }) => expiresAtMs <= nowMs)
  }

  /** When the next request will have waited too long. */
  get nextExpiryMs(): number {
    return this.#waiting.reduce(
      (least, { expiresAtMs }) => Math.min(least, expiresAtMs),
      Number.POSITIVE_INFINITY,
    )
  }

  #enter(
    request: { method: string; params: readonly unknown[]; timeoutMs: number },
    { expiresAtMs, sinceMs }: { sinceMs: number; expiresAtMs: number },
  ): Entry {
    const { method, params } = request
    const key = NEVER_SHARED.has(method) ? null : `${method} ${JSON.stringify(params)}`
    const same = key === null ? undefined : this.#byKey.get(key)
    if (same) return same
    const entry: Entry = {
      ...request,
      ...{ key, expiresAtMs, askers: 0, alone: false, isWaiting: false, onUnwanted: null },
      dueMs: sinceMs - (HEAD_STARTS_MS[method] ?? 0),
      order: this.#asked++,
      answer: Promise.withResolvers(),
    }
    // The caller may be gone by the time there is an answer.
    entry.answer.promise.catch(() => {})
    this.#add(entry)
    return entry
  }

  #add(entry: Entry): void {
    entry.isWaiting = true
    if (entry.key !== null) this.#byKey.set(entry.key, entry)
    this.#waiting.push(entry)
    this.#isSorted = false
  }

  #leave(entry: Entry): void {
    entry.isWaiting = false
    if (entry.key !== null && this.#byKey.get(entry.key) === entry) this.#byKey.delete(entry.key)
  }

  #drop(entry: Entry): void {
    if (!entry.isWaiting) {
      entry.onUnwanted?.()
      return
    }
    this.#waiting.splice(this.#waiting.indexOf(entry), 1)
    this.#leave(entry)
  }

  #sort(): void {
    if (this.#isSorted) return
    this.#waiting.sort((a, b) => b.dueMs - a.dueMs || b.order - a.order)
    this.#isSorted = true
  }
}
