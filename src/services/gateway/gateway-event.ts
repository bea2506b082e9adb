import type { AttemptFault } from '../../domain/attempt.ts'
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

/** Events for metrics. */
export type GatewayEvent =
  | { kind: 'stream-started' | 'stream-ended'; manifestId: string }
  | { kind: 'segment-arrived'; manifestId: string; sequence: bigint; durationMs: number; bytes: number }
  | {
      kind: 'segment-transcoded'
      manifestId: string
      sequence: bigint
      durationMs: number
      tookMs: number
      attempts: number
      transcoder: string
      latencyScore: number
      pixels: bigint
      renditions: number
    }
  | { kind: 'segment-failed'; manifestId: string; sequence: bigint; fault: GatewayFault; reason: string }
  | {
      kind: 'attempt-failed'
      manifestId: string
      sequence: bigint
      transcoder: string
      fault: AttemptFault
      reason: string
    }
  | { kind: 'payment-sent' | 'payment-accepted'; manifestId: string; transcoder: string; tickets: number }
  | { kind: 'orchestrator-suspended'; manifestId: string; transcoder: string; reason: string }
  | { kind: 'orchestrator-swapped'; manifestId: string }
