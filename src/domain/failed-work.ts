import { isAbort, NodeError } from '../lib/errors.ts'
import { faultOfText } from './attempt.ts'

/** Why work was stopped. */
export type OverrunFault = 'beyond-declared'

/** What was done of a segment before it failed, where the worker tells. */
export interface WorkDone {
  readonly decodedPixels: bigint
  readonly encodedPixels: bigint
}

/**
 * Why media work failed: by what it read, not done in time, the worker ended under it, no worker was free in time, or
 * there was no engine to do it.
 */
export type MediaFault = 'media' | 'media-late' | 'media-death' | 'media-busy' | 'media-stopped'

/**
 * Codes of errors for which a segment is charged: its own bytes or its own length ended the work, or it was still running
 * at its deadline. Trouble of this node is not among them. Nowhere else decides this.
 */
const CHARGED: ReadonlySet<string> = new Set<MediaFault | OverrunFault | 'too-late'>([
  'media',
  'media-late',
  'media-death',
  'beyond-declared',
  'too-late',
])

/** The code under which a standalone transcoder's own error text arrives. */
export const REMOTE_FAILURE = 'remote-failure'

/**
 * Pixels that a failed segment is charged (payments.md §5.3 knows no such charge: without it failing work is free).
 * `hasBegun` says whether a worker or transcoder had taken it; `declared` is its estimate.
 */
export function pixelsOfFailure(error: unknown, work: { hasBegun: boolean; declared: bigint }): bigint {
  if (!work.hasBegun) return 0n
  // The gateway left: without a charge it could have work begun again and again on one payment.
  if (isAbort(error)) return work.declared
  if (!(error instanceof NodeError)) return 0n
  const isOfRemote =
    error.code === REMOTE_FAILURE && faultOfText(error.message, 'error-in-result') !== 'unable'
  if (!isOfRemote && !CHARGED.has(error.code)) return 0n
  const done = error.details.workDone as WorkDone | undefined
  return done ? done.decodedPixels + done.encodedPixels : work.declared
}

/** A segment that was stopped since more was encoded than its gateway declared and its sender may owe. */
export function beyondDeclared(maxPixels: bigint): NodeError {
  return new NodeError<OverrunFault>(
    'beyond-declared',
    `Segment goes beyond its declared duration: it takes more than ${maxPixels} pixels`,
    { details: { workDone: { decodedPixels: 0n, encodedPixels: maxPixels } satisfies WorkDone } },
  )
}
