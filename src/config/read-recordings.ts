import { readObjectStore } from './read-objects.ts'
import { type Reading, refusal } from './reading.ts'
import type { RecordingSettings } from './settings.ts'

/** What is kept for shorter is gone before it can be watched; what is kept for longer than a hundred years needs no limit. */
const RETENTION_LIMITS_MS = [60_000, 876_000 * 3_600_000] as const

/** Reads the settings of recordings. Throws SettingsError. */
export function readRecordings(reading: Reading): RecordingSettings {
  const store = readObjectStore(reading, 'recordStore')
  const keptMs = reading.flags.recordRetention
  if (keptMs === 0) return { store, keptMs: null }
  const spelled = reading.spelled('recordRetention')
  const [least, most] = RETENTION_LIMITS_MS
  if (!(keptMs >= least && keptMs <= most)) {
    throw refusal(
      `${spelled} must be 0, which keeps recordings for ever, or between 1m and 876000h, not ${keptMs}ms`,
    )
  }
  if (store === null) {
    reading.warnings.push(`${spelled} has no effect without -recordStore, whose recordings it deletes`)
  }
  return { store, keptMs: store === null ? null : keptMs }
}
