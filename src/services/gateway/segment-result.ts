import { AttemptError, type AttemptFault } from '../../domain/attempt.ts'
import type { VerifierFault } from './result-verifier.ts'

/** What peers call what a verifier finds. */
const VERIFIER_TEXTS: Readonly<Record<VerifierFault, string>> = {
  tampered: 'Tampered',
  'audio-mismatch': 'AudioMismatch',
  'video-unavailable': 'VideoUnavailable',
}

/** The result of one attempt. */
export interface SegmentResult {
  /** In profile order. */
  readonly renditions: readonly Uint8Array[]
  /** As counted by the orchestrator. */
  readonly pixels: bigint
  /** The part of them that this node counted too; if it did not count, at most a plausible number. */
  readonly delivered: bigint
  readonly latencyScore: number
  /** From the orchestrator's first answer to its result, in ms. */
  readonly transcodeMs: number
  /** Fetches the perceptual hash that the orchestrator states for a rendition. Rejects if it states none. */
  signatureOf(index: number, signal: AbortSignal): Promise<Uint8Array>
}

/** A result whose orchestrator is not judged yet. */
export interface UnsettledResult {
  readonly result: SegmentResult
  /** To be called once: whether the work counts as delivered. */
  settle(isGood: boolean): void
}

/** A result with its score, by which the best of several bad ones is chosen. */
export type ScoredResult = SegmentResult & { readonly score: number }

/** A result that failed verification; `result` is served if no other attempt does better, unless it is null. */
export class FailedVerification extends AttemptError {
  readonly result: ScoredResult | null
  /** The pixels that count as delivered all the same. */
  readonly delivered: bigint

  constructor(
    fault: AttemptFault,
    text: string,
    found: { readonly result: ScoredResult | null; readonly delivered: bigint },
  ) {
    super(fault, text)
    this.result = found.result
    this.delivered = found.delivered
  }
}

/**
 * The failure of a result that a verifier found bad (gateway.md §12): nothing of it counts as delivered, and one whose
 * sound differs is never served.
 */
export function failedVerdict(
  made: SegmentResult,
  { fault, score }: { readonly fault: VerifierFault; readonly score: number },
): FailedVerification {
  const result = fault === 'audio-mismatch' ? null : { ...made, score }
  return new FailedVerification(fault, VERIFIER_TEXTS[fault], { result, delivered: 0n })
}
