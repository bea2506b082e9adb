import { isAbort, NodeError } from '../lib/errors.ts'
import { faultOfText } from './attempt.ts'

/** Why work was stopped. */
export type OverrunFault = 'beyond-declared'

/** The work done on a segment before it failed, if the worker reports it. */
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
 * Codes of errors for which a segment is charged: its content or length ended the work, or it was still running at its
 * deadline. Errors of this node are not among them. No other code decides this.
 */
const CHARGED: ReadonlySet<string> = new Set<MediaFault | OverrunFault | 'too-late'>([
  'media',
  'media-late',
  'media-death',
  'beyond-declared',
  'too-late',
])

/** The code for an error text from a standalone transcoder. */
export const REMOTE_FAILURE = 'remote-failure'

/**
 * Pixels to charge for a failed segment (payments.md §5.3 has no such charge, but without it failing work would be
 * free). `hasBegun` is whether a worker or transcoder had started it; `declared` is its estimate.
 */
export function pixelsOfFailure(error: unknown, work: { hasBegun: boolean; declared: bigint }): bigint {
  if (!work.hasBegun) return 0n
  // The gateway disconnected: without a charge it could start work again and again with one payment.
  if (isAbort(error)) return work.declared
  if (!(error instanceof NodeError)) return 0n
  const isOfRemote =
    error.code === REMOTE_FAILURE && faultOfText(error.message, 'error-in-result') !== 'unable'
  if (!isOfRemote && !CHARGED.has(error.code)) return 0n
  const done = error.details.workDone as WorkDone | undefined
  return done ? done.decodedPixels + done.encodedPixels : work.declared
}

/**
 * The error of a segment that was stopped because its output exceeded what its gateway declared and its sender may owe.
 */
export function beyondDeclared(maxPixels: bigint): NodeError {
  return new NodeError<OverrunFault>(
    'beyond-declared',
    `Segment goes beyond its declared duration: it takes more than ${maxPixels} pixels`,
    { details: { workDone: { decodedPixels: 0n, encodedPixels: maxPixels } satisfies WorkDone } },
  )
}
