import { type Clock, systemClock } from '../../src/lib/clock.ts'

/** A clock on which time passes this many times faster, for code that waits seconds for real events. */
export class FastClock implements Clock {
  readonly #startMs = Date.now()
  readonly #times: number

  constructor(times: number) {
    this.#times = times
  }

  now(): number {
    return this.#startMs + (Date.now() - this.#startMs) * this.#times
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms / this.#times, signal)
  }
}
