import { messageOf, NodeError } from '../../lib/errors.ts'

/** Why a pushed segment was not served. */
export type GatewayFault =
  | 'unknown-codec'
  | 'stream-refused'
  | 'unusable-input'
  | 'segment-refused'
  | 'segment-failed'
  | 'no-sessions'

/** A segment that was not served; the message gives the reason, as peers word it where they do. */
export class GatewayError extends NodeError<GatewayFault> {
  override name = 'GatewayError'
}

/** Any failure as one of the gateway's own. */
export function gatewayErrorOf(error: unknown): GatewayError {
  return error instanceof GatewayError
    ? error
    : new GatewayError('segment-failed', messageOf(error), { cause: error })
}
