import { equalBytes } from '../lib/bytes.ts'
import { type Address, signedBy, ZERO_ADDRESS } from '../lib/crypto.ts'
import { messageOf, NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import { type PriceFault, pricePerPixel } from './price.ts'
import {
  expectedValue,
  isHashable,
  isNonce,
  isWinning,
  type Payment,
  type PricePerPixel,
  recipientRandHash,
  type SignedTicket,
  ticketHash,
  type WinningTicket,
} from './ticket.ts'
import { winProbFor } from './ticket-params.ts'

/** How many nonces may be used with one rand (payments.md §1). */
export const MAX_NONCES_PER_RAND = 600

/** The most tickets of a payment: as many as the limits of a peer's sender allow (payments.md §15). */
export const MAX_TICKETS_PER_PAYMENT = 2500

/** Everything that can be wrong with a received ticket (payments.md §5.1). */
export type TicketFault =
  | 'sender-info-unavailable'
  | 'sender-unlocking'
  | 'wrong-recipient'
  | 'no-sender'
  | 'rand-does-not-match'
  | 'not-as-offered'
  | 'invalid-signature'
  | 'beyond-funds'
  | 'nonce-already-seen'
  | 'too-many-nonces'
  | 'params-expired'

/** A fault of a ticket. The message is the text that peers compare. */
export type TicketError = NodeError<TicketFault>

/**
 * What a fault leads to: the rest of the payment is not checked, or only this ticket is skipped; neither is credited.
 */
export const consequence: Readonly<Record<TicketFault, 'refuse payment' | 'skip ticket'>> = {
  'sender-info-unavailable': 'refuse payment',
  'sender-unlocking': 'refuse payment',
  'wrong-recipient': 'refuse payment',
  'no-sender': 'refuse payment',
  'rand-does-not-match': 'refuse payment',
  'not-as-offered': 'refuse payment',
  'invalid-signature': 'skip ticket',
  'beyond-funds': 'skip ticket',
  'nonce-already-seen': 'skip ticket',
  'too-many-nonces': 'skip ticket',
  'params-expired': 'skip ticket',
}

/** Everything that can be wrong with a payment as a whole (payments.md §5.2). */
export type PaymentFault =
  | 'sender-missing'
  | 'recipient-inactive'
  | 'invalid-expected-price'
  | 'malformed-payment'
  | 'too-many-tickets'

/** The error for a sender whose funds cannot be read (payments.md §5.1, first check). */
export function senderInfoUnavailable(sender: Address, cause: unknown): TicketError {
  const text = `could not get sender info for ${sender}: ${messageOf(cause)}`
  return new NodeError<TicketFault>('sender-info-unavailable', text, { cause })
}

/** What every offer of a recipient has in common, known without the commitment. */
export interface OfferTerms {
  /** Expected value of a ticket in wei; 0 if the price is 0, when tickets are worthless. */
  readonly ticketEv: bigint
  /** The largest face value that is offered, in wei; 0 for no limit. */
  readonly maxFaceValue: bigint
}

/** What a recipient knows when it checks a ticket. */
export interface TicketContext {
  readonly recipient: Address
  /** Recomputed from the params that the sender returned. */
  readonly recipientRand: bigint
  readonly terms: OfferTerms
  /**
   * The most that tickets of the sender can be paid while valid, in wei: its deposit and this recipient's share of its
   * reserve.
   */
  readonly funds: bigint
  /** The sender's; 0 if its funds are locked. */
  readonly withdrawRound: bigint
  readonly lastInitializedRound: bigint
  readonly l1Block: bigint
  readonly nonceSeen: boolean
  /** How many nonces of this rand are used already. */
  readonly noncesStored: number
}

/** The result of checking one ticket. A faulty ticket may still win, and the win is then kept. */
export interface Judgement {
  readonly ticket: SignedTicket
  readonly recipientRand: bigint
  readonly fault: TicketError | null
  readonly won: boolean
}

/** What a recipient must know to examine a ticket. */
export type ExaminationContext = Pick<
  TicketContext,
  'recipient' | 'recipientRand' | 'terms' | 'withdrawRound' | 'lastInitializedRound'
>

/** What a recipient must know to judge the use of an examined ticket. */
export type UseContext = Pick<TicketContext, 'funds' | 'l1Block' | 'nonceSeen' | 'noncesStored'>

/** Checks one received ticket in the order of payments.md §5.1. Never throws. */
export function judgeTicket(ticket: SignedTicket, context: TicketContext): Judgement {
  return judgeUse(examineTicket(ticket, context), context)
}

/** The checks that do not depend on which nonces were used: all that take time. Never throws. */
function examineTicket(ticket: SignedTicket, context: ExaminationContext): Judgement {
  const { recipientRand } = context
  const refusal = refusalOf(ticket, context)
  if (refusal) return { ticket, recipientRand, fault: refusal, won: false }
  if (!signedBy(ticket.sender, ticketHash(ticket), ticket.sig)) {
    const fault = new NodeError<TicketFault>('invalid-signature', 'invalid ticket signature')
    return { ticket, recipientRand, fault, won: false }
  }
  return { ticket, recipientRand, fault: null, won: isWinning(ticket.sig, recipientRand, ticket.winProb) }
}

function judgeUse(examined: Judgement, context: UseContext): Judgement {
  return examined.fault ? examined : { ...examined, fault: faultOfUse(examined.ticket, context) }
}

function refusalOf(ticket: SignedTicket, context: ExaminationContext): TicketError | null {
  if (isUnlockingSoon(context.withdrawRound, context.lastInitializedRound)) {
    return new NodeError<TicketFault>(
      'sender-unlocking',
      `deposit and reserve for sender ${ticket.sender} is set to unlock soon`,
    )
  }
  if (ticket.recipient !== context.recipient) {
    return new NodeError<TicketFault>('wrong-recipient', 'invalid ticket recipient')
  }
  if (ticket.sender === ZERO_ADDRESS) return new NodeError<TicketFault>('no-sender', 'invalid ticket sender')
  // Numbers that cannot be hashed were never in an offer.
  if (!isHashable(ticket) || !commitsTo(ticket.recipientRandHash, context.recipientRand)) {
    return new NodeError<TicketFault>(
      'rand-does-not-match',
      'invalid recipientRand for ticket recipientRandHash',
    )
  }
  return faultOfTerms(ticket, context.terms)
}

/**
 * Checks a ticket against this recipient's terms independently of its commitment: a second safeguard, because a ticket
 * worth less than its credit costs money.
 */
function faultOfTerms({ faceValue, winProb }: SignedTicket, terms: OfferTerms): TicketError | null {
  const { maxFaceValue, ticketEv } = terms
  if (winProb !== winProbFor(ticketEv, faceValue)) {
    return new NodeError<TicketFault>(
      'not-as-offered',
      `invalid ticket winProb: faceValue=${faceValue} winProb=${winProb} is not worth ${ticketEv} wei`,
    )
  }
  if (maxFaceValue > 0n && faceValue > maxFaceValue) {
    return new NodeError<TicketFault>(
      'not-as-offered',
      `invalid ticket faceValue: ${faceValue} is more than the ${maxFaceValue} wei that are offered`,
    )
  }
  return null
}

function faultOfUse(ticket: SignedTicket, context: UseContext): TicketError | null {
  if (ticket.faceValue > context.funds) {
    return new NodeError<TicketFault>(
      'beyond-funds',
      `invalid ticket faceValue: ${ticket.faceValue} is more than the ${context.funds} wei that deposit and reserve can pay`,
    )
  }
  if (context.nonceSeen) {
    return new NodeError<TicketFault>(
      'nonce-already-seen',
      `invalid ticket senderNonce: already seen ${whose(ticket)}`,
    )
  }
  if (context.noncesStored >= MAX_NONCES_PER_RAND) {
    return new NodeError<TicketFault>(
      'too-many-nonces',
      `invalid ticket senderNonce: too many values ${whose(ticket)}`,
    )
  }
  if (ticket.paramsExpirationBlock <= context.l1Block) {
    return new NodeError<TicketFault>('params-expired', 'TicketParams expired')
  }
  return null
}

function whose(ticket: SignedTicket): string {
  return `sender=${ticket.sender} nonce=${ticket.senderNonce}`
}

/** Whether a sender may soon withdraw its funds, so that its tickets could not be redeemed (payments.md §5.1). */
export function isUnlockingSoon(withdrawRound: bigint, lastInitializedRound: bigint): boolean {
  return withdrawRound !== 0n && withdrawRound <= lastInitializedRound + 1n
}

/** The tickets of a payment share the rand, which is hashed only once. */
let lastCommitment: { readonly rand: bigint; readonly hash: Uint8Array } | null = null

function commitsTo(hash: Uint8Array, rand: bigint): boolean {
  if (lastCommitment?.rand !== rand) lastCommitment = { rand, hash: recipientRandHash(rand) }
  return equalBytes(lastCommitment.hash, hash)
}

/**
 * Checks a payment before its tickets and returns the price that the sender agreed to (payments.md §5.2, points 1, 3
 * and 4). Throws NodeError<PaymentFault> with the text for the peer.
 */
export function checkPayment(
  payment: Payment,
  context: { recipient: Address; isActive: boolean; lastInitializedRound: bigint },
): PricePerPixel {
  if (payment.sender === ZERO_ADDRESS) {
    throw paymentFault('sender-missing', 'Could not find Sender for payment: it names no sender')
  }
  if (!context.isActive) {
    throw paymentFault(
      'recipient-inactive',
      `orchestrator ${context.recipient} is inactive in round ${context.lastInitializedRound}, cannot process payments`,
    )
  }
  return expectedPriceOf(payment)
}

/** The price in a payment. Throws NodeError `invalid-expected-price` (payments.md §5.2, point 4). */
export function expectedPriceOf(payment: Payment): PricePerPixel {
  try {
    if (payment.expectedPrice === null) throw new NodeError<PriceFault>('no-price', 'expected price is nil')
    return pricePerPixel(payment.expectedPrice)
  } catch (error) {
    throw paymentFault(
      'invalid-expected-price',
      `invalid expected price sent with payment err=${JSON.stringify(messageOf(error))}`,
    )
  }
}

function paymentFault(code: PaymentFault, message: string): NodeError<PaymentFault> {
  return new NodeError<PaymentFault>(code, message)
}

/**
 * The complete tickets of a payment; none if it has no params. Throws NodeError `malformed-payment` or
 * `too-many-tickets`.
 */
export function ticketsOf(payment: Payment): SignedTicket[] {
  const { ticketParams: params, expirationParams, sender, tickets } = payment
  if (params === null) return []
  if (tickets.length > MAX_TICKETS_PER_PAYMENT) {
    throw paymentFault(
      'too-many-tickets',
      `a payment carries at most ${MAX_TICKETS_PER_PAYMENT} tickets, not ${tickets.length}`,
    )
  }
  if (expirationParams === null) {
    throw paymentFault('malformed-payment', 'payment has ticket params without expiration params')
  }
  return tickets.map(({ senderNonce, sig }) => {
    if (!isNonce(senderNonce)) {
      throw paymentFault('malformed-payment', `a sender nonce is an integer of 32 bits, not ${senderNonce}`)
    }
    return {
      recipient: params.recipient,
      sender,
      faceValue: params.faceValue,
      winProb: params.winProb,
      senderNonce,
      recipientRandHash: params.recipientRandHash,
      expirationParams,
      paramsExpirationBlock: params.expirationBlock,
      sig,
    }
  })
}

/** What a recipient knows when it checks the tickets of a payment, which all have the same rand. */
export type PaymentContext = Omit<TicketContext, 'nonceSeen' | 'noncesStored'> & {
  readonly seenNonces: ReadonlySet<number>
}

/**
 * Checks the tickets of a payment in order, each with the nonces before it, up to the first that refuses the payment.
 */
export function judgeTickets(tickets: readonly SignedTicket[], context: PaymentContext): Judgement[] {
  return judgeExamined(examineTickets(tickets, context), context)
}

/**
 * Makes the checks of a payment's tickets that do not depend on which nonces were used, up to the first that refuses the
 * payment: these need not be made again when a nonce turns out to be used.
 */
export function examineTickets(
  tickets: readonly SignedTicket[],
  context: ExaminationContext,
): readonly Judgement[] {
  const examined: Judgement[] = []
  for (const ticket of tickets) {
    examined.push(examineTicket(ticket, context))
    if (refusesPayment(examined.at(-1)!)) break
  }
  return examined
}

/** Judges examined tickets in order, each with the nonces before it. */
export function judgeExamined(
  examined: readonly Judgement[],
  context: Pick<PaymentContext, 'funds' | 'l1Block' | 'seenNonces'>,
): Judgement[] {
  const taken = new Set<number>()
  return examined.map((each) => {
    const { senderNonce } = each.ticket
    const judged = judgeUse(each, {
      ...context,
      nonceSeen: context.seenNonces.has(senderNonce) || taken.has(senderNonce),
      noncesStored: context.seenNonces.size + taken.size,
    })
    if (takesNonce(judged)) taken.add(senderNonce)
    return judged
  })
}

/** The result of a payment. */
export interface Settlement {
  /** Wei to credit; 0 if the payment is refused. */
  readonly credit: Rational
  /** Winning tickets, which are kept even if the payment is refused. */
  readonly winners: readonly WinningTicket[]
  /** To be stored until their params expire; none if the payment is refused. */
  readonly nonces: readonly number[]
  /**
   * What the peer is told: the fault that refused the payment, otherwise the last one found; null if it is accepted.
   */
  readonly error: TicketError | null
}

/**
 * Settles a payment. If all tickets are good it is accepted; any fault refuses the whole payment, and nothing is
 * credited or used up, but winning tickets are kept (payments.md §5.1, §5.2).
 */
export function settlePayment(judgements: readonly Judgement[]): Settlement {
  const winners: WinningTicket[] = []
  const nonces: number[] = []
  let credit = Rational.zero
  let error: TicketError | null = null
  let previous: SignedTicket | null = null
  let ev = Rational.zero
  for (const judged of judgements) {
    const { ticket, recipientRand, fault, won } = judged
    if (fault) error = fault
    if (refusesPayment(judged)) break
    if (won) winners.push({ ...ticket, recipientRand })
    if (error) continue
    nonces.push(ticket.senderNonce)
    // The tickets of a payment have the same expected value, computed once.
    if (previous?.faceValue !== ticket.faceValue || previous.winProb !== ticket.winProb) {
      ev = expectedValue(ticket.faceValue, ticket.winProb)
    }
    previous = ticket
    credit = credit.add(ev)
  }
  return error ? { credit: Rational.zero, winners, nonces: [], error } : { credit, winners, nonces, error }
}

/** Within a payment, a ticket uses its nonce if it passes every check but the last (payments.md §5.1). */
function takesNonce({ fault }: Judgement): boolean {
  return fault === null || fault.code === 'params-expired'
}

function refusesPayment({ fault }: Judgement): boolean {
  return fault !== null && consequence[fault.code] === 'refuse payment'
}
