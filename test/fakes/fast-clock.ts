import { type Clock, systemClock } from '../../src/lib/clock.ts'

/** A clock on which time passes so many times faster, for what waits seconds for something that really happens. */
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
