import { compareBytes, intToFixedBytes, leftPad, writeUint256 } from '../lib/bytes.ts'
import { type Address, keccak256, writeAddress } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'

/** Why a ticket cannot be read or hashed. */
export type TicketShapeFault = 'bad-ticket'

/** The denominator of win probabilities. A ticket with this win prob wins in all cases but one in 2^256. */
export const MAX_WIN_PROB = 2n ** 256n - 1n

/** creation_round is an int64 on the wire (payments.md §2). */
const MAX_ROUND = 2n ** 63n - 1n
const MAX_NONCE = 2 ** 32 - 1
const MAX_UINT256 = 2n ** 256n - 1n

/** The round in which a ticket was created, and that round's block hash; the chain checks both (payments.md §3). */
export interface ExpirationParams {
  readonly creationRound: bigint
  /** 32 bytes. */
  readonly creationRoundBlockHash: Uint8Array
}

/** A recipient's requirements for the tickets of one sender, valid for some L1 blocks (payments.md §2, §4). */
export interface TicketParams {
  readonly recipient: Address
  /** Wei that a winning ticket pays. */
  readonly faceValue: bigint
  /** Numerator over 2^256 − 1. */
  readonly winProb: bigint
  /** 32 bytes: the commitment to the recipient's rand. */
  readonly recipientRandHash: Uint8Array
  /** The number from which the recipient recomputes its rand. */
  readonly seed: bigint
  /** First L1 block in which the params are no longer accepted. */
  readonly expirationBlock: bigint
  readonly expirationParams: ExpirationParams
}

/** One ticket as it is hashed, signed and sent to the chain (payments.md §3). */
export interface Ticket {
  readonly recipient: Address
  readonly sender: Address
  readonly faceValue: bigint
  readonly winProb: bigint
  readonly senderNonce: number
  /** 32 bytes. */
  readonly recipientRandHash: Uint8Array
  readonly expirationParams: ExpirationParams
  /** L1 block at which its params expire; not hashed. */
  readonly paramsExpirationBlock: bigint
}

/** A ticket with its sender's signature. */
export interface SignedTicket extends Ticket {
  /** 65 bytes r‖s‖v. */
  readonly sig: Uint8Array
}

/** A winning ticket with everything needed to redeem it. */
export interface WinningTicket extends SignedTicket {
  /** The recipient's rand, revealed at redemption. */
  readonly recipientRand: bigint
}

/** One ticket of a payment on the wire; the rest is in the payment's params. */
export interface SenderParams {
  readonly senderNonce: number
  readonly sig: Uint8Array
}

/** The content of `Livepeer-Payment` (payments.md §2). */
export interface Payment {
  readonly sender: Address
  /** Absent when no tickets are needed. */
  readonly ticketParams: TicketParams | null
  readonly expirationParams: ExpirationParams | null
  readonly tickets: readonly SenderParams[]
  /**
   * The price that the sender agreed to, in wei per pixel; null if the sender gave none. pixelsPerUnit may be 0 on the
   * wire.
   */
  readonly expectedPrice: PriceInfo | null
}

/** A payment that names sender and price alone: the session's credit is to do. */
export function withoutTickets(payment: Payment): Payment {
  return { ...payment, ticketParams: null, expirationParams: null, tickets: [] }
}

/** A price on the wire: wei per `pixelsPerUnit` pixels. Both are int64 and unchecked. */
export interface PriceInfo {
  readonly pricePerUnit: bigint
  readonly pixelsPerUnit: bigint
}

/** A price for computation: wei per pixel. */
export type PricePerPixel = Rational

/**
 * The aux data of a ticket: round ‖ block hash, 32 bytes each; empty if both are zero (payments.md §3). Throws
 * NodeError `bad-ticket` for a round below 0 or beyond int64.
 */
export function auxData(p: ExpirationParams): Uint8Array {
  const aux = new Uint8Array(64)
  return aux.subarray(0, writeAuxData(aux, 0, p))
}

/** Writes the aux data of a ticket into `target` at `offset` and returns its length. */
export function writeAuxData(target: Uint8Array, offset: number, p: ExpirationParams): 0 | 64 {
  if (p.creationRound < 0n || p.creationRound > MAX_ROUND) {
    throw new NodeError<TicketShapeFault>(
      'bad-ticket',
      `a creation round is between 0 and ${MAX_ROUND}, not ${p.creationRound}`,
    )
  }
  if (p.creationRound === 0n && isZeroHash(p.creationRoundBlockHash)) return 0
  writeUint256(target, offset, p.creationRound)
  writeHash(target, offset + 32, p.creationRoundBlockHash)
  return 64
}

/** Whether a hash is empty or 32 zero bytes, which on the wire means there is none. */
export function isZeroHash(hash: Uint8Array): boolean {
  return hash.every((byte) => byte === 0)
}

function writeHash(target: Uint8Array, offset: number, hash: Uint8Array): void {
  target.set(hash.length === 32 ? hash : leftPad(hash, 32), offset)
}

/** Whether all numbers of a ticket fit into their fields; other tickets must be refused on input (payments.md §3). */
export function isHashable(t: Ticket): boolean {
  const { creationRound, creationRoundBlockHash } = t.expirationParams
  return (
    isNonce(t.senderNonce) &&
    isUint256(t.faceValue) &&
    isUint256(t.winProb) &&
    t.recipientRandHash.length === 32 &&
    creationRoundBlockHash.length <= 32 &&
    creationRound >= 0n &&
    creationRound <= MAX_ROUND
  )
}

/** Whether a number is a sender nonce: an integer of 32 bits (payments.md §2). */
export function isNonce(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_NONCE
}

/** Whether a number fits into the chain's 32 bytes. */
export function isUint256(value: bigint): boolean {
  return value >= 0n && value <= MAX_UINT256
}

/** Every received ticket is hashed, so the buffer is allocated once. */
const preimage = new Uint8Array(232)
const preimageView = new DataView(preimage.buffer)
const preimageWithoutAux = preimage.subarray(0, 168)

/**
 * The hash that a sender signs and the chain recomputes (payments.md §3). Throws NodeError `negative-integer`,
 * `integer-too-wide` or `bad-ticket` for numbers that do not fit into their fields.
 */
export function ticketHash(t: Ticket): Uint8Array {
  if (!isNonce(t.senderNonce)) {
    throw new NodeError<TicketShapeFault>(
      'bad-ticket',
      `a sender nonce is an integer of 32 bits, not ${t.senderNonce}`,
    )
  }
  writeAddress(preimage, 0, t.recipient)
  writeAddress(preimage, 20, t.sender)
  writeUint256(preimage, 40, t.faceValue)
  writeUint256(preimage, 72, t.winProb)
  preimageView.setUint32(132, t.senderNonce)
  writeHash(preimage, 136, t.recipientRandHash)
  return keccak256(writeAuxData(preimage, 168, t.expirationParams) === 0 ? preimageWithoutAux : preimage)
}

/** The exact expected value of a ticket: face value × win prob / (2^256 − 1) (payments.md §3). */
export function expectedValue(faceValue: bigint, winProb: bigint): Rational {
  return Rational.of(faceValue * winProb, MAX_WIN_PROB)
}

/** The commitment in the params: keccak-256 of the rand in 32 bytes (payments.md §3). */
export function recipientRandHash(rand: bigint): Uint8Array {
  return keccak256(intToFixedBytes(rand, 32))
}

/** The draw that decides whether a ticket wins: the hash of signature ‖ rand, which must be below the win prob. */
const drawing = new Uint8Array(97)
const bound = new Uint8Array(32)

/** Whether a ticket pays its face value. It takes both the signature and the recipient's rand to know. */
export function isWinning(sig: Uint8Array, recipientRand: bigint, winProb: bigint): boolean {
  if (sig.length !== 65)
    throw new NodeError<TicketShapeFault>('bad-ticket', `a signature has 65 bytes, not ${sig.length}`)
  drawing.set(sig)
  writeUint256(drawing, 65, recipientRand)
  writeUint256(bound, 0, winProb)
  return compareBytes(keccak256(drawing), bound) < 0
}
