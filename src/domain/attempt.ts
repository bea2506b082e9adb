import { NodeError } from '../lib/errors.ts'
import { segmentLimitMs } from './segment.ts'

/** Why one try of a segment at one orchestrator failed (gateway.md §10, §12). */
export type AttemptFault =
  | 'header-timeout'
  | 'body-timeout'
  | 'unreachable'
  | 'unsent'
  | 'refused'
  | 'unavailable'
  | 'cut-short'
  | 'bad-answer'
  | 'unknown-response'
  | 'error-in-result'
  | 'unable'
  | 'not-retryable'
  | 'missing-token'
  | 'refresh-failed'
  | 'payment-refused'
  | 'price-doubled'
  | 'sender-cannot-pay'
  | 'funds-unknown'
  | 'download-failed'
  | 'signature-mismatch'
  | 'pixel-mismatch'
  | 'result-refuted'
  | 'tampered'
  | 'audio-mismatch'
  | 'video-unavailable'

/** What happens to the session and to the segment. */
export interface Consequence {
  /** `suspend`: remove the session and suspend its orchestrator. */
  readonly session: 'keep' | 'remove' | 'suspend'
  /** `refuse`: the input is bad. `fail`: this gateway cannot do it. */
  readonly segment: 'retry' | 'refuse' | 'fail'
}

const suspendAndRetry: Consequence = { session: 'suspend', segment: 'retry' }

/** No connection was made, so nothing was paid. */
export const attemptConsequence: Readonly<Record<AttemptFault, Consequence>> = {
  'header-timeout': suspendAndRetry,
  'body-timeout': suspendAndRetry,
  unreachable: suspendAndRetry,
  // No connection came about, so that nothing was paid either.
  unsent: suspendAndRetry,
  refused: suspendAndRetry,
  // A balancer or proxy answered in place of a node.
  unavailable: suspendAndRetry,
  // The result was empty or truncated.
  'cut-short': suspendAndRetry,
  'bad-answer': suspendAndRetry,
  'unknown-response': suspendAndRetry,
  'error-in-result': suspendAndRetry,
  unable: suspendAndRetry,
  'not-retryable': { session: 'keep', segment: 'refuse' },
  'missing-token': suspendAndRetry,
  'refresh-failed': suspendAndRetry,
  'payment-refused': suspendAndRetry,
  'price-doubled': suspendAndRetry,
  'sender-cannot-pay': { session: 'keep', segment: 'fail' },
  // The chain cannot be read: that is not the orchestrator's fault, and no other one would do better.
  'funds-unknown': { session: 'keep', segment: 'fail' },
  'download-failed': suspendAndRetry,
  'signature-mismatch': { session: 'keep', segment: 'retry' },
  'pixel-mismatch': { session: 'remove', segment: 'retry' },
  // Another orchestrator's result has been used already.
  'result-refuted': suspendAndRetry,
  // What a verifier finds (gateway.md §12).
  tampered: { session: 'remove', segment: 'retry' },
  'audio-mismatch': { session: 'remove', segment: 'retry' },
  'video-unavailable': { session: 'keep', segment: 'retry' },
}

/** Faults of an orchestrator that is away, cut off, failing or without transcoders: another node may take its place. */
const absences: ReadonlySet<AttemptFault> = new Set([
  'header-timeout',
  'body-timeout',
  'unreachable',
  'unsent',
  'unavailable',
  'cut-short',
  'unknown-response',
  'bad-answer',
  'refresh-failed',
  'download-failed',
  'unable',
])

/** Whether the orchestrator is unable rather than unwilling, so that it is worth searching for others for a while. */
export function isAbsence(fault: AttemptFault): boolean {
  return absences.has(fault)
}

/** Faults of an orchestrator that is gone; it may be restarting. */
const departures: ReadonlySet<AttemptFault> = new Set(['unreachable', 'unsent', 'unavailable'])

/**
 * Whether the connection was refused or cut, or a balancer reached no node. If no other orchestrator is known, the segment waits for it until its
 * deadline.
 */
export function isGone(fault: AttemptFault): boolean {
  return departures.has(fault)
}

/** A failed try. The message is what the peer said, or what peers say in such a case. */
export class AttemptError extends NodeError<AttemptFault> {
  override name = 'AttemptError'
}

/**
 * Errors of orchestrators that are caused by the input, compared exactly: another orchestrator would fail too
 * (gateway.md §10).
 */
const notRetryable: ReadonlySet<string> = new Set([
  'Unsupported input pixel format',
  'Error initializing filtergraph',
  'Too many outputs',
  'Unsupported input codec',
  'No keyframes in input',
  'Unrecoverable state, restart process',
  'Encoded frames runaway',
  'Decoder not found',
  'Demuxer not found',
  'Encoder not found',
  'Muxer not found',
  'Option not found',
  'Invalid argument',
  'TranscoderInvalidResolution',
  'TranscoderInvalidVideo',
  'TranscoderUnrecognizedFormat',
  'TranscoderUnrecognizedProfile',
  'TranscoderInvalidGOP',
  'TranscoderIncompatibleDevices',
])

/** Errors that blame the input as undecodable: a node that can decode the input knows them to be wrong. */
const undecodable: ReadonlySet<string> = new Set([
  'Unsupported input codec',
  'No keyframes in input',
  'Decoder not found',
  'Demuxer not found',
  'TranscoderInvalidVideo',
])

/** Whether an orchestrator's own words are false of an input that can be decoded. */
export function isDisprovedByDecoding(text: string): boolean {
  return undecodable.has(text)
}

/** Errors of orchestrators that have no room or no transcoder at the moment (wire.md §10, §16). */
const unable: ReadonlySet<string> = new Set([
  'OrchestratorBusy',
  'OrchestratorCapped',
  'TranscoderBusy',
  'TranscoderStopped',
  'ErrTranscoderUnavailable',
  'no transcoders available',
  'no transcoders can provide requested capabilities',
])

/** Whether an orchestrator says that it has no room or no transcoder, alone or within a longer text. */
export function isFullText(text: string): boolean {
  return unable.has(text.slice(text.lastIndexOf(': ') + 1).trim())
}

/** The fault for an orchestrator's error text, from its result or from the body of a refusal. */
export function faultOfText(text: string, otherwise: 'refused' | 'error-in-result'): AttemptFault {
  if (notRetryable.has(text)) return 'not-retryable'
  return unable.has(text) ? 'unable' : otherwise
}

/** What balancers and proxies answer when they reach no node; orchestrators have a text of their own for 503 alone. */
const NO_NODE: ReadonlyMap<number, string> = new Map([
  [502, 'Bad Gateway'],
  [503, 'Service Unavailable'],
  [504, 'Gateway Timeout'],
])

/** Whether a status may come from a balancer that reached no node, so that no orchestrator has seen the request. */
export function mayBeOfBalancer(status: number): boolean {
  return NO_NODE.has(status)
}

/** The fault of a segment that was refused with an HTTP status, and the words for it. */
export function faultOfRefusal(status: number, text: string): { fault: AttemptFault; reason: string } {
  const fault = faultOfText(text, 'refused')
  if (fault !== 'refused') return { fault, reason: text }
  const name = NO_NODE.get(status)
  if (name) return { fault: 'unavailable', reason: `a balancer or proxy answered ${status} ${name}` }
  // With a status of 500 or above the peer declares itself at fault.
  return { fault: status >= 500 ? 'unable' : 'refused', reason: text }
}

const MIN_HEADER_TIMEOUT_MS = 2_000
/** Limits what a pusher may ask for. */
const MAX_TIMEOUT_MULTIPLIER = 20

/** How long an orchestrator may take for a segment, in ms; a multiplier above 1 extends both times (gateway.md §10). */
export function submissionTimeouts(
  durationMs: number,
  multiplier: number,
): { readonly headerMs: number; readonly totalMs: number } {
  const factor = Math.min(Math.max(1, multiplier), MAX_TIMEOUT_MULTIPLIER)
  return {
    headerMs: Math.max(MIN_HEADER_TIMEOUT_MS, durationMs * 0.5) * factor,
    totalMs: segmentLimitMs(durationMs) * factor,
  }
}

/** How many results of one segment may fail verification before the best of them is used (gateway.md §12). */
const VERIFICATION_RETRIES = 2

/** The result to use after these failed verification, oldest first; null while the segment should be tried again. */
export function bestFailedResult<R extends { readonly score: number }>(failed: readonly R[]): R | null {
  if (failed.length <= VERIFICATION_RETRIES) return null
  return failed.reduce((best, result) => (result.score > best.score ? result : best))
}
