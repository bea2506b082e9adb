import type { BenchSettings } from './flags.ts'

/** The timing of one segment of one session. */
export interface SegmentTiming {
  readonly session: number
  readonly segment: number
  /** When its renditions were finished: milliseconds since 1970, with fractions. */
  readonly endMs: number
  readonly durationMs: number
  /** From before the segment was read until its renditions were kept. */
  readonly tookMs: number
  /** Frames of the first rendition. */
  readonly frames: number
}

/** The first line of the CSV (transcoding.md §12). */
export const CSV_HEADER = 'timestamp,session,segment,seg_dur,transcode_time,frames\n'

/** One line of the CSV: the end in local time, both durations in seconds. */
export function csvLine(timing: SegmentTiming): string {
  const { session, segment, endMs, durationMs, tookMs, frames } = timing
  const seconds = [durationMs, tookMs].map((ms) => significant(ms / 1000))
  return `${[timestamp(endMs), session, segment, ...seconds, frames].join(',')}\n`
}

/** The settings of a run, as a table. */
export function configurationTable(settings: BenchSettings): string {
  const rows: [string, string][] = [
    ['Source File', settings.source],
    ['Transcoding Options', settings.profiles.map(({ name }) => name).join(',')],
    ['Concurrent Sessions', String(settings.sessions)],
    ['Live Mode', String(settings.isLive)],
    ['MPEG-7 Sign Mode', String(settings.mpeg7Sign)],
  ]
  if (settings.gpus.length > 0) rows.push(['Nvidia GPU IDs', [settings.gpus].flat().join(',')])
  if (settings.repeat > 1) rows.push(['Repeat Times', String(settings.repeat)])
  return table(rows)
}

/** The results of a run, as a table; durations are summed over all sessions. */
export function summaryTable(sessions: number, timings: readonly SegmentTiming[]): string {
  const inTime = timings.filter(({ tookMs, durationMs }) => tookMs <= durationMs).length
  const source = timings.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000
  const transcoding = timings.reduce((sum, { tookMs }) => sum + tookMs, 0) / 1000
  return table([
    ['Concurrent Sessions', String(sessions)],
    ['Total Segs Transcoded', String(timings.length)],
    ['Real-Time Segs Transcoded', String(inTime)],
    ['* Real-Time Segs Ratio *', significant(inTime / timings.length)],
    ['Total Source Duration', `${significant(source)}s`],
    ['Total Transcoding Duration', `${significant(transcoding)}s`],
    ['* Real-Time Duration Ratio *', significant(transcoding / source)],
  ])
}

/** Four significant digits without trailing zeros, with an exponent where Go's `%.4g` has one. */
export function significant(value: number): string {
  if (!Number.isFinite(value) || value === 0) return value === 0 ? '0' : String(value)
  const [digits, exponent] = value.toExponential(3).split('e') as [string, string]
  const power = Number(exponent)
  if (power >= -4 && power < 4) return String(Number(`${digits}e${power}`))
  const sign = power < 0 ? '-' : '+'
  return `${Number(digits)}e${sign}${String(Math.abs(power)).padStart(2, '0')}`
}

/** `YYYY-MM-DD hh:mm:ss.ffff` in local time, without trailing zeros. */
export function timestamp(ms: number): string {
  const date = new Date(ms)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')
  const tenths = Math.floor((ms - Math.floor(ms)) * 10)
  const fraction = `${String(date.getMilliseconds()).padStart(3, '0')}${tenths}`.replace(/0+$/, '')
  return `${day} ${time}${fraction === '' ? '' : `.${fraction}`}`
}

/** Two columns, aligned to the left, with stars at the corners. */
function table(rows: readonly (readonly [name: string, value: string])[]): string {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => [...row[column]!].length)))
  const edge = `*${widths.map((width) => '-'.repeat(width + 2)).join('*')}*\n`
  const cell = (text: string, column: number) => ` ${text}${' '.repeat(widths[column]! - [...text].length)} `
  return `${edge}${rows.map((row) => `|${row.map(cell).join('|')}|\n`).join('')}${edge}`
}
