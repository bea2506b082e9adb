import { gasOf, type Money, startOfDay, weiOfParts } from '../../domain/money.ts'
import type { MoneyReport } from '../../io/store/money-rows.ts'

/** What a node earned and spent over a period, in wei. */
export interface MoneySums {
  /** The expected value of the tickets in accepted payments, rounded down. */
  readonly receivedWei: bigint
  /** The face value of the winning tickets in payments to this node. */
  readonly wonWei: bigint
  /** The face value of winning tickets that other nodes handed to this one. */
  readonly handedInWei: bigint
  /** What the chain paid for this node's winning tickets, whoever redeemed them. */
  readonly redeemedWei: bigint
  /** What this node paid for gas: for redemptions, for rewards, and for everything else. */
  readonly redeemGasWei: bigint
  readonly rewardGasWei: bigint
  readonly otherGasWei: bigint
  /** Redeemed less all gas. */
  readonly netWei: bigint
}

/**
 * Money over four periods, each with all its amounts, from the database. A fact is counted when the node writes it down:
 * a redemption once it is confirmed.
 */
export interface MoneyFigures {
  /** The beginning of the first day in which anything was counted, ms since the epoch; null when nothing was. */
  readonly sinceMs: number | null
  /** Since midnight UTC. */
  readonly today: MoneySums
  /** The last initialised round; null while none is known. */
  readonly round: bigint | null
  readonly thisRound: MoneySums | null
  /** Since Monday, UTC. */
  readonly thisWeek: MoneySums
  readonly ever: MoneySums
}

/** The store's amounts for the status. */
export function moneyFigures({ ever, firstDay, thisRound, thisWeek, today }: MoneyReport): MoneyFigures {
  return {
    sinceMs: firstDay === null ? null : startOfDay(firstDay),
    today: sumsOf(today),
    round: thisRound?.round ?? null,
    thisRound: thisRound && sumsOf(thisRound.money),
    thisWeek: sumsOf(thisWeek),
    ever: sumsOf(ever),
  }
}

function sumsOf(money: Money): MoneySums {
  return {
    receivedWei: weiOfParts(money.received),
    wonWei: money.won,
    handedInWei: money.handedIn,
    redeemedWei: money.redeemed,
    redeemGasWei: money.redeemGas,
    rewardGasWei: money.rewardGas,
    otherGasWei: money.otherGas,
    netWei: money.redeemed - gasOf(money),
  }
}
