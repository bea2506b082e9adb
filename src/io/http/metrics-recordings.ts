import { type MetricRows, once, seconds } from './metric-row.ts'

/** Upper bounds of buckets (operations.md §6). */
const SAVE_SECONDS = [0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10, 30]

/** Metrics of recordings. */
export const RECORDING_METRICS = {
  recording_saved_segments: {
    ...{ type: 'counter', help: 'Segments saved in recordings, those of renditions too', by: ['gateway'] },
    on: { 'recording-saved': once },
  },
  recording_save_latency: {
    ...{ type: 'histogram', help: 'Time from a segment until it was saved in its recording' },
    ...{ buckets: SAVE_SECONDS, by: ['gateway'] },
    on: { 'recording-saved': ({ tookMs }) => ({ value: seconds(tookMs) }) },
  },
  recording_save_errors: {
    ...{ type: 'counter', help: 'Tries at saving a recording that failed', by: ['gateway'] },
    on: { 'recording-save-failed': once },
  },
  recording_lost_segments_total: {
    ...{ type: 'counter', help: 'Segments that are in no recording, since its store was away for too long' },
    by: ['gateway'],
    on: { 'recording-lost': ({ segments }) => ({ value: segments }) },
  },
} as const satisfies MetricRows
