import type { Clock } from '../../lib/clock.ts'

/** After a failed read, how long the last value is used before the source is asked again. */
const RETRY_MS = 5_000

/**
 * A value cached from another source: read on first use, and again when it may have changed or is old. Concurrent
 * callers share a read. While the source fails, the last value is returned until it is too old.
 */
export class CachedRead<T> {
  readonly #read: () => Promise<T>
  readonly #clock: Clock
  readonly #refreshMs: number
  readonly #maxAgeMs: number
  #value: { readonly it: T; readonly readAtMs: number } | null = null
  /** Counts the possible changes of the value. */
  #version = 0
  #valueVersion = -1
  #reading: Promise<void> | null = null
  #failedAtMs = Number.NEGATIVE_INFINITY

  constructor(
    options: { refreshMs: number; maxAgeMs: number },
    needs: { read: () => Promise<T>; clock: Clock },
  ) {
    this.#refreshMs = options.refreshMs
    this.#maxAgeMs = options.maxAgeMs
    this.#read = needs.read
    this.#clock = needs.clock
  }

  /** The value may have changed: from now on `get` returns only a value read after this call. */
  invalidate(): void {
    this.#version++
  }

  /** Milliseconds since the last successful read, or null. */
  get ageMs(): number | null {
    return this.#value && this.#clock.now() - this.#value.readAtMs
  }

  /** The value. Throws what the read throws, unless an older value is still acceptable. */
  async get(): Promise<T> {
    if (this.#isFresh && this.#value) return this.#value.it
    if (this.#value && this.#mayServe && this.#clock.now() - this.#failedAtMs < RETRY_MS)
      return this.#value.it
    try {
      // A read that began before the latest change does not count.
      await this.#refresh()
      if (!this.#isFresh) await this.#refresh()
    } catch (error) {
      if (!this.#value || !this.#mayServe) throw error
    }
    return this.#value!.it
  }

  get #isFresh(): boolean {
    const age = this.ageMs
    return age !== null && this.#valueVersion === this.#version && age < this.#refreshMs
  }

  get #mayServe(): boolean {
    const age = this.ageMs
    return age !== null && age < this.#maxAgeMs
  }

  #refresh(): Promise<void> {
    this.#reading ??= this.#load().finally(() => {
      this.#reading = null
    })
    return this.#reading
  }

  async #load(): Promise<void> {
    const version = this.#version
    const readAtMs = this.#clock.now()
    try {
      this.#value = { it: await this.#read(), readAtMs }
      this.#valueVersion = version
    } catch (error) {
      this.#failedAtMs = this.#clock.now()
      throw error
    }
  }
}
