import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { maxRenditionBytes, receivedDurationMs, sentDurationMs } from './segment.ts'

describe('duration', () => {
  for (const [ms, expected] of [
    [0, 2000],
    [1, 1],
    [1999, 1999],
    [300_000, 300_000],
  ] as const) {
    it(`received as ${ms} is ${expected} ms`, () => assert.equal(receivedDurationMs(ms), expected))
  }

  for (const ms of [-1, 300_001, Number.NaN]) {
    it(`received as ${ms} is refused`, () => {
      assert.throws(() => receivedDurationMs(ms), { code: 'invalid-duration', message: 'invalid duration' })
    })
  }

  for (const [seconds, expected] of [
    [2, 2000],
    [2.0669, 2066],
    [1.001, 1001],
    [0, 0],
    [300, 300_000],
  ] as const) {
    it(`of ${seconds} s is sent as ${expected} ms`, () => assert.equal(sentDurationMs(seconds), expected))
  }

  for (const seconds of [-1, 300.01, Number.NaN, Number.POSITIVE_INFINITY]) {
    it(`of ${seconds} s is not sent`, () => {
      assert.throws(() => sentDurationMs(seconds), { message: `invalid duration ${seconds}` })
    })
  }
})

describe('the size limit of a fetched rendition', () => {
  const MIB = 1024 * 1024
  for (const [claim, bitrate, durationMs, sourceBytes, bytes] of [
    [
      'eight times the bitrate, four times the source, and 4 MiB',
      800_000,
      2000,
      500_000,
      1_600_000 + 2_000_000 + 4 * MIB,
    ],
    ['for a declared duration of 0', 800_000, 0, 500_000, 2_000_000 + 4 * MIB],
    ['never above the limit of segments', 50_000_000, 300_000, 1, 300_000_000],
    ['without a bitrate, the limit of segments', 0, 2000, 1, 300_000_000],
  ] as const) {
    it(claim, () => assert.equal(maxRenditionBytes({ bitrate }, { durationMs, sourceBytes }), bytes))
  }
})
