import { NodeError } from '../lib/errors.ts'

/**
 * Why a call to a sibling failed: it was not reached and has not seen the request, it went away when it may have begun, or it
 * answered what no node would.
 */
export type SiblingFault = 'sibling-unreachable' | 'sibling-lost' | 'sibling-rubbish'

/** A call to a sibling that failed. */
export class SiblingError extends NodeError<SiblingFault> {
  override name = 'SiblingError'
}
