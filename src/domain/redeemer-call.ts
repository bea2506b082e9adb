import { NodeError } from '../lib/errors.ts'

/** Why a call to a redeemer came to nothing. */
export type RedeemerFault =
  /** It said no, and will say it again. */
  | 'refused'
  /** It answered, but cannot do it now. */
  | 'unable'
  /** It did not answer. */
  | 'away'

/** A call to a redeemer that came to nothing; the message has the redeemer's own words. */
export class RedeemerCallError extends NodeError<RedeemerFault> {
  override name = 'RedeemerCallError'
}
