import type { Profile } from '../../domain/rendition.ts'

/** What an external verifier finds wrong with a result (gateway.md §12). */
export const VERIFIER_FAULTS = ['tampered', 'audio-mismatch', 'video-unavailable'] as const
export type VerifierFault = (typeof VERIFIER_FAULTS)[number]

/** A verifier's answer: `fault` is null for a good result; of several bad ones, that of the highest score is the best. */
export interface Verdict {
  readonly fault: VerifierFault | null
  readonly score: number
}

/** A result to be judged. */
export interface JudgedResult {
  readonly manifestId: string
  readonly sequence: bigint
  readonly durationMs: number
  /** Its recipient's address, or its URL offchain. */
  readonly orchestrator: string
  readonly source: Uint8Array
  readonly renditions: readonly {
    readonly profile: Profile
    readonly bytes: Uint8Array
    /** As the orchestrator reports them. */
    readonly pixels: bigint
  }[]
}

/** Judges results by other means than this node has. */
export interface ResultVerifier {
  /** Null where there is no verdict, for which no orchestrator is to blame; takes a bounded time, and rejects only with AbortError. */
  judge(result: JudgedResult, signal: AbortSignal): Promise<Verdict | null>
}
