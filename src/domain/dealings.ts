/** What one orchestrator was paid and gave for it, in wei; what is old weighs less. */
export interface Dealings {
  /** Pixels that came, at the price that was agreed on. */
  readonly earned: bigint
  /** Paid without anything for it: work that did not come, pixels that were not there, credit that was left behind. */
  readonly lost: bigint
  /** How often something was lost. */
  readonly losses: number
  /** Since when it is counted, or was last halved; ms. */
  readonly sinceMs: number
}

/** What one payment came to. */
export interface Outcome {
  readonly earned: bigint
  readonly lost: bigint
}

/** After each such time the past counts half, so that good work of long ago buys nobody a theft today. */
const HALF_LIFE_MS = 30 * 60_000
const MAX_HALVINGS = 256

/**
 * Losses that an orchestrator may cause before it has earned as much: a restart, a segment too many, a transcoder that
 * is away. What it takes beyond twice its price is bounded by so many payments, and the credit that it holds then.
 */
export const ALLOWED_LOSSES = 8

/**
 * How long an orchestrator that was paid too much is left out; each further time twice as long. Short at first: an honest
 * one that could take no payments for a while, with its chain away, looks the same, and may be the only one there is.
 */
const FIRST_BAN_MS = 5_000
const MAX_BAN_MS = 60 * 60_000
/** So long after its last ban an orchestrator counts as one that never had any. */
export const BAN_MEMORY_MS = 24 * 60 * 60_000

/** Nothing yet. */
export function noDealings(nowMs: number): Dealings {
  return { earned: 0n, lost: 0n, losses: 0, sinceMs: nowMs }
}

/** With one more payment, the past weighed by its age. */
export function withOutcome(dealings: Dealings, outcome: Outcome, nowMs: number): Dealings {
  const { earned, lost, losses, sinceMs } = aged(dealings, nowMs)
  return {
    earned: earned + outcome.earned,
    lost: lost + outcome.lost,
    losses: losses + (outcome.lost > 0n ? 1 : 0),
    sinceMs,
  }
}

/**
 * Whether more was paid than twice what the pixels that came are worth at the agreed price. What was paid is what was
 * earned and what was lost, so the second must not outgrow the first, once it is more than {@link ALLOWED_LOSSES}.
 */
export function isOverpaid({ earned, lost, losses }: Dealings): boolean {
  return losses > ALLOWED_LOSSES && lost > earned
}

/** How long the n-th ban lasts, from 1. */
export function banMs(count: number): number {
  return Math.min(MAX_BAN_MS, FIRST_BAN_MS * 2 ** (count - 1))
}

function aged(dealings: Dealings, nowMs: number): Dealings {
  const halvings = Math.floor((nowMs - dealings.sinceMs) / HALF_LIFE_MS)
  if (halvings <= 0) return dealings
  const times = Math.min(halvings, MAX_HALVINGS)
  return {
    earned: dealings.earned >> BigInt(times),
    lost: dealings.lost >> BigInt(times),
    losses: Math.floor(dealings.losses / 2 ** times),
    sinceMs: dealings.sinceMs + halvings * HALF_LIFE_MS,
  }
}
