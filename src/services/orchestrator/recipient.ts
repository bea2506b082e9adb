import type { Payment, PriceInfo, TicketParams } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Reservation } from './segment-accounts.ts'

/** A segment to be worked on, and what is paid with it. */
export interface SegmentOrder {
  readonly sender: Address
  readonly sessionId: string
  /** Names the stream in events. */
  readonly manifestId: string
  readonly payment: Payment | null
  /** Hash of the segment's bytes. */
  readonly segment: Uint8Array
  /** What it comes to by what its gateway declares. */
  readonly pixels: bigint
  /** How long it may take to arrive and to be worked on. */
  readonly lifeMs: number
}

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
   * Takes a segment's payment as `receive` does, then sets aside the fee of its pixels at the session's price. Throws
   * NodeError `insufficient-balance` when the session's balance does not cover it; the payment is then kept.
   */
  admit(order: SegmentOrder): Promise<Reservation>
}
