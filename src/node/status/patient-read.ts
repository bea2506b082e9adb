import type { Clock } from '../../lib/clock.ts'
import { isDoneWithin } from '../../lib/patience.ts'

/** A request waits this long for the store, then gets the last value: the status answers within a second. */
const PATIENCE_MS = 700

/**
 * Reads something from the store for the status, each time anew. Where that takes long or fails, as while the database of a
 * cluster is away, it is what was read last: status has to tell the cause of just that.
 */
export class PatientRead<T> {
  readonly #read: () => Promise<T>
  readonly #clock: Clock
  #value: T | null = null
  #readAtMs: number | null = null
  #isOld = false
  /** A reading that took too long: no other is begun beside it. */
  #late: Promise<T | null> | null = null

  constructor(read: () => Promise<T>, clock: Clock) {
    this.#read = read
    this.#clock = clock
  }

  /** Null until it could be read for the first time. */
  async look(): Promise<T | null> {
    const reading = this.#late ?? this.#begin()
    const isDone = await isDoneWithin(this.#clock, PATIENCE_MS, reading)
    if (!isDone) {
      this.#late ??= reading.finally(() => {
        this.#late = null
      })
    }
    const value = isDone ? await reading : null
    this.#isOld = value === null
    return value ?? this.#value
  }

  /** When what was given last had been read, if not just then; null otherwise. */
  get oldSinceMs(): number | null {
    return this.#isOld ? this.#readAtMs : null
  }

  /** Never rejects: the store tells by itself why it cannot be used. */
  async #begin(): Promise<T | null> {
    try {
      const value = await this.#read()
      this.#value = value
      this.#readAtMs = this.#clock.now()
      return value
    } catch {
      return null
    }
  }
}
