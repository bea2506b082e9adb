import type { Profile } from '../../domain/rendition.ts'
import type { Clip, SegmentData } from '../../domain/segment.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Backlog } from '../../lib/turns.ts'

/** One segment of a session to be transcoded. */
export interface TranscodeJob {
  /** A transcoder is given a session's segments one at a time, in order (src/lib/turns.ts). */
  readonly sessionId: string
  /** The gateway's address, where it is known. */
  readonly payer?: Address | null
  readonly source: Uint8Array
  readonly profiles: readonly Profile[]
  readonly durationMs: number
  /** Milliseconds from now within which the result is of use; waiting for a worker counts. */
  readonly deadlineMs: number
  /** Named in every rendition: `Livepeer Transcoder <version> (<recipient>)` (transcoding.md §3.7). */
  readonly provider: string
  readonly clip: Clip | null
  readonly calcPerceptualHash: boolean
  /** Encoded pixels beyond which the work is stopped: more was neither declared nor paid; null or absent for no limit. */
  readonly maxPixels?: bigint | null
  /** Called when a worker or a transcoder takes the job; again when it takes it over from one that is gone. */
  readonly onBegin?: () => void
}

/** A job with all that its gateway said of the segment: what a transcoder on another machine is told. */
export interface AdmittedJob extends TranscodeJob {
  readonly segment: SegmentData
}

/** What became of a segment. */
export interface TranscodeOutput {
  /** Width times height of every frame decoded. */
  readonly decodedPixels: bigint
  /** In the order of the profiles. */
  readonly renditions: readonly {
    readonly bytes: Uint8Array
    /** Width times height of every frame given to the encoder. */
    readonly pixels: bigint
    /** How many frames those were; transcoders on other machines do not tell. */
    readonly frames?: number
    readonly perceptualHash: Uint8Array | null
  }[]
}

/** A segment that would come next, and what is before it. */
export interface NextSegment {
  readonly sessionId: string
  readonly durationMs: number
  /** Milliseconds from now within which its result would be of use. */
  readonly limitMs: number
  /** Segments of its own session that are not done, of which the transcoder has at most the first. */
  readonly before: Backlog
}

/** Where the work is done. A NodeError's text reaches the gateway as it is. */
export interface Transcoder {
  transcode(job: AdmittedJob, signal: AbortSignal): Promise<TranscodeOutput>
  /** False when a segment could certainly not be done in time. */
  canFinish?(next: NextSegment): boolean
  /** No more segments of this session will come. */
  sessionEnded?(sessionId: string): void
}
