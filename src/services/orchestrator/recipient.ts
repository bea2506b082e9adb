import type { Payment, PriceInfo, TicketParams } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Reservation } from './segment-accounts.ts'

/** How this node is paid. Offchain nothing is asked and nothing is charged. */
export interface Recipient {
  /** Params and price to offer a sender; a session keeps the price of its first payment. */
  quote(
    sender: Address,
    sessionId: string | null,
  ): Promise<{ ticketParams: TicketParams | null; priceInfo: PriceInfo | null }>
  /**
   * Judges a payment and resolves only when credit, nonces and winners are on disk. The error's text is for the peer.
   * `manifestId` names the stream in events.
   */
  receive(payment: Payment, sessionId: string, manifestId?: string): Promise<void>
  /**
   * Sets aside the fee of a segment's pixels at the session's price. Throws NodeError `insufficient-balance`
   * when the session's balance does not cover it.
   */
  reserve(sender: Address, sessionId: string, pixels: bigint): Promise<Reservation>
}
