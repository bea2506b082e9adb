import { NodeError } from '../lib/errors.ts'
import type { RedeemerRefusal } from './cause-facts.ts'

/** Why a call to a redeemer failed. */
export type RedeemerFault =
  /** It refused, and would refuse again. */
  | 'refused'
  /** It answered but cannot do it now. */
  | 'unable'
  /** It did not answer. */
  | 'away'

/** A failed call to a redeemer; the message is the redeemer's own text. */
export class RedeemerCallError extends NodeError<RedeemerFault> {
  override name = 'RedeemerCallError'
  /** What it refuses, where it did. */
  readonly refusal: RedeemerRefusal | null

  constructor(
    code: RedeemerFault,
    message: string,
    options: { cause?: unknown; refusal?: RedeemerRefusal } = {},
  ) {
    super(code, message, options)
    this.refusal = code === 'refused' ? (options.refusal ?? 'other') : null
  }
}
