import type { LeaseHolder, LeaseWish } from '../../src/domain/lease.ts'
import type { LeaseRecords } from '../../src/services/cluster/leadership.ts'

/** Leases in memory for processes of one test, by a clock of their own. */
export class FakeLeases implements LeaseRecords {
  /** Whether the store answers; `held` answers once it is `well` again. */
  mood: 'well' | 'away' | 'held' = 'well'
  readonly #now: () => number
  readonly #rows = new Map<string, LeaseHolder & { endMs: number; isWatched: boolean }>()
  readonly #gone = new Set<string>()
  #waiting: (() => void)[] = []

  constructor(clock: { now(): number }) {
    this.#now = () => clock.now()
  }

  async take({ lease, ...wish }: LeaseWish, ms: number): Promise<LeaseHolder | null> {
    if (this.mood === 'away') throw new Error('the store is away')
    if (this.mood === 'held') await new Promise<void>((go) => this.#waiting.push(go))
    const row = this.#rows.get(lease)
    const isFree =
      !row ||
      row.instance === wish.instance ||
      row.endMs <= this.#now() ||
      row.rank < wish.rank ||
      (row.isWatched && this.#gone.has(row.instance))
    if (!isFree) return row
    const epoch = row ? row.epoch + (row.instance === wish.instance ? 0n : 1n) : 1n
    const taken = { ...wish, epoch, endMs: this.#now() + ms }
    this.#rows.set(lease, taken)
    return taken
  }

  async release(lease: string, instance: string): Promise<void> {
    const row = this.#rows.get(lease)
    if (row?.instance === instance) row.endMs = 0
  }

  /** The session of a process ends. */
  die(instance: string): void {
    this.#gone.add(instance)
  }

  /** Answers what was held. */
  answer(): void {
    this.mood = 'well'
    for (const go of this.#waiting.splice(0)) go()
  }
}
