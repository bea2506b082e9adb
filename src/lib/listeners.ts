/** Those who want to hear of something; each stops hearing of it when its signal is aborted. */
export class Listeners<Event> {
  readonly #listeners = new Set<(event: Event) => void>()

  /** Adds a listener until `signal` is aborted. */
  add(listener: (event: Event) => void, signal: AbortSignal): void {
    if (signal.aborted) return
    const own = (event: Event) => listener(event)
    this.#listeners.add(own)
    signal.addEventListener('abort', () => this.#listeners.delete(own), { once: true })
  }

  /** Tells all listeners, in the order in which they came. */
  tell(event: Event): void {
    for (const listener of [...this.#listeners]) listener(event)
  }
}
