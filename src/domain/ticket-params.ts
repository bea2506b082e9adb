import { smaller } from '../lib/bigints.ts'
import { bytesToInt, writeUint256 } from '../lib/bytes.ts'
import { type Address, hmacSha256, writeAddress } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import {
  type ExpirationParams,
  MAX_WIN_PROB,
  type Payment,
  type PricePerPixel,
  recipientRandHash,
  type TicketParams,
} from './ticket.ts'

/** Why no ticket params can be made. */
export type TicketParamsFault = 'bad-ticket' | 'insufficient-sender-reserve'

/** How many L1 blocks params are valid for (payments.md §1). */
export const PARAMS_LIFETIME_BLOCKS = 40n

/** Number of random bytes in a seed. */
export const SEED_BYTES = 32

/** A winning ticket should pay this many times its redemption cost (payments.md §1). */
const TX_COST_MULTIPLIER = 100n
/** If the redemption cost is unknown, a winning ticket pays this many tickets' worth (payments.md §1). */
const EXPECTED_VALUE_MULTIPLIER = 100n
/** A face value below the current redemption cost is still used if it is above the cost at 3 gwei (payments.md §4). */
const AVERAGE_GAS_PRICE = 3_000_000_000n

/** Everything in an offer; the recipient's rand is derived from all of it (payments.md §3). */
export interface RandBinding {
  readonly recipient: Address
  readonly sender: Address
  readonly seed: bigint
  readonly faceValue: bigint
  readonly winProb: bigint
  readonly expirationBlock: bigint
  readonly price: PricePerPixel
  readonly expirationParams: ExpirationParams
}

/** Names the purpose of the HMAC, so that no other use of the key can have the same preimage. */
const RAND_NAME = new TextEncoder().encode('livepeer-ts recipient rand 1')
const BOUND_INTEGERS = 7
/** The name, two addresses, the integers and a block hash, each with a fixed place and width. */
const RAND_MESSAGE_BYTES = RAND_NAME.length + 2 * 20 + (BOUND_INTEGERS + 1) * 32
const randMessage = new Uint8Array(RAND_MESSAGE_BYTES)
randMessage.set(RAND_NAME)

/**
 * The preimage of a rand's HMAC: every field has a fixed place and width, so that different offers never have the same
 * preimage (payments.md §3). The next call overwrites the returned bytes. Throws NodeError `negative-integer` or
 * `integer-too-wide` for numbers outside 0 to 2^256 − 1, and `bad-ticket` for a block hash that is not 32 bytes; no
 * offer has them.
 */
export function randPreimage(q: RandBinding): Uint8Array {
  const { creationRound, creationRoundBlockHash } = q.expirationParams
  if (creationRoundBlockHash.length !== 32) {
    throw new NodeError<TicketParamsFault>(
      'bad-ticket',
      `a block hash has 32 bytes, not ${creationRoundBlockHash.length}`,
    )
  }
  writeAddress(randMessage, RAND_NAME.length, q.recipient)
  writeAddress(randMessage, RAND_NAME.length + 20, q.sender)
  let at = RAND_NAME.length + 40
  const integers = [
    q.seed,
    q.faceValue,
    q.winProb,
    q.expirationBlock,
    q.price.num,
    q.price.den,
    creationRound,
  ]
  for (const integer of integers) {
    writeUint256(randMessage, at, integer)
    at += 32
  }
  randMessage.set(creationRoundBlockHash, at)
  return randMessage
}

/**
 * The rand of an offer: an HMAC over the whole offer. Offers therefore need no storage, and one that comes back changed
 * fails its commitment (payments.md §3). `secret` has 32 bytes. Throws like `randPreimage`.
 */
export function recipientRand(secret: Uint8Array, q: RandBinding): bigint {
  return bytesToInt(hmacSha256(secret, randPreimage(q)))
}

/** The rand that a received payment must match; `null` without params and expiration params. */
export function recipientRandOf(
  secret: Uint8Array,
  payment: Payment,
  expectedPrice: PricePerPixel,
): bigint | null {
  const { ticketParams, expirationParams, sender } = payment
  if (!ticketParams || !expirationParams) return null
  return recipientRand(secret, { ...ticketParams, sender, price: expectedPrice, expirationParams })
}

/** The params that a recipient offers to one sender, including the computed commitment. */
export function ticketParamsFor(secret: Uint8Array, offer: RandBinding): TicketParams {
  return {
    recipient: offer.recipient,
    faceValue: offer.faceValue,
    winProb: offer.winProb,
    recipientRandHash: recipientRandHash(recipientRand(secret, offer)),
    seed: offer.seed,
    expirationBlock: offer.expirationBlock,
    expirationParams: offer.expirationParams,
  }
}

/** What determines the face value that a recipient asks of a sender. */
export interface FaceValueSettings {
  /** The intended expected value of a ticket, in wei. */
  readonly expectedValue: bigint
  /** Gas of redeeming a ticket. */
  readonly redeemGas: bigint
  /** Wei per gas; 0 if unknown. */
  readonly gasPrice: bigint
  /** What the sender's funds cover. */
  readonly maxFloat: bigint
  /** The operator's limit; 0 for none. */
  readonly maxFaceValue: bigint
}

/**
 * The face value and win probability at which redemption costs a hundredth and the sender's funds cover the face value
 * (payments.md §4). Throws NodeError `insufficient-sender-reserve` if the funds are too low.
 */
export function faceValueAndWinProb(cfg: FaceValueSettings): { faceValue: bigint; winProb: bigint } {
  const ev = cfg.expectedValue
  const txCost = cfg.redeemGas * cfg.gasPrice
  let faceValue = txCost * TX_COST_MULTIPLIER
  if (faceValue < ev) faceValue = ev * EXPECTED_VALUE_MULTIPLIER
  faceValue = smaller(faceValue, cfg.maxFloat)
  if (cfg.maxFaceValue > 0n) faceValue = smaller(faceValue, cfg.maxFaceValue)
  const isBelowEveryCost = faceValue < txCost && faceValue < cfg.redeemGas * AVERAGE_GAS_PRICE
  if (faceValue < 0n || faceValue < ev || isBelowEveryCost) {
    throw new NodeError<TicketParamsFault>('insufficient-sender-reserve', 'insufficient sender reserve', {
      details: { faceValue, txCost, maxFloat: cfg.maxFloat },
    })
  }
  return { faceValue, winProb: winProbFor(ev, faceValue) }
}

/**
 * The win probability at which a ticket of this face value is worth `ev` wei, rounded up so that it is never worth
 * less.
 */
export function winProbFor(ev: bigint, faceValue: bigint): bigint {
  if (faceValue === 0n) return 0n
  if (faceValue === ev) return MAX_WIN_PROB
  return smaller(ev * Rational.of(MAX_WIN_PROB, faceValue).ceil(), MAX_WIN_PROB)
}

/** How many times its redemption cost a winning ticket pays; 0 if the cost is unknown (payments.md §4). */
export function txCostMultiplier(faceValue: bigint, txCost: bigint): Rational {
  return txCost > 0n ? Rational.of(faceValue, txCost) : Rational.zero
}
