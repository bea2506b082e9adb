import { Listeners } from '../../src/lib/listeners.ts'
import type { Leads } from '../../src/lib/terms.ts'

/** Leads when a test says so. */
export class FakeLeader implements Leads {
  epoch: bigint | null = null
  readonly #changes = new Listeners<void>()

  onChange(listener: () => void, signal: AbortSignal): void {
    this.#changes.add(listener, signal)
  }

  set(epoch: bigint | null): void {
    this.epoch = epoch
    this.#changes.tell()
  }
}
