import { smaller } from '../lib/bigints.ts'
import { CONFIRMATIONS } from './chain.ts'
import type { OpenReason } from './ticket-state.ts'

/** Number of rounds in which a ticket can be redeemed, starting with that of its creation (payments.md §1, §13). */
const TICKET_VALIDITY_ROUNDS = 2n

/** In this many last L1 blocks a ticket is redeemed at any profit, unless the round is short. */
const LAST_CHANCE_BLOCKS = 100n
/** The last chance is at most one part in this many of a round. */
const LAST_CHANCE_PART = 3n

/** Redeeming may cost one part in this many of the payout; at the last chance, all of it. */
const MAX_COST_PART = 2n

/** An L1 block of Ethereum comes every 12 seconds. */
const L1_BLOCK_MS = 12_000n

/** A ticket is given up only this many L1 blocks after it expired: contracts and headers may differ slightly. */
const EXPIRY_GRACE_BLOCKS = 3n

/** The state of the chain's rounds. */
export interface RoundClock {
  /** The round of the newest block, initialised or not. */
  readonly currentRound: bigint
  /** L1 block in which that round started. */
  readonly startL1Block: bigint
  /** L1 blocks. */
  readonly roundLength: bigint
  readonly l1Block: bigint
}

/** The round clock at an L1 block, computed from the clock at an earlier or later one. */
export function roundClockAt(
  known: { readonly current: bigint; readonly startL1Block: bigint; readonly length: bigint },
  l1Block: bigint,
): RoundClock {
  const { current, length, startL1Block } = known
  let passed = length > 0n ? (l1Block - startL1Block) / length : 0n
  // Division rounds towards zero.
  if (length > 0n && l1Block < startL1Block + passed * length) passed--
  return {
    currentRound: current + passed,
    startL1Block: startL1Block + passed * length,
    roundLength: length,
    l1Block,
  }
}

/** The first L1 block in which a ticket of this round can no longer be redeemed (payments.md §13). */
export function expiryBlock(creationRound: bigint, clock: RoundClock): bigint {
  const rounds = creationRound + TICKET_VALIDITY_ROUNDS - clock.currentRound
  return clock.startL1Block + rounds * clock.roundLength
}

/** The last round whose tickets can no longer be redeemed in this L1 block. */
export function roundOfExpiry(l1Block: bigint, clock: RoundClock): bigint {
  const { currentRound: current, roundLength: length, startL1Block } = clock
  return roundClockAt({ current, startL1Block, length }, l1Block).currentRound - TICKET_VALIDITY_ROUNDS
}

/** Whether the chain refuses a ticket of this round permanently because of its age (payments.md §13). */
export function isExpired(creationRound: bigint, clock: RoundClock): boolean {
  return isRoundOver(creationRound, clock.currentRound)
}

/** Whether tickets of a round have expired in the current one. */
export function isRoundOver(creationRound: bigint, currentRound: bigint): boolean {
  return creationRound + TICKET_VALIDITY_ROUNDS <= currentRound
}

/** Whether a ticket can be given up: by a confirmed clock it expired some blocks ago. Never without such a clock. */
export function isOver(creationRound: bigint, confirmed: RoundClock | null): boolean {
  if (confirmed === null || !isExpired(creationRound, confirmed)) return false
  return confirmed.l1Block >= expiryBlock(creationRound, confirmed) + EXPIRY_GRACE_BLOCKS
}

/** Whether a ticket must be redeemed now or probably never will be. */
export function isLastChance(creationRound: bigint, clock: RoundClock): boolean {
  const margin = smaller(clock.roundLength / LAST_CHANCE_PART, LAST_CHANCE_BLOCKS)
  return clock.l1Block >= expiryBlock(creationRound, clock) - margin
}

/** The same by a confirmed clock, which is some blocks behind; false without one. */
export function isSurelyLastChance(creationRound: bigint, confirmed: RoundClock | null): boolean {
  if (confirmed === null) return false
  return isLastChance(creationRound, { ...confirmed, l1Block: confirmed.l1Block + CONFIRMATIONS })
}

/**
 * Whether a ticket must wait for its params to expire: redemption reveals the rand, with which the sender could make
 * tickets that never win.
 */
export function paramsAreLive(
  ticket: { paramsExpirationBlock: bigint; expirationParams: { creationRound: bigint } },
  clock: RoundClock,
): boolean {
  if (ticket.paramsExpirationBlock <= clock.l1Block) return false
  return !isLastChance(ticket.expirationParams.creationRound, clock)
}

/**
 * Until when a redeemer that comes after another one leaves a ticket to that one, in ms; null when it does not any more: the
 * ticket has waited for `afterMs`, or its deadline is that near.
 */
export function leftToAnotherUntil(
  ticket: { readonly receivedAtMs: number; readonly creationRound: bigint },
  afterMs: number,
  { clock, nowMs }: { clock: RoundClock; nowMs: number },
): number | null {
  const untilMs = ticket.receivedAtMs + afterMs
  if (afterMs === 0 || nowMs >= untilMs) return null
  const blocks = expiryBlock(ticket.creationRound, clock) - clock.l1Block
  return blocks * L1_BLOCK_MS > BigInt(afterMs) ? untilMs : null
}

/** What is known about a ticket when deciding whether to redeem it. */
export interface RedemptionFacts {
  readonly faceValue: bigint
  /** What the chain would pay now. */
  readonly pays: bigint
  /** What redemption would cost now: gas times gas price. */
  readonly cost: bigint
  readonly lastChance: boolean
  /** Total face value of this sender's tickets in flight. */
  readonly inFlight: bigint
  /** What the sender's tickets can be paid from: its deposit and this recipient's share of its reserve. */
  readonly funds: bigint
}

/** The most that redeeming a ticket may cost, in wei, whatever the gas price: never more than it earns. */
export function costLimit({ pays, lastChance }: { pays: bigint; lastChance: boolean }): bigint {
  return lastChance ? pays : pays / MAX_COST_PART
}

/**
 * Decides whether to redeem now, or what to wait for. A ticket that pays less than its face value is used up all the
 * same, so a partial payment is accepted only at the last chance, and only if it exceeds the cost (payments.md §15;
 * newer.md).
 */
export function decideRedemption(facts: RedemptionFacts): 'redeem' | OpenReason {
  if (facts.pays < facts.faceValue && !facts.lastChance) return 'underfunded'
  if (facts.pays <= facts.cost || facts.cost > costLimit(facts)) {
    return facts.pays < facts.faceValue ? 'underfunded' : 'not-worth-gas'
  }
  // What the chain would pay now may be gone once the others are mined.
  if (facts.inFlight > 0n && facts.funds < facts.inFlight + facts.faceValue) return 'after-others'
  return 'redeem'
}

/** Order of redemption: earliest expiry first, then the highest payout. */
export function byUrgency(
  a: { faceValue: bigint; expirationParams: { creationRound: bigint } },
  b: { faceValue: bigint; expirationParams: { creationRound: bigint } },
): number {
  const [older, newer] = [a.expirationParams.creationRound, b.expirationParams.creationRound]
  if (older !== newer) return older < newer ? -1 : 1
  return a.faceValue === b.faceValue ? 0 : a.faceValue > b.faceValue ? -1 : 1
}

/** Revert reasons of the ticket broker that concern the ticket itself (payments.md §13; contracts.md §10). */
const INVALID = [
  'ticket recipient is null address',
  'ticket sender is null address',
  'invalid length for ticket auxData',
  'recipientRand does not match recipientRandHash',
  'INVALID_SIGNATURE_LENGTH',
  'ECDSA: invalid signature',
  'invalid signature over ticket hash',
  'ticket did not win',
]

/** Revert reasons that concern the sender's funds. */
const FUNDS = ['sender deposit and reserve are zero', 'insufficient', 'sender is unlocked']

/** Whether a revert says that no ticket can be redeemed until the round is initialised (contracts.md §10). */
export function isOfRound(reason: string): boolean {
  return reason.includes('current round is not initialized')
}

/** What a revert of `redeemWinningTicket` means for its ticket. */
export function meaningOfRevert(reason: string): 'used' | 'expired' | 'invalid' | OpenReason {
  if (reason.includes('ticket is used')) return 'used'
  if (reason.includes('ticket is expired')) return 'expired'
  if (INVALID.some((text) => reason.includes(text))) return 'invalid'
  if (FUNDS.some((text) => reason.includes(text))) return 'underfunded'
  return 'chain-refuses'
}
