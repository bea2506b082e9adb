import { ByteBudget, type Room } from './request-body.ts'

/** A party whose bytes are counted: a session, a sender, a host. */
export interface Holder {
  /** Unique across all kinds of holders, such as `host 203.0.113.7`. */
  readonly name: string
  /** The most bytes it may hold at a time. */
  readonly maxBytes: number
  /** The most shares it may have open at a time; absent: no limit. */
  readonly maxShares?: number
}

/** The part of a budget that one request holds. */
export interface Share extends Room {
  /** Gives back all bytes still held. */
  close(): void
}

/** A budget of bytes that limits each holder, so that room is left for the others. */
export class FairBudget {
  readonly #all: ByteBudget
  readonly #holders = new Map<string, { bytes: number; shares: number }>()

  constructor(maxBytes: number) {
    this.#all = new ByteBudget(maxBytes)
  }

  /** Bytes held now. */
  get held(): number {
    return this.#all.held
  }

  /** Opens a share that counts against each of these holders; null when one of them has reached its limit. */
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
