import { type ChainUpdate, isConfirmed } from '../../domain/chain.ts'
import type { Hex } from '../../lib/bytes.ts'

/** Redemptions remembered; older ones are forgotten first. */
const MAX_REMEMBERED = 10_000

/** A redemption announced by an event. */
export interface AnnouncedRedemption {
  readonly txHash: Hex
  /** Wei paid to the recipient. */
  readonly paid: bigint
  readonly block: bigint
}

/** Recently announced redemptions, whichever account sent them, by ticket hash. */
export class RedemptionLog {
  readonly #known = new Map<Hex, AnnouncedRedemption>()
  /** Tickets whose redemption is not confirmed yet. */
  readonly #young = new Set<Hex>()

  /** Processes an update; returns the tickets whose redemption it confirms. */
  follow(update: ChainUpdate): Hex[] {
    if (update.reorganised) this.#forgetBeyond(update.keptTo ?? -1n)
    this.add(update.events)
    const confirmed: Hex[] = []
    for (const id of this.#young) {
      const known = this.#known.get(id)
      if (known && !isConfirmed(known.block, update.head.number)) continue
      this.#young.delete(id)
      if (known) confirmed.push(id)
    }
    return confirmed
  }

  /** Adds events, in chain order. */
  add(events: ChainUpdate['events']): void {
    const transfers = new Map<string, bigint>()
    for (const event of events) {
      if (event.kind === 'winning-ticket-transfer') transfers.set(partiesOf(event), event.amount)
      if (event.kind !== 'winning-ticket-redeemed') continue
      // The payment is announced before its redemption; a ticket that paid nothing has none.
      const paid = transfers.get(partiesOf(event)) ?? 0n
      transfers.delete(partiesOf(event))
      this.#known.set(event.ticketHash, { txHash: event.txHash, paid, block: event.block })
      this.#young.add(event.ticketHash)
      if (this.#known.size > MAX_REMEMBERED) this.#known.delete(this.#known.keys().next().value!)
    }
  }

  /** How a ticket was redeemed, if that was announced. */
  find(id: Hex): AnnouncedRedemption | null {
    return this.#known.get(id) ?? null
  }

  /** An announced redemption turned out not to be in the chain. */
  forget(id: Hex): void {
    this.#known.delete(id)
  }

  #forgetBeyond(block: bigint): void {
    for (const [id, known] of this.#known) if (known.block > block) this.#known.delete(id)
  }
}

function partiesOf(event: { txHash: Hex; sender: string; recipient: string }): string {
  return `${event.txHash}/${event.sender}/${event.recipient}`
}
