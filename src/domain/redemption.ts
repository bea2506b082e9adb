import { smaller } from '../lib/bigints.ts'
import { CONFIRMATIONS } from './chain.ts'
import type { OpenReason } from './ticket-state.ts'

/** For how many rounds a ticket can be redeemed, that of its creation being the first (payments.md §1, §13). */
const TICKET_VALIDITY_ROUNDS = 2n

/** How many L1 blocks before its last a ticket is redeemed at any price above the gas, unless a round is short. */
const LAST_CHANCE_BLOCKS = 100n
/** The part of a round that is last chance at most. */
const LAST_CHANCE_PART = 3n

/** The part of its payout that redeeming a ticket may cost, unless it is its last chance: then all of it. */
const MAX_COST_PART = 2n

/** A ticket is given up only so many L1 blocks after it expired: contracts and headers may count a little apart. */
const EXPIRY_GRACE_BLOCKS = 3n

/** Where the chain's rounds stand. */
export interface RoundClock {
  /** The round of the newest block, initialised or not. */
  readonly currentRound: bigint
  /** L1 block in which that round began. */
  readonly startL1Block: bigint
  /** L1 blocks. */
  readonly roundLength: bigint
  readonly l1Block: bigint
}

/** The rounds at an L1 block, reckoned from those at another one, before it or after. */
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

/** The first L1 block in which a ticket of this round cannot be redeemed any more (payments.md §13). */
export function expiryBlock(creationRound: bigint, clock: RoundClock): bigint {
  const rounds = creationRound + TICKET_VALIDITY_ROUNDS - clock.currentRound
  return clock.startL1Block + rounds * clock.roundLength
}

/** Whether the chain refuses a ticket of this round for its age, now and for ever (payments.md §13). */
export function isExpired(creationRound: bigint, clock: RoundClock): boolean {
  return isRoundOver(creationRound, clock.currentRound)
}

/** Whether tickets of a round have expired in another one. */
export function isRoundOver(creationRound: bigint, currentRound: bigint): boolean {
  return creationRound + TICKET_VALIDITY_ROUNDS <= currentRound
}

/**
 * Whether a ticket can be given up: it has been expired for some blocks by a clock that is confirmed. Never while there is
 * no such clock.
 */
export function isOver(creationRound: bigint, confirmed: RoundClock | null): boolean {
  if (confirmed === null || !isExpired(creationRound, confirmed)) return false
  return confirmed.l1Block >= expiryBlock(creationRound, confirmed) + EXPIRY_GRACE_BLOCKS
}

/** Whether a ticket must be redeemed now or will probably never be. */
export function isLastChance(creationRound: bigint, clock: RoundClock): boolean {
  const margin = smaller(clock.roundLength / LAST_CHANCE_PART, LAST_CHANCE_BLOCKS)
  return clock.l1Block >= expiryBlock(creationRound, clock) - margin
}

/** The same by a confirmed clock, which is some blocks behind; false while there is none. */
export function isSurelyLastChance(creationRound: bigint, confirmed: RoundClock | null): boolean {
  if (confirmed === null) return false
  return isLastChance(creationRound, { ...confirmed, l1Block: confirmed.l1Block + CONFIRMATIONS })
}

/**
 * Whether a ticket has to wait for its params to expire: redeeming reveals the secret number with which its sender
 * could make tickets that never win.
 */
export function paramsAreLive(
  ticket: { paramsExpirationBlock: bigint; expirationParams: { creationRound: bigint } },
  clock: RoundClock,
): boolean {
  if (ticket.paramsExpirationBlock <= clock.l1Block) return false
  return !isLastChance(ticket.expirationParams.creationRound, clock)
}

/** What is known of a ticket at the moment of deciding whether to send it. */
export interface RedemptionFacts {
  readonly faceValue: bigint
  /** What the chain would pay now. */
  readonly pays: bigint
  /** What redeeming would cost now: gas times its price. */
  readonly cost: bigint
  readonly lastChance: boolean
  /** Face values of this sender's tickets that are on their way. */
  readonly inFlight: bigint
  /** What the sender's tickets can be paid from together: its deposit and our share of its reserve. */
  readonly funds: bigint
}

/** The most that redeeming a ticket may cost in gas, in wei, whatever the chain asks for: never more than it earns. */
export function costLimit({ pays, lastChance }: { pays: bigint; lastChance: boolean }): bigint {
  return lastChance ? pays : pays / MAX_COST_PART
}

/**
 * Whether to redeem now, or what to wait for. A ticket paid less than its face value is spent all the same, so less is
 * taken only at the last chance, and only if it still pays more than its gas (payments.md §15; newer.md).
 */
export function decideRedemption(facts: RedemptionFacts): 'redeem' | OpenReason {
  if (facts.pays < facts.faceValue && !facts.lastChance) return 'underfunded'
  if (facts.pays <= facts.cost || facts.cost > costLimit(facts)) {
    return facts.pays < facts.faceValue ? 'underfunded' : 'not-worth-gas'
  }
  // What the chain would pay now may be gone once those before it are mined.
  if (facts.inFlight > 0n && facts.funds < facts.inFlight + facts.faceValue) return 'after-others'
  return 'redeem'
}

/** The order of work: what expires first, and of that what pays most. */
export function byUrgency(
  a: { faceValue: bigint; expirationParams: { creationRound: bigint } },
  b: { faceValue: bigint; expirationParams: { creationRound: bigint } },
): number {
  const age = a.expirationParams.creationRound - b.expirationParams.creationRound
  if (age !== 0n) return age < 0n ? -1 : 1
  return a.faceValue === b.faceValue ? 0 : a.faceValue > b.faceValue ? -1 : 1
}

/** Revert reasons of the ticket broker that accuse the ticket itself (payments.md §13; contracts.md §10). */
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

/** Revert reasons that tell of the sender's funds. */
const FUNDS = ['sender deposit and reserve are zero', 'insufficient', 'sender is unlocked']

/** What a revert of `redeemWinningTicket` means for its ticket. */
export function meaningOfRevert(reason: string): 'used' | 'expired' | 'invalid' | OpenReason {
  if (reason.includes('ticket is used')) return 'used'
  if (reason.includes('ticket is expired')) return 'expired'
  if (INVALID.some((text) => reason.includes(text))) return 'invalid'
  if (FUNDS.some((text) => reason.includes(text))) return 'underfunded'
  return 'chain-refuses'
}
