import type { Rational } from '../lib/rational.ts'
import { MAX_WIN_PROB } from './ticket.ts'

const DAY_MS = 86_400_000
/** Day 0, 1 January 1970, was a Thursday. */
const DAYS_FROM_MONDAY_TO_DAY_0 = 3

/** What a node earned and spent: amounts in wei and numbers of tickets, all of them exact. */
export interface Money {
  /** In accepted payments, and the winning ones of refused payments. */
  readonly ticketsReceived: number
  readonly ticketsWon: number
  readonly ticketsHandedIn: number
  /**
   * The expected value of the tickets in accepted payments, in parts of a wei of which 2^256 − 1 make one: in these, the
   * expected value of every ticket is a whole number (payments.md §3).
   */
  readonly received: bigint
  /** The face value of winning tickets in payments to this node. */
  readonly won: bigint
  /** The face value of winning tickets that other nodes of the operator handed to this one, which they count as won. */
  readonly handedIn: bigint
  /** What the chain paid for this node's winning tickets, whoever redeemed them. */
  readonly redeemed: bigint
  /** What this node paid for the gas of redemptions, those that failed included. */
  readonly redeemGas: bigint
  readonly rewardGas: bigint
  /** Of all other transactions: the initialisation of rounds, and nonces that had to be filled. */
  readonly otherGas: bigint
}

/** Some of the amounts; the others are 0. */
export type MoneyChange = Partial<Money>

/** Nothing earned and nothing spent. */
export const NO_MONEY: Money = {
  ...{ ticketsReceived: 0, ticketsWon: 0, ticketsHandedIn: 0 },
  ...{ received: 0n, won: 0n, handedIn: 0n, redeemed: 0n },
  ...{ redeemGas: 0n, rewardGas: 0n, otherGas: 0n },
}

/**
 * The day and the round in which a fact is counted: those in which this node wrote it down. A reorganisation that undoes
 * the fact takes it out of the same day and round.
 */
export interface Booking {
  /** Days since 1 January 1970, UTC. */
  readonly day: number
  /** The last initialised round; null while none is known. */
  readonly round: bigint | null
}

/** The sum of two amounts of money. */
export function plus(money: Money, change: MoneyChange): Money {
  const { received = 0n, won = 0n, handedIn = 0n, redeemed = 0n } = change
  const { redeemGas = 0n, rewardGas = 0n, otherGas = 0n } = change
  const { ticketsReceived = 0, ticketsWon = 0, ticketsHandedIn = 0 } = change
  return {
    ticketsReceived: money.ticketsReceived + ticketsReceived,
    ticketsWon: money.ticketsWon + ticketsWon,
    ticketsHandedIn: money.ticketsHandedIn + ticketsHandedIn,
    received: money.received + received,
    won: money.won + won,
    handedIn: money.handedIn + handedIn,
    redeemed: money.redeemed + redeemed,
    redeemGas: money.redeemGas + redeemGas,
    rewardGas: money.rewardGas + rewardGas,
    otherGas: money.otherGas + otherGas,
  }
}

/** An expected value in wei, in the parts of `Money.received`; exact for sums of expected values of tickets. */
export function partsOf(expectedValue: Rational): bigint {
  const { den, num } = expectedValue
  return (num * MAX_WIN_PROB) / den
}

/** Parts of a wei as whole wei, rounded down. */
export function weiOfParts(parts: bigint): bigint {
  return parts / MAX_WIN_PROB
}

/** All gas that was paid for, in wei. */
export function gasOf({ otherGas, redeemGas, rewardGas }: Money): bigint {
  return redeemGas + rewardGas + otherGas
}

/** The change made by a transaction's fee, by its purpose. */
export function gasFor(purpose: string, fee: bigint): MoneyChange {
  const [what] = purpose.split(' ', 1)
  if (what === 'redeem') return { redeemGas: fee }
  return what === 'reward' ? { rewardGas: fee } : { otherGas: fee }
}

/** The day of a time, in UTC. */
export function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS)
}

/** When a day begins, in ms since the epoch. */
export function startOfDay(day: number): number {
  return day * DAY_MS
}

/** The Monday of a day's week. */
export function mondayOf(day: number): number {
  return day - ((day + DAYS_FROM_MONDAY_TO_DAY_0) % 7)
}
