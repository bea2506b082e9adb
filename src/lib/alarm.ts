import type { Clock } from './clock.ts'

/** Wakes a loop. Rings before the loop waits are not lost; any number of them wakes it once. */
export class Alarm {
  #rung = false
  #wake: (() => void) | null = null

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** Resolves when the alarm has rung since the last wait, or after `ms`. Rejects when `signal` is aborted. */
  async wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!this.#rung) {
      const rung = Promise.withResolvers<void>()
      const enough = new AbortController()
      const abort = () => enough.abort(signal.reason)
      signal.addEventListener('abort', abort, { once: true })
      this.#wake = rung.resolve
      try {
        await Promise.race([rung.promise, clock.sleep(ms, enough.signal)])
      } finally {
        this.#wake = null
        signal.removeEventListener('abort', abort)
        enough.abort()
      }
    }
    this.#rung = false
  }
}
