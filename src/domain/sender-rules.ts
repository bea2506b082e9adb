import { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import type { SenderInfo } from './float.ts'
import { priceHasDoubled } from './price.ts'
import type { OfferDetails } from './skipped-offer.ts'
import { expectedValue, isUint256, type PricePerPixel, type TicketParams } from './ticket.ts'
import { isUnlockingSoon } from './ticket-rules.ts'

/** Params within this many L1 blocks of their end are no longer used (payments.md §1). */
const EXPIRY_SAFETY_BLOCKS = 1n

/**
 * Why a sender does not pay by an offer: `params-expired` requires a new offer, `sender-cannot-pay` holds for every
 * recipient, `funds-unknown` may pass; the others are up to the recipient.
 */
export type SenderRefusal =
  | 'params-expired'
  | 'sender-cannot-pay'
  | 'funds-unknown'
  | 'params-refused'
  | 'no-price'
  | 'price-doubled'

/** Limits of a sender (payments.md §1). */
export interface SenderLimits {
  /** Highest expected value of a ticket, in wei. */
  readonly maxTicketEv: Rational
  /** Highest expected value of all tickets of a payment, in wei. */
  readonly maxTotalEv: Rational
  /** The face value must not exceed the deposit divided by this; above 0. */
  readonly depositMultiplier: bigint
}

/** What a sender knows when it checks an offer. */
export interface SenderContext {
  readonly funds: SenderInfo
  readonly limits: SenderLimits
  readonly lastInitializedRound: bigint
  readonly l1Block: bigint
  /** How many tickets the payment will have. */
  readonly tickets: number
}

/** Whether params are too close to their end to pay with (payments.md §6, check 3). */
export function areParamsExpired(params: TicketParams, l1Block: bigint): boolean {
  return params.expirationBlock - l1Block <= EXPIRY_SAFETY_BLOCKS
}

/**
 * Checks a recipient's params against the sender's funds and limits, in the order of payments.md §6. Throws
 * NodeError<SenderRefusal> with the network's texts.
 */
export function validateParams(
  params: TicketParams | null,
  context: SenderContext,
): asserts params is TicketParams {
  const { funds, limits } = context
  if (params === null) throw refusal('params-refused', 'ticketParams is nil')
  if (params.expirationBlock === 0n) throw refusal('params-refused', 'ticketParams expiration block is 0')
  if (areParamsExpired(params, context.l1Block)) throw refusal('params-expired', 'TicketParams expired')
  if (!isUint256(params.faceValue) || !isUint256(params.winProb)) {
    throw refusal('params-refused', 'ticketParams has a number of more than 256 bits')
  }
  const ev = expectedValue(params.faceValue, params.winProb)
  if (ev.sign <= 0) return
  if (ev.cmp(Rational.of(params.faceValue)) >= 0) {
    throw refusal('params-refused', `ticket faceValue too low faceValue=${params.faceValue}`)
  }
  if (ev.cmp(limits.maxTicketEv) > 0) {
    const max = limits.maxTicketEv.toFixed(5)
    throw refusal('params-refused', `ticket EV ${ev.toFixed(5)} > max ticket EV ${max}`, { ticketEv: ev })
  }
  if (isUnlockingSoon(funds.withdrawRound, context.lastInitializedRound)) {
    throw refusal('sender-cannot-pay', 'unable to validate sender: deposit and reserve is set to unlock soon')
  }
  if (funds.fundsRemaining <= 0n) throw refusal('sender-cannot-pay', 'no sender reserve')
  if (funds.deposit <= 0n) throw refusal('sender-cannot-pay', 'no sender deposit')
  const total = ev.mul(Rational.of(BigInt(context.tickets)))
  if (total.cmp(limits.maxTotalEv) > 0) {
    const max = limits.maxTotalEv.toFixed(5)
    throw refusal(
      'params-refused',
      `total ticket EV ${total.toFixed(5)} for ${context.tickets} tickets > max total ticket EV ${max}`,
    )
  }
  const maxFaceValue = funds.deposit / limits.depositMultiplier
  if (params.faceValue > maxFaceValue) {
    const { faceValue } = params
    throw refusal('params-refused', `ticket faceValue ${faceValue} > max faceValue ${maxFaceValue}`, {
      faceValue,
    })
  }
}

/** Refuses a price of more than twice the session's initial one: NodeError `price-doubled` (payments.md §6). */
export function validatePrice(initial: PricePerPixel, current: PricePerPixel): void {
  if (!priceHasDoubled(initial, current)) return
  throw refusal(
    'price-doubled',
    `Orchestrator price has more than doubled, Orchestrator price: ${fraction(current)}, Orchestrator initial price: ${fraction(initial)}`,
  )
}

function fraction(price: PricePerPixel): string {
  return `${price.num}/${price.den}`
}

function refusal(code: SenderRefusal, message: string, details?: OfferDetails): NodeError<SenderRefusal> {
  return new NodeError<SenderRefusal>(code, message, details && { details })
}
