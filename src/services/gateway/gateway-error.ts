import { messageOf, NodeError } from '../../lib/errors.ts'

/** Why a pushed segment was not served. */
export type GatewayFault =
  | 'unknown-codec'
  | 'stream-refused'
  | 'unusable-input'
  | 'segment-refused'
  | 'segment-failed'
  | 'no-sessions'

/** A segment that was not served. The message is the reason, in the text that peers use if they have one. */
export class GatewayError extends NodeError<GatewayFault> {
  override name = 'GatewayError'
}

/** Converts any failure to a GatewayError. */
export function gatewayErrorOf(error: unknown): GatewayError {
  return error instanceof GatewayError
    ? error
    : new GatewayError('segment-failed', messageOf(error), { cause: error })
}
