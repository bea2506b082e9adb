import type { StoredTransaction } from '../../domain/transaction.ts'
import type { RawReceipt } from './raw-log.ts'

/** Mined transactions that are remembered; a chain is reorganised for a few blocks at most. */
const MAX_REMEMBERED = 64
/** A mined transaction without a receipt is taken for undone after this many checks. */
const UNMINED_LOOKS = 3

interface Mined {
  stored: StoredTransaction
  block: bigint
  /** Whether the chain has been followed to its block: a reorganisation before that is not announced. */
  isFollowed: boolean
  /** How often no receipt was found since it became doubtful; null while it is not doubtful. */
  missedLooks: number | null
}

/** The transactions mined lately, which a reorganisation may undo. */
export class MinedTransactions {
  #mined: Mined[] = []
  #head = 0n

  add(stored: StoredTransaction, block: bigint): void {
    this.#mined.push({ stored, block, isFollowed: block <= this.#head, missedLooks: null })
    if (this.#mined.length > MAX_REMEMBERED) this.#mined.shift()
  }

  /** Adds transactions mined before a restart: each is doubtful, since the chain may have been reorganised meanwhile. */
  restore(mined: readonly StoredTransaction[]): void {
    for (const stored of mined) {
      this.#mined.push({ stored, block: 0n, isFollowed: true, missedLooks: 0 })
    }
  }

  /** Takes in an update of the chain: after a reorganisation transactions become doubtful. */
  follow(update: { head: bigint; reorganised: boolean; keptTo: bigint }): void {
    this.#head = update.head
    for (const mined of this.#mined) {
      const isNewlyFollowed = !mined.isFollowed && mined.block <= update.head
      if (isNewlyFollowed) mined.isFollowed = true
      if (isNewlyFollowed || (update.reorganised && mined.block > update.keptTo)) mined.missedLooks ??= 0
    }
  }

  get areDoubtful(): boolean {
    return this.#mined.some(({ missedLooks }) => missedLooks !== null)
  }

  /**
   * Checks the doubtful: returns and forgets those no longer mined. `used`: how many nonces are used. `confirmed` gives
   * the record of one that is still mined, which may have cost another fee in another block.
   */
  async undone(
    used: number,
    receiptOf: (stored: StoredTransaction) => Promise<RawReceipt | null>,
    confirmed: (stored: StoredTransaction, receipt: RawReceipt) => Promise<StoredTransaction>,
  ): Promise<StoredTransaction[]> {
    const undone: Mined[] = []
    for (const mined of this.#mined) {
      if (mined.missedLooks === null) continue
      const receipt = await receiptOf(mined.stored)
      if (receipt) {
        mined.stored = await confirmed(mined.stored, receipt)
        mined.block = receipt.blockNumber
        mined.missedLooks = null
        // A lagging endpoint has no receipt and counts the nonce as unused too: it is asked several times.
      } else if (used <= mined.stored.nonce && ++mined.missedLooks >= UNMINED_LOOKS) undone.push(mined)
    }
    this.#mined = this.#mined.filter((mined) => !undone.includes(mined))
    return undone.map(({ stored }) => stored)
  }
}
