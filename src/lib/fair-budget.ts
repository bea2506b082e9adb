import { ByteBudget, type Room } from './request-body.ts'

/** One of those on whose behalf bytes are held: a session, a sender, a host. */
export interface Holder {
  /** Unique among all kinds of holders, such as `host 203.0.113.7`. */
  readonly name: string
  /** The most that it may hold at one time, in bytes. */
  readonly maxBytes: number
  /** The most shares that it may have open at one time; absent: any number. */
  readonly maxShares?: number
}

/** What one request holds of a budget. */
export interface Share extends Room {
  /** Gives back all that is still held. */
  close(): void
}

/** A budget of bytes of which no holder gets more than its part, so that room is left for the others. */
export class FairBudget {
  readonly #all: ByteBudget
  readonly #holders = new Map<string, { bytes: number; shares: number }>()

  constructor(maxBytes: number) {
    this.#all = new ByteBudget(maxBytes)
  }

  /** How many bytes are held now. */
  get held(): number {
    return this.#all.held
  }

  /** Opens a share that counts against each of these holders; null when one of them has as many as it may. */
  open(holders: readonly Holder[]): Share | null {
    const isFull = ({ maxShares, name }: Holder) =>
      maxShares !== undefined && (this.#holders.get(name)?.shares ?? 0) >= maxShares
    if (holders.some(isFull)) return null
    const counts = holders.map(({ maxBytes, name }) => {
      const count = this.#holders.get(name) ?? { bytes: 0, shares: 0 }
      this.#holders.set(name, count)
      count.shares++
      return { count, maxBytes, name }
    })
    let held = 0
    const add = (bytes: number) => {
      held += bytes
      for (const { count } of counts) count.bytes += bytes
    }
    let isOpen = true
    return {
      take: (bytes) => {
        const fits = isOpen && counts.every(({ count, maxBytes }) => count.bytes + bytes <= maxBytes)
        if (!fits || !this.#all.take(bytes)) return false
        add(bytes)
        return true
      },
      give: (bytes) => {
        if (!isOpen) return
        this.#all.give(bytes)
        add(-bytes)
      },
      close: () => {
        if (!isOpen) return
        isOpen = false
        this.#all.give(held)
        add(-held)
        for (const { count, name } of counts) if (--count.shares === 0) this.#holders.delete(name)
      },
    }
  }
}
