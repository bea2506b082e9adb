import type { AttemptFault } from './attempt.ts'

/**
 * Faults that say nothing against an orchestrator, since what lies between may have caused them: a connection refused
 * or cut, a balancer that reached no node, an answer cut short.
 */
const IN_TRANSIT: ReadonlySet<AttemptFault> = new Set<AttemptFault>([
  'unreachable',
  'unsent',
  'unavailable',
  'cut-short',
  'unknown-response',
])

/** Refusals of tickets that were received with an earlier submission of the segment (payments.md §5.1). */
const SEEN = /^invalid ticket senderNonce: (already seen|used elsewhere)/i
/** The refusal of a segment that its session's credit does not cover (wire.md §10). */
const NOT_COVERED = 'Insufficient balance'

/** Why a segment is sent to the same orchestrator once more, at once. */
export type ResendCause = 'in-transit' | 'tickets-seen' | 'not-covered'

/** Every cause, in the order of its appearance. */
export const RESEND_CAUSES: readonly ResendCause[] = ['in-transit', 'tickets-seen', 'not-covered']

/** A submission that failed. */
export interface FailedSubmission {
  readonly fault: AttemptFault
  /** What the peer said. */
  readonly text: string
  /** Whether another connection would not help: the address is slow to connect to or forbidden, its answer too large. */
  readonly isInVain: boolean
  /** Whether it carried tickets. */
  readonly hasTickets: boolean
  /** Whether the orchestrator may have charged for work that never came. */
  readonly isInDoubt: boolean
}

/**
 * Why a segment may be sent to the same orchestrator again; null if it may not. Each cause counts once for a segment, so
 * that an orchestrator that fails on purpose is sent it four times at most.
 */
export function resendCause(failed: FailedSubmission, before: ReadonlySet<ResendCause>): ResendCause | null {
  const cause = causeOf(failed)
  return cause === null || before.has(cause) ? null : cause
}

function causeOf({ fault, hasTickets, isInDoubt, isInVain, text }: FailedSubmission): ResendCause | null {
  if (IN_TRANSIT.has(fault)) return isInVain ? null : 'in-transit'
  if (fault !== 'refused') return null
  if (hasTickets && SEEN.test(text)) return 'tickets-seen'
  return isInDoubt && text === NOT_COVERED ? 'not-covered' : null
}
