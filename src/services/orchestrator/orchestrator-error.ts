import { NodeError } from '../../lib/errors.ts'

/** Why a call is refused. */
export type OrchestratorFault =
  | 'forbidden'
  | 'capped'
  | 'incapable'
  | 'unavailable'
  | 'payment-refused'
  | 'bad-request'
  | 'internal'
  | 'request-refused'

/** A refused call; the message is the exact text that peers are told (wire.md §10). */
export class OrchestratorError extends NodeError<OrchestratorFault> {
  override name = 'OrchestratorError'
}

/** Why a segment that was admitted is not done; the message is the exact text that peers are told (wire.md §10). */
export type SegmentFault = 'busy' | 'capped' | 'too-late' | 'mismatch' | 'empty-rendition'

/** A segment that was admitted and not done. */
export class SegmentError extends NodeError<SegmentFault> {
  override name = 'SegmentError'
}
