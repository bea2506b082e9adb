import type { Address } from '../lib/crypto.ts'
import type { Rational } from '../lib/rational.ts'

/** The round in which a ticket was made, and that round's block hash: the chain checks both (payments.md §3). */
export interface ExpirationParams {
  readonly creationRound: bigint
  /** 32 bytes. */
  readonly creationRoundBlockHash: Uint8Array
}

/** What a recipient demands of the tickets of one sender, valid for some L1 blocks (payments.md §2, §4). */
export interface TicketParams {
  readonly recipient: Address
  /** Wei that a winning ticket pays. */
  readonly faceValue: bigint
  /** Numerator over 2^256 − 1. */
  readonly winProb: bigint
  /** 32 bytes: the commitment to the recipient's secret number. */
  readonly recipientRandHash: Uint8Array
  /** From which the recipient computes its secret number again. */
  readonly seed: bigint
  /** L1 block from which on the params are not accepted any more. */
  readonly expirationBlock: bigint
  readonly expirationParams: ExpirationParams
}

/** One ticket: what is hashed and signed, and what the chain is given (payments.md §3). */
export interface Ticket {
  readonly recipient: Address
  readonly sender: Address
  readonly faceValue: bigint
  readonly winProb: bigint
  readonly senderNonce: number
  /** 32 bytes. */
  readonly recipientRandHash: Uint8Array
  readonly expirationParams: ExpirationParams
  /** L1 block of its params; not hashed. */
  readonly paramsExpirationBlock: bigint
}

/** A ticket with its sender's signature. */
export interface SignedTicket extends Ticket {
  /** 65 bytes r‖s‖v. */
  readonly sig: Uint8Array
}

/** A ticket that won, with all that redeeming it takes. */
export interface WinningTicket extends SignedTicket {
  /** The recipient's secret number, revealed at redemption. */
  readonly recipientRand: bigint
}

/** One ticket of a payment as it travels: the rest is in the payment's params. */
export interface SenderParams {
  readonly senderNonce: number
  readonly sig: Uint8Array
}

/** What comes in `Livepeer-Payment` (payments.md §2). */
export interface Payment {
  readonly sender: Address
  /** Absent when no tickets are needed. */
  readonly ticketParams: TicketParams | null
  readonly expirationParams: ExpirationParams | null
  readonly tickets: readonly SenderParams[]
  /** Wei per pixel as the sender understood it; null when the sender gave none; pixelsPerUnit may be 0 on the wire. */
  readonly expectedPrice: PriceInfo | null
}

/** A price as it travels: wei per `pixelsPerUnit` pixels. Both are int64 on the wire; unchecked. */
export interface PriceInfo {
  readonly pricePerUnit: bigint
  readonly pixelsPerUnit: bigint
}

/** A price as it is computed with: wei per pixel. */
export type PricePerPixel = Rational
