/** A set of event listeners, each removed when its signal is aborted. */
export class Listeners<Event> {
  readonly #listeners = new Set<(event: Event) => void>()

  /** Adds a listener until `signal` is aborted. */
  add(listener: (event: Event) => void, signal: AbortSignal): void {
    if (signal.aborted) return
    const own = (event: Event) => listener(event)
    this.#listeners.add(own)
    signal.addEventListener('abort', () => this.#listeners.delete(own), { once: true })
  }

  /** Calls all listeners in the order they were added. */
  tell(event: Event): void {
    for (const listener of [...this.#listeners]) listener(event)
  }
}
