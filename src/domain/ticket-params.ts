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

/** For how many L1 blocks offered params are accepted (payments.md §1). */
export const PARAMS_LIFETIME_BLOCKS = 40n

/** How many random bytes a seed has. */
export const SEED_BYTES = 32

/** A winning ticket is to pay this many times what redeeming it costs (payments.md §1). */
const TX_COST_MULTIPLIER = 100n
/** Without a known cost of redeeming, a winning ticket pays this many tickets' worth (payments.md §1). */
const EXPECTED_VALUE_MULTIPLIER = 100n
/** A face value below the present cost of redeeming is still taken if it is above the cost at 3 gwei (payments.md §4). */
const AVERAGE_GAS_PRICE = 3_000_000_000n

/** Everything an offer says: the recipient's secret number is derived from all of it (payments.md §3). */
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

/** Says what the HMAC is of, so that no other use of the same key can give the same message. */
const RAND_NAME = new TextEncoder().encode('livepeer-ts recipient rand 1')
const BOUND_INTEGERS = 7
/** The name, two addresses, the integers and a block hash, each at a place and a width of its own. */
const RAND_MESSAGE_BYTES = RAND_NAME.length + 2 * 20 + (BOUND_INTEGERS + 1) * 32
const randMessage = new Uint8Array(RAND_MESSAGE_BYTES)
randMessage.set(RAND_NAME)

/**
 * The message under the HMAC of a secret number: every field has a fixed place and width, so that two different offers
 * never give the same bytes (payments.md §3). The bytes are overwritten by the next call. Throws NodeError
 * `negative-integer` or `integer-too-wide` for numbers outside 0 to 2^256 − 1, and `bad-ticket` for a block hash that is
 * not 32 bytes: no offer has them.
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
 * The secret number of one offer: an HMAC over the whole offer. Nothing is stored for an offer, and one that comes back
 * changed fails its commitment (payments.md §3). `secret` has 32 bytes. Throws as `randPreimage`.
 */
export function recipientRand(secret: Uint8Array, q: RandBinding): bigint {
  return bytesToInt(hmacSha256(secret, randPreimage(q)))
}

/** The secret number that a received payment must match; `null` without params and expiration params. */
export function recipientRandOf(
  secret: Uint8Array,
  payment: Payment,
  expectedPrice: PricePerPixel,
): bigint | null {
  const { ticketParams, expirationParams, sender } = payment
  if (!ticketParams || !expirationParams) return null
  return recipientRand(secret, { ...ticketParams, sender, price: expectedPrice, expirationParams })
}

/** What a recipient offers to one sender: the commitment computed, the rest as given. */
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

/** What decides the face value that a recipient asks of a sender. */
export interface FaceValueSettings {
  /** Wei that a ticket is to be worth on average. */
  readonly expectedValue: bigint
  /** Gas that redeeming a ticket takes. */
  readonly redeemGas: bigint
  /** Wei a gas; 0 when not known. */
  readonly gasPrice: bigint
  /** What the sender's funds cover. */
  readonly maxFloat: bigint
  /** The operator's limit; 0 for none. */
  readonly maxFaceValue: bigint
}

/**
 * How much a winning ticket pays and how often one wins, so that redeeming costs a hundredth and the sender's funds
 * cover it (payments.md §4). Throws NodeError `insufficient-sender-reserve` when the funds are too low.
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

/** The chance at which a ticket of this face value is worth `ev` wei: rounded up, so that it is never worth less. */
export function winProbFor(ev: bigint, faceValue: bigint): bigint {
  if (faceValue === 0n) return 0n
  if (faceValue === ev) return MAX_WIN_PROB
  return smaller(ev * Rational.of(MAX_WIN_PROB, faceValue).ceil(), MAX_WIN_PROB)
}

/** How many times the cost of redeeming a winning ticket pays; 0 when the cost is not known (payments.md §4). */
export function txCostMultiplier(faceValue: bigint, txCost: bigint): Rational {
  return txCost > 0n ? Rational.of(faceValue, txCost) : Rational.zero
}
