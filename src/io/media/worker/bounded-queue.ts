/**
 * Hands items from one producer to one consumer; a push waits while the queue is full. Items that are never taken are
 * passed to `discard`, because they may hold native memory.
 */
export class BoundedQueue<T> {
  readonly #limit: number
  readonly #discard: (item: T) => void
  readonly #items: T[] = []
  #ended = false
  #failure: { error: unknown } | null = null
  #changed = Promise.withResolvers<void>()

  constructor(limit: number, discard: (item: T) => void) {
    this.#limit = limit
    this.#discard = discard
  }

  /** Adds an item, waiting for room. Throws the consumer's error. */
  async push(item: T): Promise<void> {
    while (!this.#failure && this.#items.length >= this.#limit) await this.#changed.promise
    if (this.#failure) {
      this.#discard(item)
      throw this.#failure.error
    }
    this.#items.push(item)
    this.#signal()
  }

  /** Marks the end of the items. */
  end(): void {
    this.#ended = true
    this.#signal()
  }

  /** Stops the queue: both ends throw `error`, and queued items are discarded. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    for (const item of this.#items.splice(0)) this.#discard(item)
    this.#signal()
  }

  /** The next item, or null after the last one. */
  async take(): Promise<T | null> {
    while (!this.#failure && this.#items.length === 0 && !this.#ended) await this.#changed.promise
    if (this.#failure) throw this.#failure.error
    const item = this.#items.shift()
    if (item === undefined) return null
    this.#signal()
    return item
  }

  #signal(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
  }
}
