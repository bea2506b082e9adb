import { larger } from '../lib/bigints.ts'

/** What one orchestrator was paid and gave for it, in wei; what is old weighs less. */
export interface Dealings {
  /** Pixels that came, at the price that was agreed on. */
  readonly earned: bigint
  /** Paid without anything for it: work that did not come, pixels that were not there, credit that was left behind. */
  readonly lost: bigint
  /** The largest payment. */
  readonly largest: bigint
  /** Since when it is counted, or was last halved; ms. */
  readonly sinceMs: number
}

/** What one payment came to. */
export interface Outcome {
  readonly paid: bigint
  readonly earned: bigint
  readonly lost: bigint
}

/** After each such time the past counts half, so that good work of long ago buys nobody a theft today. */
const HALF_LIFE_MS = 30 * 60_000
const MAX_HALVINGS = 256n

/**
 * Payments that may come to nothing at an orchestrator that has earned nothing yet: a restart, a segment too many, a
 * transcoder that is away. What it takes beyond its price is bounded by so many of its largest payments.
 */
export const ALLOWED_LOST_PAYMENTS = 8n

/** How long an orchestrator that was paid too much is left out; each further time twice as long. */
const FIRST_BAN_MS = 30_000
const MAX_BAN_MS = 60 * 60_000
/** So long after its last ban an orchestrator counts as one that never had any. */
export const BAN_MEMORY_MS = 24 * 60 * 60_000

/** Nothing yet. */
export function noDealings(nowMs: number): Dealings {
  return { earned: 0n, lost: 0n, largest: 0n, sinceMs: nowMs }
}

/** With one more payment, the past weighed by its age. */
export function withOutcome(dealings: Dealings, outcome: Outcome, nowMs: number): Dealings {
  const { earned, lost, largest, sinceMs } = aged(dealings, nowMs)
  return {
    earned: earned + outcome.earned,
    lost: lost + outcome.lost,
    largest: larger(outcome.paid, largest),
    sinceMs,
  }
}

/**
 * Whether what was paid is more than twice what came is worth at the agreed price, beyond {@link ALLOWED_LOST_PAYMENTS}:
 * what was paid is what was earned and what was lost, so the second must not outgrow the first.
 */
export function isOverpaid({ earned, lost, largest }: Dealings): boolean {
  return lost > earned + ALLOWED_LOST_PAYMENTS * largest
}

/** How long the n-th ban lasts, from 1. */
export function banMs(count: number): number {
  return Math.min(MAX_BAN_MS, FIRST_BAN_MS * 2 ** (count - 1))
}

function aged(dealings: Dealings, nowMs: number): Dealings {
  const halvings = Math.floor((nowMs - dealings.sinceMs) / HALF_LIFE_MS)
  if (halvings <= 0) return dealings
  const shift = BigInt(halvings) < MAX_HALVINGS ? BigInt(halvings) : MAX_HALVINGS
  return {
    earned: dealings.earned >> shift,
    lost: dealings.lost >> shift,
    largest: dealings.largest >> shift,
    sinceMs: dealings.sinceMs + halvings * HALF_LIFE_MS,
  }
}
