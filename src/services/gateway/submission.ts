import type { Reach, SegmentData, TranscodeResult } from '../../domain/segment.ts'
import type { Payment } from '../../domain/ticket.ts'
import type { InfoClient } from './discovery.ts'

/** A segment on its way to an orchestrator. */
export interface Submission {
  readonly segment: SegmentData
  readonly payment: Payment | null
  /** The segment, or its URI. */
  readonly body: Uint8Array
  readonly bodyIsUri: boolean
  /** What the orchestrator's address may resolve to. */
  readonly reach?: Reach | undefined
  /** From the start until the answer's status (gateway.md §10). */
  readonly headerTimeoutMs: number
  /** From the start until the answer is complete (gateway.md §10). */
  readonly totalTimeoutMs: number
  /** Called once the status is known. */
  onStatus?(status: number): void
}

/** Sends segments to orchestrators and fetches renditions. */
export interface SubmissionClient extends InfoClient {
  /** Throws NodeError `header-timeout`, `body-timeout`, `refused` (the message is the trimmed body), `unreachable`, `bad-answer`. */
  submit(base: string, submission: Submission, signal: AbortSignal): Promise<TranscodeResult>
  /** Throws as `submit`, and `too-large`. */
  fetchRendition(url: string, options: RenditionOptions, signal: AbortSignal): Promise<Uint8Array>
}

/** Where a rendition may be fetched from, and how large it may be. */
export interface RenditionOptions {
  /** The base URL of the orchestrator: results are there or at a public address. */
  readonly base: string
  /** What the base's address may resolve to. */
  readonly reach?: Reach | undefined
  readonly maxBytes: number
}
