/** What one orchestrator was paid and what it delivered, in wei; older payments weigh less. */
export interface Dealings {
  /** Delivered pixels at the agreed price. */
  readonly earned: bigint
  /** Paid without a return: work not delivered, missing pixels, credit left behind. */
  readonly lost: bigint
  /** How many payments had a loss. */
  readonly losses: number
  /** When counting began or the sums were last halved, in ms. */
  readonly sinceMs: number
}

/** The outcome of one payment. */
export interface Outcome {
  readonly earned: bigint
  readonly lost: bigint
}

/** The past is halved at this interval, so that good work long ago does not pay for a theft today. */
const HALF_LIFE_MS = 30 * 60_000
const MAX_HALVINGS = 256

/**
 * Losses that an orchestrator may cause before it has earned as much: a restart, a surplus segment, an absent
 * transcoder. Beyond twice its price it can take at most this many payments, and the credit that it holds then.
 */
export const ALLOWED_LOSSES = 8

/**
 * First ban of an overpaid orchestrator; each further ban doubles. It starts short because an honest orchestrator whose
 * chain was away and that could take no payments for a while looks the same, and may be the only one.
 */
const FIRST_BAN_MS = 5_000
const MAX_BAN_MS = 60 * 60_000
/** An orchestrator without a ban for this long starts again at the first ban. */
export const BAN_MEMORY_MS = 24 * 60 * 60_000

/** The state before any payment. */
export function noDealings(nowMs: number): Dealings {
  return { earned: 0n, lost: 0n, losses: 0, sinceMs: nowMs }
}

/** Adds one payment to the past, which is weighed by its age. */
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
 * Whether more was paid than twice what the delivered pixels are worth at the agreed price. Payments are either earned
 * or lost, so the lost part must not exceed the earned one after more than {@link ALLOWED_LOSSES} losses.
 */
export function isOverpaid({ earned, lost, losses }: Dealings): boolean {
  return losses > ALLOWED_LOSSES && lost > earned
}

/** The length of the n-th ban, counted from 1. */
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
