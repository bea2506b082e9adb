import { type NodeEventOf, VERIFIER_VERDICTS } from '../../domain/events.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import { type MetricRows, type Move, seconds } from './metric-row.ts'

const VERIFIER_SECONDS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16]

/** Metrics of what a gateway makes sure of about results. */
export const VERIFICATION_METRICS = {
  fast_verification_done: {
    ...{ type: 'counter', help: 'Results compared with that of a trusted orchestrator', by: ['gateway'] },
    ...{ labels: { orchestrator_uri: 'open' }, flagLabels: ['manifest_id'] },
    on: { 'result-compared': (event) => ({ labels: labelsOf(event) }) },
  },
  fast_verification_failed: {
    ...{ type: 'counter', help: 'Those that differed: 1 in the perceptual hash, 2 in the rendition' },
    ...{ by: ['gateway'], labels: { orchestrator_uri: 'open', fverror_type: ['1', '2'] } },
    flagLabels: ['manifest_id'],
    on: {
      'result-compared': (event): Move | null => {
        if (event.fault === null) return null
        const fverror_type = event.fault === 'signature' ? '1' : '2'
        return { labels: { ...labelsOf(event), fverror_type } }
      },
    },
  },
  fast_verification_enabled_current_sessions_total: {
    ...{ type: 'gauge', help: 'Streams whose results are to be compared with trusted ones', by: ['gateway'] },
    read: 'at once',
  },
  fast_verification_using_current_sessions_total: {
    ...{
      type: 'gauge',
      help: 'Those of them that have trusted and untrusted orchestrators',
      by: ['gateway'],
    },
    read: 'at once',
  },
  verifier_results_total: {
    ...{ type: 'counter', help: 'Results shown to the verifier of `-verifierUrl`, by what it said' },
    ...{ by: ['gateway'], labels: { verdict: VERIFIER_VERDICTS } },
    on: { 'result-judged': ({ verdict }) => ({ labels: { verdict } }) },
  },
  verifier_time_seconds: {
    ...{ type: 'histogram', help: 'Time until the verifier had judged a result', buckets: VERIFIER_SECONDS },
    by: ['gateway'],
    on: { 'result-judged': ({ tookMs }) => ({ value: seconds(tookMs) }) },
  },
} as const satisfies MetricRows

function labelsOf({ manifestId, orchestrator }: NodeEventOf<'result-compared'>) {
  return { manifest_id: manifestId, orchestrator_uri: maskUrl(orchestrator) }
}
