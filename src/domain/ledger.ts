import type { Address } from '../lib/crypto.ts'
import { type Money, weiOfParts } from './money.ts'
import { MAX_WIN_PROB } from './ticket.ts'

/**
 * What one gateway's tickets came to, on one day or over several: amounts in wei and numbers of tickets, all of them exact.
 * Over all gateways each amount is that of `Money` of the same days.
 */
export interface SenderMoney {
  readonly ticketsReceived: number
  readonly ticketsWon: number
  readonly ticketsHandedIn: number
  /** Seen redeemed on chain, whoever redeemed them. */
  readonly ticketsRedeemed: number
  /** Expected value, in the parts of `Money.received`. */
  readonly received: bigint
  /** How far chance carries what was won from that: the variance, in squares of the same parts. */
  readonly variance: bigint
  readonly won: bigint
  readonly handedIn: bigint
  /** The face value of the tickets that were redeemed. */
  readonly redeemedFace: bigint
  /** What the chain paid for them: the fees of the orchestrator. Less than their face value where funds were short. */
  readonly redeemed: bigint
  /** The share of this gateway's tickets in the gas of the transactions that redeemed them, failed ones included. */
  readonly redeemGas: bigint
}

/** Some of the amounts; the others are 0. */
export type SenderChange = Partial<SenderMoney>

/** Nothing received. */
export const NO_SENDER_MONEY: SenderMoney = {
  ...{ ticketsReceived: 0, ticketsWon: 0, ticketsHandedIn: 0, ticketsRedeemed: 0 },
  ...{ received: 0n, variance: 0n, won: 0n, handedIn: 0n },
  ...{ redeemedFace: 0n, redeemed: 0n, redeemGas: 0n },
}

const COUNTS = ['ticketsReceived', 'ticketsWon', 'ticketsHandedIn', 'ticketsRedeemed'] as const
const AMOUNTS = [
  ...(['received', 'variance', 'won', 'handedIn'] as const),
  ...(['redeemedFace', 'redeemed', 'redeemGas'] as const),
]

/** The sum of what came of two sets of tickets. */
export function plusSender(money: SenderMoney, change: SenderChange): SenderMoney {
  const counts = COUNTS.map((name) => [name, money[name] + (change[name] ?? 0)])
  const amounts = AMOUNTS.map((name) => [name, money[name] + (change[name] ?? 0n)])
  return Object.fromEntries([...counts, ...amounts]) as unknown as SenderMoney
}

/** The opposite of a change, which takes it out again. */
export function negated<Change extends Partial<Record<string, number | bigint>>>(change: Change): Change {
  return Object.fromEntries(Object.entries(change).map(([name, value]) => [name, -value!])) as Change
}

/**
 * What no row of a gateway accounts for of some money: what was counted before gateways were told apart, or by a node of an
 * earlier release. Null where all is accounted for.
 */
export function unattributed(money: Money, senders: readonly SenderMoney[]): SenderMoney | null {
  const known = senders.reduce(plusSender, NO_SENDER_MONEY)
  const rest: SenderMoney = {
    ...NO_SENDER_MONEY,
    ticketsReceived: money.ticketsReceived - known.ticketsReceived,
    ticketsWon: money.ticketsWon - known.ticketsWon,
    ticketsHandedIn: money.ticketsHandedIn - known.ticketsHandedIn,
    received: money.received - known.received,
    won: money.won - known.won,
    handedIn: money.handedIn - known.handedIn,
    redeemed: money.redeemed - known.redeemed,
    redeemGas: money.redeemGas - known.redeemGas,
  }
  const isNothing = Object.values(rest).every((value) => value === 0 || value === 0n)
  return isNothing ? null : rest
}

/** The variance of what a ticket pays, in squares of parts of a wei of which 2^256 − 1 make one: a whole number (payments.md §3). */
export function varianceOf(faceValue: bigint, winProb: bigint): bigint {
  return faceValue * faceValue * winProb * (MAX_WIN_PROB - winProb)
}

/** A transaction's fee shared out over its tickets, to the wei: what cannot be divided falls to some of them. */
export function sharesOf(fee: bigint, tickets: number): bigint[] {
  const count = BigInt(tickets)
  return Array.from({ length: tickets }, (_, i) => {
    const before = (fee * BigInt(i)) / count
    return (fee * BigInt(i + 1)) / count - before
  })
}

/** The tickets that a transaction redeems, by its purpose; none for any other. */
export function ticketsIn(purpose: string): string[] {
  const [what, ...hashes] = purpose.split(' ')
  return what === 'redeem' ? hashes : []
}

/** What was won, beside what chance lets one expect; wei, rounded down. */
export interface Luck {
  readonly expectedWei: bigint
  readonly wonWei: bigint
  /** Between these lies what is won in 95 of 100 cases, once some tens of wins are expected: 1.96 standard deviations either way. */
  readonly lowWei: bigint
  readonly highWei: bigint
}

/** How lucky some tickets were. All of it is computed in whole parts of a wei. */
export function luckOf({
  received,
  variance,
  won,
}: Pick<SenderMoney, 'received' | 'variance' | 'won'>): Luck {
  const deviation = (196n * squareRoot(variance)) / 100n
  const low = received - deviation
  return {
    expectedWei: weiOfParts(received),
    wonWei: won,
    lowWei: low > 0n ? weiOfParts(low) : 0n,
    highWei: weiOfParts(received + deviation),
  }
}

/** The whole part of a square root (Newton's method). */
function squareRoot(value: bigint): bigint {
  if (value < 2n) return value < 0n ? 0n : value
  let root = 1n << BigInt(Math.ceil(value.toString(2).length / 2))
  for (;;) {
    const next = (root + value / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

/** The money of a gateway, on one day. */
export interface LedgerRow {
  /** Days since 1 January 1970, UTC. */
  readonly day: number
  /** Null for what is not known by gateway. */
  readonly sender: Address | null
  readonly money: SenderMoney
}
