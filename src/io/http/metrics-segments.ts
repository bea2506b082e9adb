import { type AttemptFault, attemptConsequence } from '../../domain/attempt.ts'
import { type NodeEventOf, type SegmentFailure, SWAP_REASONS } from '../../domain/events.ts'
import { RESEND_CAUSES } from '../../domain/resend.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import { type MetricRows, type Move, type Moves, once, seconds } from './metric-row.ts'

/** Upper bounds of buckets (operations.md §6). */
const TRANSCODE_SECONDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10]
const LATENCY_SECONDS = [0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10]
const TRANSFER_SECONDS = [0.1, 0.15, 0.2, 0.5, 10]
const DURATION_SECONDS = [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10, 15, 20]
const SCORES = [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10, 15, 20, 40]
const RATIOS = [0.5, 1, 2, 3, 5, 10, 50, 100]
const WEBHOOK_MS = [100, 250, 500, 750, 1000, 1500, 2000, 2500, 3000, 5000, 10_000]

/** What dashboards of the network call failures (operations.md §6). */
const FAILURES: Readonly<Record<SegmentFailure, string>> = {
  busy: 'OrchestratorBusy',
  capped: 'OrchestratorCapped',
  'no-orchestrators': 'NoOrchestrators',
  'max-attempts': 'MaxAttempts',
  'not-retryable': 'NonRetryable',
  cancelled: 'CtxCancelled',
  'stream-ended': 'SessionEnded',
  transcode: 'Transcode',
}
const GATEWAY_FAILURES = [
  ...(['cancelled', 'max-attempts', 'no-orchestrators', 'not-retryable'] as const),
  ...(['stream-ended', 'transcode'] as const),
]
const ORCHESTRATOR_FAILURES = ['busy', 'capped', 'transcode'] as const

/** Attempts whose segment did not reach the orchestrator, or was refused there. */
const UPLOAD_FAILURES: { readonly [Fault in AttemptFault]?: string } = {
  'header-timeout': 'Timeout',
  refused: 'Unknown',
  unable: 'OrchestratorCapped',
  unavailable: 'Unknown',
  unreachable: 'Unknown',
  unsent: 'Unknown',
}

/** The rendition that is the publisher's own. */
const SOURCE = 'source'

/** The second to the tenth try, and all later ones together. */
const TRIES = [...Array.from({ length: 9 }, (_, index) => String(index + 2)), '>10']

type Done = NodeEventOf<'segment-done'>
type DoneByGateway = Extract<Done, { side: 'gateway' }>

const PROFILES = { profiles: 'open' } as const
const ORCHESTRATOR = {
  orchestrator_uri: 'open',
  orchestrator_address: 'open',
  orchestrator_version: 'open',
} as const
const RESULT = {
  ...PROFILES,
  trusted: ['trusted', 'untrusted'],
  verified: ['verified', 'unverified'],
} as const

/** Metrics of streams and segments. */
export const SEGMENT_METRICS = {
  stream_created_total: {
    ...{ type: 'counter', help: 'Streams that publishers began', by: ['gateway'] },
    on: { 'stream-begun': once },
  },
  stream_started_total: {
    ...{ type: 'counter', help: 'Streams of which a segment came', by: ['gateway'] },
    on: { 'stream-begun': once },
  },
  stream_ended_total: {
    ...{ type: 'counter', help: 'Streams that ended', by: ['gateway'] },
    on: { 'stream-ended': once },
  },
  segment_source_emerged_total: {
    ...{ type: 'counter', help: 'Segments that came from publishers', by: ['gateway'] },
    flagLabels: ['manifest_id'],
    on: { 'segment-arrived': (event) => (event.side === 'gateway' ? ofStream(event) : null) },
  },
  segment_source_emerged_unprocessed_total: {
    ...{ type: 'counter', help: 'Segments that came, from publishers or from gateways' },
    ...{ by: ['gateway', 'orchestrator'], flagLabels: ['manifest_id', 'client_ip'] },
    on: { 'segment-arrived': (event) => ofClient(event) },
  },
  segment_source_appeared_total: {
    ...{ type: 'counter', help: 'Segments that players could fetch as they came', by: ['gateway'] },
    ...{ labels: { profile: [SOURCE], seg_type: ['regular', 'recorded'] }, flagLabels: ['manifest_id'] },
    on: {
      'segment-arrived': (event) => (event.side === 'gateway' ? ofSource(event, 'regular') : null),
      'recording-saved': (event) => (event.rendition === SOURCE ? ofSource(event, 'recorded') : null),
    },
  },
  source_segment_duration_seconds: {
    ...{ type: 'histogram', help: 'How long segments last, as declared', buckets: DURATION_SECONDS },
    ...{ by: ['gateway', 'orchestrator'], flagLabels: ['manifest_id'] },
    on: { 'segment-arrived': (event) => ofStream(event, seconds(event.durationMs)) },
  },
  segment_source_uploaded_total: {
    ...{
      type: 'counter',
      help: 'Segments that an orchestrator took, or results that a transcoder delivered',
    },
    ...{ by: ['gateway', 'transcoder'], labels: { orchestrator_uri: 'open' }, flagLabels: ['manifest_id'] },
    on: { 'segment-uploaded': (event) => uploaded(event) },
  },
  segment_source_upload_failed_total: {
    ...{ type: 'counter', help: 'Segments that an orchestrator did not take', by: ['gateway'] },
    ...{ labels: { orchestrator_uri: 'open', error_code: 'open' }, flagLabels: ['manifest_id'] },
    on: {
      'attempt-failed': ({ fault, manifestId, orchestrator }) => {
        const error_code = UPLOAD_FAILURES[fault as AttemptFault]
        return error_code === undefined
          ? null
          : { labels: { error_code, manifest_id: manifestId, orchestrator_uri: maskUrl(orchestrator) } }
      },
    },
  },
  upload_time_seconds: {
    ...{
      type: 'histogram',
      help: 'Time until an orchestrator had a segment, or a result',
      buckets: TRANSFER_SECONDS,
    },
    ...{ by: ['gateway', 'transcoder'], labels: { orchestrator_uri: 'open' } },
    on: { 'segment-uploaded': (event) => uploaded(event, seconds(event.tookMs)) },
  },
  segment_transcoded_downloaded_total: {
    ...{
      type: 'counter',
      help: 'Segments whose renditions a gateway fetched, or that an orchestrator received',
    },
    ...{ by: ['gateway', 'orchestrator'], flagLabels: ['manifest_id'] },
    on: {
      'segment-downloaded': (event) => ofStream(event),
      'segment-arrived': (event) => (event.side === 'orchestrator' ? ofStream(event) : null),
    },
  },
  download_time_seconds: {
    ...{ type: 'histogram', help: 'Time to fetch the renditions of a segment, or to receive a segment' },
    ...{ buckets: TRANSFER_SECONDS, by: ['gateway', 'orchestrator'], flagLabels: ['manifest_id'] },
    on: {
      'segment-downloaded': (event) => ofStream(event, seconds(event.tookMs)),
      'segment-arrived': (event) =>
        event.side === 'orchestrator' ? ofStream(event, seconds(event.tookMs)) : null,
    },
  },
  segment_transcoded_total: {
    ...{ type: 'counter', help: 'Segments transcoded', by: ['worker'], labels: RESULT },
    on: { 'segment-done': (event) => ({ labels: resultOf(event) }) },
  },
  segment_transcoded_unprocessed_total: {
    ...{ type: 'counter', help: 'Segments that an orchestrator transcoded', by: ['gateway'] },
    ...{ labels: { ...ORCHESTRATOR, ...PROFILES }, flagLabels: ['manifest_id'] },
    on: { 'segment-done': (event) => byOrchestrator(event) },
  },
  segment_transcoded_all_appeared_total: {
    ...{ type: 'counter', help: 'Segments of which players can fetch every rendition', by: ['gateway'] },
    ...{ labels: { ...ORCHESTRATOR, ...PROFILES }, flagLabels: ['manifest_id'] },
    on: { 'segment-done': (event) => byOrchestrator(event) },
  },
  segment_transcode_failed_total: {
    ...{ type: 'counter', help: 'Segments that were not transcoded', by: ['worker'] },
    labels: {
      error_code: {
        gateway: GATEWAY_FAILURES.map(codeOf),
        orchestrator: ORCHESTRATOR_FAILURES.map(codeOf),
        transcoder: [FAILURES.transcode],
      },
    },
    flagLabels: ['manifest_id'],
    on: {
      'segment-failed': (event) => ({
        labels: {
          error_code: FAILURES[event.failure],
          ...('manifestId' in event && { manifest_id: event.manifestId }),
        },
      }),
    },
  },
  transcode_time_seconds: {
    ...{ type: 'histogram', help: 'Time to transcode a segment', buckets: TRANSCODE_SECONDS },
    ...{ by: ['worker'], labels: RESULT },
    on: { 'segment-done': (event) => ({ labels: resultOf(event), value: seconds(transcodeMsOf(event)) }) },
  },
  transcode_score: {
    ...{ type: 'histogram', help: 'How long a segment lasts over the time to transcode it', buckets: SCORES },
    ...{ by: ['worker'], labels: RESULT },
    on: {
      'segment-done': (event) => ({
        labels: resultOf(event),
        value: event.durationMs / Math.max(1, transcodeMsOf(event)),
      }),
    },
  },
  transcode_overall_latency_seconds: {
    ...{ type: 'histogram', help: 'Time from a segment to all its renditions', buckets: LATENCY_SECONDS },
    ...{ by: ['gateway'], labels: { ...ORCHESTRATOR, ...PROFILES } },
    on: { 'segment-done': (event) => byOrchestrator(event, seconds(event.tookMs)) },
  },
  transcode_retried: {
    ...{ type: 'counter', help: 'Attempts after the first, by their number', by: ['gateway'] },
    ...{ labels: { try: TRIES }, flagLabels: ['manifest_id'] },
    on: {
      'segment-retried': ({ attempt, manifestId }) => ({
        labels: { try: attempt > 10 ? '>10' : String(attempt), manifest_id: manifestId },
      }),
    },
  },
  segments_resent_total: {
    ...{ type: 'counter', help: 'Segments sent to the same orchestrator again at once, within an attempt' },
    ...{ by: ['gateway'], labels: { cause: RESEND_CAUSES } },
    on: { 'segment-resent': ({ cause }) => ({ labels: { cause } }) },
  },
  attempts_failed_total: {
    ...{ type: 'counter', help: 'Attempts at an orchestrator that failed', by: ['gateway'] },
    labels: { fault: Object.keys(attemptConsequence) },
    on: { 'attempt-failed': ({ fault }) => ({ labels: { fault } }) },
  },
  orchestrator_swaps: {
    ...{ type: 'counter', help: 'Segments that went to another orchestrator than the one before' },
    ...{ by: ['gateway'], flagLabels: ['manifest_id'] },
    on: { 'orchestrator-swapped': (event) => ofStream(event) },
  },
  orchestrator_swap_reasons_total: {
    ...{
      type: 'counter',
      help: 'Segments that went to another orchestrator, by the reason',
      by: ['gateway'],
    },
    labels: { reason: SWAP_REASONS },
    on: { 'orchestrator-swapped': ({ reason }) => ({ labels: { reason } }) },
  },
  orchestrator_suspensions_total: {
    ...{ type: 'counter', help: 'Orchestrators that a stream left out for a while', by: ['gateway'] },
    on: { 'orchestrator-suspended': once },
  },
  discovery_errors_total: {
    ...{ type: 'counter', help: 'Orchestrators that gave no offer when they were asked', by: ['gateway'] },
    labels: { orchestrator_uri: 'open', error_code: 'open' },
    on: {
      'discovery-failed': ({ orchestrator, reason }) => ({
        labels: { orchestrator_uri: maskUrl(orchestrator), error_code: DISCOVERY_CODES[reason] ?? reason },
      }),
    },
  },
  mil_pixels_processed: {
    ...{ type: 'counter', help: 'Million pixels encoded', by: ['worker'] },
    flagLabels: ['manifest_id', 'client_ip'],
    on: { 'segment-done': (event) => ofClient(event, Number(event.pixels) / 1e6) },
  },
  auth_webhook_time_milliseconds: {
    ...{ type: 'histogram', help: 'Time until the webhook had decided on a new stream, in milliseconds' },
    ...{ buckets: WEBHOOK_MS, by: ['gateway'] },
    on: { 'stream-judged': ({ tookMs }) => ({ value: tookMs }) },
  },
  http_client_segment_transcoded_realtime_ratio: {
    ...{
      type: 'histogram',
      help: 'How long a segment lasts over the time until its publisher had the renditions',
    },
    ...{ buckets: RATIOS, by: ['gateway'], flagLabels: ['manifest_id', 'client_ip'] },
    on: { 'publisher-answered': (event) => ofClient(event, ratioOf(event)) },
  },
  http_client_segment_transcoded_realtime_3x: realtime('Answers in at most a third of the segment’s time', 3),
  http_client_segment_transcoded_realtime_2x: realtime(
    'Answers in a third to half of the segment’s time',
    2,
    3,
  ),
  http_client_segment_transcoded_realtime_1x: realtime('Answers in half to all of the segment’s time', 1, 2),
  http_client_segment_transcoded_realtime_half: realtime(
    'Answers in once to twice the segment’s time',
    0.5,
    1,
  ),
  http_client_segment_transcoded_realtime_slow: realtime(
    'Answers in more than twice the segment’s time',
    0,
    0.5,
  ),
  http_client_timeout_1: left('Publishers that left before their segment was transcoded', 'result'),
  http_client_timeout_2: left('Publishers that left before they had all renditions', 'end-of-answer'),
  segments_handed_over_total: {
    ...{ type: 'counter', help: 'Segments that another node of the cluster did, or was lost with' },
    ...{ by: ['orchestrator'], labels: { sibling: 'open', outcome: ['answered', 'lost'] } },
    on: { 'segment-handed-over': ({ outcome, sibling }) => ({ labels: { sibling, outcome } }) },
  },
} as const satisfies MetricRows

/** What dashboards of the network call an orchestrator that does not answer or has no room. */
const DISCOVERY_CODES: Readonly<Record<string, string>> = {
  capped: 'OrchestratorCapped',
  'header-timeout': 'DeadlineExceeded',
  'no-answer': 'DeadlineExceeded',
}

function codeOf(failure: SegmentFailure): string {
  return FAILURES[failure]
}

function ofStream({ manifestId }: { readonly manifestId: string }, value = 1): Move {
  return { value, labels: { manifest_id: manifestId } }
}

function ofSource({ manifestId }: { readonly manifestId: string }, type: 'regular' | 'recorded'): Move {
  return { labels: { manifest_id: manifestId, profile: SOURCE, seg_type: type } }
}

/** A transcoder knows neither stream nor client. */
function ofClient(
  event: NodeEventOf<'segment-arrived' | 'segment-done' | 'publisher-answered' | 'publisher-left'>,
  value = 1,
): Move {
  if (!('clientIp' in event)) return { value }
  const { clientIp, manifestId } = event
  return { value, labels: { manifest_id: manifestId, ...(clientIp && { client_ip: clientIp }) } }
}

function uploaded(event: NodeEventOf<'segment-uploaded'>, value = 1): Move {
  if (event.side === 'transcoder') return { value }
  return { value, labels: { manifest_id: event.manifestId, orchestrator_uri: maskUrl(event.orchestrator) } }
}

function resultOf(event: Done): Record<string, string> {
  const isOwn = event.side !== 'gateway'
  return {
    profiles: profilesLabel(event.profiles),
    trusted: isOwn || event.isTrusted ? 'trusted' : 'untrusted',
    verified: isOwn || event.isVerified ? 'verified' : 'unverified',
  }
}

/** The names of profiles in one order, whatever theirs. */
export function profilesLabel(names: readonly string[]): string {
  return [...names].sort().join(',')
}

function byOrchestrator(event: Done, value = 1): Move | null {
  if (event.side !== 'gateway') return null
  const {
    manifestId: manifest_id,
    orchestrator,
    orchestratorAddress,
    orchestratorVersion,
  }: DoneByGateway = event
  return {
    value,
    labels: {
      ...{ manifest_id, profiles: profilesLabel(event.profiles), orchestrator_uri: maskUrl(orchestrator) },
      ...{ orchestrator_address: orchestratorAddress, orchestrator_version: orchestratorVersion },
    },
  }
}

function transcodeMsOf(event: Done): number {
  return event.side === 'gateway' ? event.transcodeMs : event.tookMs
}

function ratioOf({ durationMs, tookMs }: NodeEventOf<'publisher-answered'>): number {
  return durationMs / Math.max(1, tookMs)
}

/** Counts answers by how much faster than real time they came: at least `from` times, and less than `to` times. */
function realtime(help: string, from: number, to = Number.POSITIVE_INFINITY) {
  return byClient(help, {
    'publisher-answered': (event: NodeEventOf<'publisher-answered'>) =>
      ratioOf(event) >= from && ratioOf(event) < to ? ofClient(event) : null,
  })
}

function left(help: string, before: NodeEventOf<'publisher-left'>['before']) {
  return byClient(help, {
    'publisher-left': (event: NodeEventOf<'publisher-left'>) =>
      event.before === before ? ofClient(event) : null,
  })
}

function byClient<On extends Moves>(help: string, on: On) {
  return { type: 'counter', help, by: ['gateway'], flagLabels: ['manifest_id', 'client_ip'], on } as const
}
