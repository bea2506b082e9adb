/** Time as the refresher needs it; tests hand in their own. */
export interface Timers {
  now(): number
  /** Calls `act` after so many milliseconds, unless the function that it gives back is called before. */
  after(ms: number, act: () => void): () => void
}

/** After an event the figures are read at once, but not again within this time. */
const SHORTEST_MS = 1_000
/** They are read this often even if nothing is told: a node that is lost tells nothing. */
const LONGEST_MS = 2_000

/** Decides when figures are read again: soon after something happened, every few seconds anyway, never twice at once. */
export class Refresher {
  readonly #read: () => Promise<void>
  readonly #timers: Timers
  #lastMs = Number.NEGATIVE_INFINITY
  #isReading = false
  #isPaused = false
  /** Something happened while they were being read. */
  #isStale = false
  #cancel: () => void = () => {}

  constructor(read: () => Promise<void>, timers: Timers) {
    this.#read = read
    this.#timers = timers
  }

  /** Something happened, or somebody looks again. */
  poke(): void {
    this.#isStale = true
    this.#plan()
  }

  /** Nobody looks: nothing is read until `resume`. */
  pause(): void {
    this.#isPaused = true
    this.#cancel()
  }

  /** Somebody looks again. */
  resume(): void {
    this.#isPaused = false
    this.poke()
  }

  #plan(): void {
    this.#cancel()
    if (this.#isReading || this.#isPaused) return
    const waits = this.#isStale ? SHORTEST_MS : LONGEST_MS
    const ms = Math.max(0, this.#lastMs + waits - this.#timers.now())
    this.#cancel = this.#timers.after(ms, () => void this.#look())
  }

  async #look(): Promise<void> {
    this.#isReading = true
    this.#isStale = false
    this.#lastMs = this.#timers.now()
    try {
      await this.#read()
    } finally {
      this.#isReading = false
      this.#plan()
    }
  }
}
