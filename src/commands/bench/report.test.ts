import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type BenchSettings, loadBenchSettings } from './flags.ts'
import { CSV_HEADER, configurationTable, csvLine, significant, summaryTable, timestamp } from './report.ts'

function settingsOf(...argv: string[]): BenchSettings {
  const settings = loadBenchSettings(argv, () => null)
  if ('exit' in settings) throw new Error(settings.exit.stderr)
  return settings
}

const timing = { session: 0, segment: 0, endMs: 0, durationMs: 2000, tookMs: 500, frames: 60 }

suite('what the bench reports', () => {
  test('the configuration', () => {
    assert.equal(
      configurationTable(settingsOf('-in', 'bbb/source.m3u8')),
      `\
*---------------------*----------------------------------------------*
| Source File         | bbb/source.m3u8                              |
| Transcoding Options | P240p30fps16x9,P360p30fps16x9,P720p30fps16x9 |
| Concurrent Sessions | 1                                            |
| Live Mode           | true                                         |
| MPEG-7 Sign Mode    | false                                        |
*---------------------*----------------------------------------------*
`,
    )
    const options = [
      '-transcodingOptions',
      'P144p30fps16x9',
      '-repeat',
      '3',
      '-live=false',
      '-mpeg7Sign',
      '-nvidia',
      '0,1',
    ]
    assert.equal(
      configurationTable(settingsOf('-in', 'é.m3u8', '-concurrentSessions=4', ...options)),
      `\
*---------------------*----------------*
| Source File         | é.m3u8         |
| Transcoding Options | P144p30fps16x9 |
| Concurrent Sessions | 4              |
| Live Mode           | false          |
| MPEG-7 Sign Mode    | true           |
| Nvidia GPU IDs      | 0,1            |
| Repeat Times        | 3              |
*---------------------*----------------*
`,
    )
  })

  test('each segment', () => {
    assert.equal(CSV_HEADER, 'timestamp,session,segment,seg_dur,transcode_time,frames\n')
    const endMs = new Date(2026, 0, 2, 3, 4, 5, 678).getTime() + 0.95
    assert.equal(
      csvLine({ session: 3, segment: 12, endMs, durationMs: 2002, tookMs: 1234.56789, frames: 60 }),
      '2026-01-02 03:04:05.6789,3,12,2.002,1.235,60\n',
    )
  })

  test('the summary: a segment is on time when it took no longer than it lasts', () => {
    const timings = [
      { ...timing, tookMs: 2000 },
      { ...timing, segment: 1, tookMs: 2000.1 },
      { ...timing, session: 1, durationMs: 1500.5, tookMs: 123.45 },
    ]
    assert.equal(
      summaryTable(2, timings),
      `\
*------------------------------*--------*
| Concurrent Sessions          | 2      |
| Total Segs Transcoded        | 3      |
| Real-Time Segs Transcoded    | 2      |
| * Real-Time Segs Ratio *     | 0.6667 |
| Total Source Duration        | 5.5s   |
| Total Transcoding Duration   | 4.124s |
| * Real-Time Duration Ratio * | 0.7497 |
*------------------------------*--------*
`,
    )
  })

  const numbers: [value: number, text: string][] = [
    [0, '0'],
    [1, '1'],
    [2.5, '2.5'],
    [0.123456, '0.1235'],
    [12.3456, '12.35'],
    [9999, '9999'],
    [9999.6, '1e+04'],
    [12346, '1.235e+04'],
    [0.00012345, '0.0001234'],
    [0.0000123456, '1.235e-05'],
  ]
  for (const [value, text] of numbers) {
    test(`four digits of ${value} are ${text}`, () => assert.equal(significant(value), text))
  }

  const fractions: [ms: number, text: string][] = [
    [0, '2026-11-12 00:00:00'],
    [500, '2026-11-12 00:00:00.5'],
    [20, '2026-11-12 00:00:00.02'],
    [0.125, '2026-11-12 00:00:00.0001'],
    [999.99, '2026-11-12 00:00:00.9999'],
  ]
  for (const [ms, text] of fractions) {
    test(`${ms} ms after midnight is ${text}`, () =>
      assert.equal(timestamp(new Date(2026, 10, 12).getTime() + ms), text))
  }
})
