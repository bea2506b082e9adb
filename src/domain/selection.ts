import type { Address } from '../lib/crypto.ts'
import type { Rational } from '../lib/rational.ts'

/** A session with at most this latency score keeps up with the stream and is kept (gateway.md §9). */
export const GOOD_LATENCY_SCORE = 1

/** How an on-chain gateway weighs orchestrators (gateway.md §1). */
export interface SelectionWeights {
  readonly stakeWeight: number
  readonly priceWeight: number
  readonly randomWeight: number
  /** The divisor of the price in e^(−price/factor). */
  readonly priceExpFactor: number
  /** Wei per pixel; null accepts any. */
  readonly maxPrice: Rational | null
  readonly ignoreMaxPriceIfNeeded: boolean
  /** 0 requires no performance score. */
  readonly minPerfScore: number
}

/** A candidate for selection: a ticket recipient with a price. */
export interface Weighed {
  readonly recipient: Address
  /** Wei per pixel; null if none was offered. Such an orchestrator cannot be paid and is never chosen. */
  readonly price: Rational | null
  readonly stake: bigint
  /** Null when no scores are loaded; an orchestrator without one counts as 0. */
  readonly perfScore: number | null
}

/** The candidates that may be chosen: filtered by performance, unless none remains, then by price (gateway.md §9). */
export function eligible(all: readonly Weighed[], weights: SelectionWeights): readonly Weighed[] {
  const priced = all.filter((one) => one.price !== null)
  const scored = priced.filter((one) => one.perfScore === null || one.perfScore >= weights.minPerfScore)
  const performing = weights.minPerfScore > 0 && scored.length > 0 ? scored : priced
  return affordable(performing, weights)
}

/** Those whose price is within the maximum, which an equal one is; all if none is and that may be ignored. */
export function affordable<Priced extends { readonly price: Rational | null }>(
  all: readonly Priced[],
  { ignoreMaxPriceIfNeeded, maxPrice }: Pick<SelectionWeights, 'ignoreMaxPriceIfNeeded' | 'maxPrice'>,
): readonly Priced[] {
  if (maxPrice === null) return all
  const within = all.filter(({ price }) => price !== null && price.cmp(maxPrice) <= 0)
  return within.length === 0 && ignoreMaxPriceIfNeeded ? all : within
}

/**
 * The probability of each candidate: a weighted sum of shares by price, by stake and even (gateway.md §9). A kind of
 * share that sums to zero becomes even, so that the total is always the sum of the weights.
 */
export function probabilities(all: readonly Weighed[], weights: SelectionWeights): readonly number[] {
  const prices = all.map((one) => Math.exp(-(one.price?.toNumber() ?? 0) / weights.priceExpFactor))
  const priceSum = prices.reduce((sum, price) => sum + price, 0)
  const stakeSum = all.reduce((sum, one) => sum + one.stake, 0n)
  return all.map((one, i) => {
    const priceShare = priceSum > 0 ? prices[i]! / priceSum : 1 / all.length
    const stakeShare = stakeSum > 0n ? fractionOf(one.stake, stakeSum) : 1 / all.length
    return (
      weights.priceWeight * priceShare + weights.stakeWeight * stakeShare + weights.randomWeight / all.length
    )
  })
}

/** Chooses one recipient by a random number in [0, 1), or null if none is eligible. */
export function chooseRecipient(
  all: readonly Weighed[],
  weights: SelectionWeights,
  throwOfDice: number,
): Address | null {
  const candidates = eligible(all, weights)
  let cumulative = 0
  for (const [i, probability] of probabilities(candidates, weights).entries()) {
    cumulative += probability
    if (throwOfDice < cumulative) return candidates[i]!.recipient
  }
  // Weights, and sums of doubles, may add up to slightly less than one.
  return candidates.at(-1)?.recipient ?? null
}

/** What is known about an idle session when choosing one. */
export interface IdleSession {
  /** Null until it has done a segment. */
  readonly score: number | null
  /** Null offchain. */
  readonly recipient: Address | null
  readonly price: Rational | null
}

/**
 * Chooses among idle sessions: the fastest known one if it keeps up, otherwise an unknown one, otherwise the fastest
 * known one. Unknown ones are taken in list order offchain (`weights` null) and at random on chain, where sessions of
 * one recipient count once, with the last one's price, and the first is taken (gateway.md §9, §18). The maximum price holds
 * for all of them, also for those that were cheaper when they began (gateway.md §17, 23).
 */
export function chooseSession<S extends IdleSession>(
  sessions: readonly S[],
  weights: SelectionWeights | null,
  facts: { stakeOf(recipient: Address): bigint; perfScoreOf(recipient: Address): number | null },
  throwDice: () => number,
): S | null {
  const idle = weights ? affordable(sessions, weights) : sessions
  let best: S | null = null
  for (const session of idle)
    if (session.score !== null && (best === null || session.score < best.score!)) best = session
  if (best !== null && best.score! <= GOOD_LATENCY_SCORE) return best
  const unknown = idle.filter((session) => session.score === null)
  if (weights === null || unknown.length === 0) return unknown[0] ?? best
  const byRecipient = new Map<Address, Weighed>()
  for (const { recipient, price } of unknown) {
    if (recipient === null) continue
    byRecipient.set(recipient, {
      recipient,
      price,
      stake: facts.stakeOf(recipient),
      perfScore: facts.perfScoreOf(recipient),
    })
  }
  const chosen = chooseRecipient([...byRecipient.values()], weights, throwDice())
  return unknown.find((session) => chosen !== null && session.recipient === chosen) ?? best
}

/**
 * The shortest duration that a latency score is relative to, in ms, so that short segments do not count against an
 * orchestrator (gateway.md §10).
 */
const MIN_SCORED_DURATION_MS = 1500

/** The time a segment took, relative to its duration (gateway.md §10). */
export function latencyScore(elapsedMs: number, durationMs: number): number {
  return elapsedMs / Math.max(MIN_SCORED_DURATION_MS, durationMs)
}

/**
 * Whether a busy session may take another segment: its oldest one is younger than `factor` times its duration; a limit
 * of a second or less counts as 1.5 s (gateway.md §8).
 */
export function mayTakeAnother(oldest: { ageMs: number; durationMs: number }, factor: 1 | 2): boolean {
  const limit = oldest.durationMs * factor
  return oldest.ageMs < (limit <= 1000 ? 1500 : limit)
}

function fractionOf(part: bigint, whole: bigint): number {
  const SCALE = 10n ** 15n
  return Number((part * SCALE) / whole) / Number(SCALE)
}
