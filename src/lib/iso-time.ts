/** The last moment that ISO 8601 writes with a year of four digits. */
const LAST_MS = 253_402_300_799_999

/** A time in ms since the Unix epoch as `2026-01-02T03:04:05.678Z`; times that have no such form become the nearest one. */
export function isoTime(ms: number): string {
  return new Date(Math.min(LAST_MS, Math.max(0, Math.round(ms)))).toISOString()
}
