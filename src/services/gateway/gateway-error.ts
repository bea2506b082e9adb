import type { Cause } from '../../domain/causes.ts'
import type { SegmentFailure } from '../../domain/events.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'

/** Why a pushed segment was not served. */
export type GatewayFault =
  | 'unknown-codec'
  | 'stream-refused'
  | 'stream-denied'
  | 'unusable-input'
  | 'segment-refused'
  | 'segment-failed'
  | 'no-sessions'

/** A segment that was not served. The message is the reason, in the text that peers use if they have one. */
export class GatewayError extends NodeError<GatewayFault> {
  override name = 'GatewayError'
  /** What is behind it, for the publisher and the operator; empty where the message says it all. */
  readonly causes: readonly Cause[]
  /** How events tell it. */
  readonly failure: SegmentFailure

  constructor(
    code: GatewayFault,
    message: string,
    options: { cause?: unknown; causes?: readonly Cause[]; failure?: SegmentFailure } = {},
  ) {
    super(code, message, options)
    this.causes = options.causes ?? []
    this.failure = options.failure ?? 'transcode'
  }
}

/** Converts any failure to a GatewayError. */
export function gatewayErrorOf(error: unknown): GatewayError {
  return error instanceof GatewayError
    ? error
    : new GatewayError('segment-failed', messageOf(error), { cause: error })
}
