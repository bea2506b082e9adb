import { NodeError } from '../../lib/errors.ts'

/** Why a transcoder is not taken in, or a segment not done. */
export type PoolFault = 'invalid-secret' | 'zero-capacity' | 'no-transcoder' | 'too-late'

/** A refusal by the pool of transcoders; the message is a text that peers know (wire.md §13). */
export class PoolError extends NodeError<PoolFault> {
  override name = 'PoolError'
}
