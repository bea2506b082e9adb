import type { Clock } from './clock.ts'
import { abortError } from './errors.ts'

/**
 * Waits for work that goes on by itself, at most `ms` milliseconds of this clock. Resolves to whether it was done by then;
 * rejects if the work did.
 */
export async function isDoneWithin(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const patience = new AbortController()
  const tooLong = () => false
  try {
    return await Promise.race([
      work.then(() => true),
      clock.sleep(ms, patience.signal).then(tooLong, tooLong),
    ])
  } finally {
    patience.abort()
  }
}

/** Waits until a signal is aborted for work that may take no notice of it, such as a disk's. Rejects with AbortError then. */
export async function unlessAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(abortError(signal))
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** A limit of `ms` milliseconds of a clock for work that takes a signal. Dispose of it when the work is done. */
export class TimeLimit implements Disposable {
  readonly #late = new AbortController()
  readonly #done = new AbortController()

  constructor(clock: Clock, ms: number) {
    clock.sleep(ms, this.#done.signal).then(
      () => this.#late.abort(),
      () => {},
    )
  }

  /** Aborted once the time is over. */
  get signal(): AbortSignal {
    return this.#late.signal
  }

  [Symbol.dispose](): void {
    this.#done.abort()
  }
}
