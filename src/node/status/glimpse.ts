import type { Clock } from '../../lib/clock.ts'
import { isDoneWithin } from '../../lib/patience.ts'

/** What is read only to be shown is read again once it is older than this, unless its reader says otherwise. */
const REFRESH_MS = 10_000
/** A request waits this long for chain or database, then gets the last value: the status answers within a second. */
const PATIENCE_MS = 700

/** A value read from the chain or the database to be shown: refreshed when it is old; the last one while reading takes long or fails. */
export class Glimpse<T> {
  readonly #read: () => Promise<T>
  readonly #clock: Clock
  readonly #refreshMs: number
  #value: T | null = null
  #askedAtMs = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | null = null

  constructor(read: () => Promise<T>, clock: Clock, refreshMs = REFRESH_MS) {
    this.#read = read
    this.#clock = clock
    this.#refreshMs = refreshMs
  }

  /** Null until it has been read for the first time. */
  async look(): Promise<T | null> {
    if (this.#clock.now() - this.#askedAtMs >= this.#refreshMs) this.#reading ??= this.#refresh()
    if (this.#reading) await isDoneWithin(this.#clock, PATIENCE_MS, this.#reading)
    return this.#value
  }

  async #refresh(): Promise<void> {
    this.#askedAtMs = this.#clock.now()
    try {
      this.#value = await this.#read()
    } catch {
      // The health of the endpoints shows why.
    } finally {
      this.#reading = null
    }
  }
}
