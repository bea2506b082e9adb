import { EVENT_QUEUES, type VerificationFinding } from '../../domain/events.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import type { MetricRows } from './metric-row.ts'

/** What dashboards of the network call what fast verification finds (operations.md §6). */
const FINDINGS: Readonly<Record<VerificationFinding, string>> = { pictures: '1', segment: '2' }

/** Metrics of fast verification and of events for other programs. */
export const EXTRA_METRICS = {
  fast_verification_done: {
    ...{ type: 'counter', help: 'Segments of which results of several orchestrators were compared' },
    ...{ by: ['gateway'], labels: { orchestrator_uri: 'open' }, flagLabels: ['manifest_id'] },
    on: { 'fast-verification-done': (event) => ({ labels: verifiedAt(event) }) },
  },
  fast_verification_failed: {
    ...{ type: 'counter', help: 'Results that differ from those of a trusted orchestrator', by: ['gateway'] },
    labels: { orchestrator_uri: 'open', fverror_type: Object.values(FINDINGS) },
    flagLabels: ['manifest_id'],
    on: {
      'fast-verification-failed': (event) => ({
        labels: { ...verifiedAt(event), fverror_type: FINDINGS[event.found] },
      }),
    },
  },
  fast_verification_enabled_current_sessions_total: {
    ...{ type: 'gauge', help: 'Streams whose results are compared', by: ['gateway'] },
    on: { 'verified-streams-changed': ({ enabled }) => ({ value: enabled }) },
  },
  fast_verification_using_current_sessions_total: {
    ...{ type: 'gauge', help: 'Streams of these that use an untrusted orchestrator', by: ['gateway'] },
    on: { 'verified-streams-changed': ({ using }) => ({ value: using }) },
  },
  kafka_event_send_errors: {
    ...{ type: 'counter', help: 'Events that were not sent to Kafka', by: ['gateway'] },
    labels: { event_type: 'open' },
    on: {
      'event-dropped': ({ eventType, queue }) =>
        queue === 'kafka' ? { labels: { event_type: eventType } } : null,
    },
  },
  events_dropped_total: {
    ...{ type: 'counter', help: 'Events for other programs that were not published', by: ['gateway'] },
    labels: { queue: EVENT_QUEUES },
    on: { 'event-dropped': ({ queue }) => ({ labels: { queue } }) },
  },
} as const satisfies MetricRows

function verifiedAt(event: { readonly manifestId: string; readonly orchestrator: string }) {
  return { manifest_id: event.manifestId, orchestrator_uri: maskUrl(event.orchestrator) }
}
