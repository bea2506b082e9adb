import { EVENT_QUEUES } from '../../domain/events.ts'
import type { MetricRows } from './metric-row.ts'

/** Metrics of events for other programs. */
export const EXTRA_METRICS = {
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
