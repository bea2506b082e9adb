import type { ChainUpdate } from '../domain/chain.ts'
import type { Ticket } from '../domain/ticket.ts'
import type { Hex } from '../lib/bytes.ts'

/** Redemptions remembered; older ones are forgotten first. */
const MAX_REMEMBERED = 10_000

/** A redemption as the contracts announced it. */
export interface AnnouncedRedemption {
  readonly txHash: Hex
  /** Wei paid to the recipient. */
  readonly paid: bigint
  readonly block: bigint
}

/** What identifies a ticket in the contracts' events. */
type AnnouncedTicket = Pick<Ticket, 'sender' | 'recipient'> & {
  readonly senderNonce: number | bigint
  readonly recipientRand: bigint
}

/** The redemptions lately announced, whoever sent them: how much a ticket paid that was not redeemed under our eyes. */
export class RedemptionLog {
  readonly #known = new Map<string, AnnouncedRedemption>()

  /** Takes in an update; tells whether it announced any redemption. */
  follow(update: ChainUpdate): boolean {
    // What was announced before may be gone; what is still there is found by reading.
    if (update.reorganised) this.#known.clear()
    const transfers = new Map<string, bigint>()
    let any = false
    for (const event of update.events) {
      if (event.kind === 'winning-ticket-transfer') transfers.set(partiesOf(event), event.amount)
      if (event.kind !== 'winning-ticket-redeemed') continue
      // The payment is announced before its redemption; a ticket that paid nothing has none.
      const paid = transfers.get(partiesOf(event)) ?? 0n
      transfers.delete(partiesOf(event))
      this.#known.set(keyOf(event), { txHash: event.txHash, paid, block: event.block })
      if (this.#known.size > MAX_REMEMBERED) this.#known.delete(this.#known.keys().next().value!)
      any = true
    }
    return any
  }

  /** How a ticket was redeemed, if that was announced. */
  find(ticket: AnnouncedTicket): AnnouncedRedemption | null {
    return this.#known.get(keyOf(ticket)) ?? null
  }
}

function partiesOf(event: { txHash: Hex; sender: string; recipient: string }): string {
  return `${event.txHash}/${event.sender}/${event.recipient}`
}

function keyOf({ recipient, recipientRand, sender, senderNonce }: AnnouncedTicket): string {
  return `${sender}/${recipient}/${senderNonce}/${recipientRand}`
}
