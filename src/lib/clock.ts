import { setTimeout as sleepTimeout } from 'node:timers/promises'
import { abortError } from './errors.ts'

/** A source of time that tests can replace. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's AbortError when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The real clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    await sleepTimeout(ms, undefined, signal ? { signal } : undefined)
  },
}

interface Sleeper {
  readonly at: number
  readonly order: number
  readonly wake: () => void
}

/** A clock for tests: time moves only when `wind` is called, and sleepers wake in order of their time. */
export class ManualClock implements Clock {
  #now: number
  #order = 0
  readonly #sleepers = new Set<Sleeper>()

  constructor(startMs = 1_700_000_000_000) {
    this.#now = startMs
  }

  now(): number {
    return this.#now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortError(signal))
      const onAbort = () => {
        this.#sleepers.delete(sleeper)
        reject(abortError(signal))
      }
      const sleeper: Sleeper = {
        at: this.#now + Math.max(0, ms),
        order: this.#order++,
        wake: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#sleepers.add(sleeper)
    })
  }

  /** Number of pending sleeps. */
  get sleepers(): number {
    return this.#sleepers.size
  }

  /** Moves time forward by `ms`. Wakes due sleepers one at a time and lets each run before the next. */
  async wind(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (;;) {
      const next = this.#earliest()
      if (next === undefined || next.at > end) break
      this.#now = Math.max(this.#now, next.at)
      this.#sleepers.delete(next)
      next.wake()
      await settle()
    }
    this.#now = end
  }

  #earliest(): Sleeper | undefined {
    let first: Sleeper | undefined
    for (const sleeper of this.#sleepers) {
      if (!first || sleeper.at < first.at || (sleeper.at === first.at && sleeper.order < first.order))
        first = sleeper
    }
    return first
  }
}

/** Lets all pending microtasks and I/O callbacks run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
