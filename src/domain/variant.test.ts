import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlaylistEntry } from './playlist.ts'
import type { SegmentFacts } from './segment-facts.ts'
import { measuredRate, variantFacts } from './variant.ts'

function entries(...segments: readonly (readonly [seconds: number, kilobytes: number])[]): PlaylistEntry[] {
  return segments.map(([seconds, kilobytes], i) => ({
    ...{ sequence: BigInt(i), path: `${i}`, durationMs: seconds * 1000, bytes: kilobytes * 1000 },
  }))
}

function facts(changes: Partial<SegmentFacts> = {}): SegmentFacts {
  return {
    ...{ video: 'avc1.42c01e', audio: 'mp4a.40.2', hasOtherCodecs: false, isIndependent: true },
    ...{ size: { width: 160, height: 90 }, pictures: 61, picturesMs: 2_000, span: null },
    ...changes,
  }
}

const withFacts = (...all: readonly (SegmentFacts | null)[]) =>
  entries(...all.map(() => [2, 1] as const)).map((entry, i) => ({ ...entry, facts: all[i]! }))

test('the peak is the largest rate of segments that last about a target duration, and the average that of all', () => {
  const table: readonly (readonly [PlaylistEntry[], number, object | null])[] = [
    [entries([2, 100]), 2_000, { peak: 400_000, average: 400_000 }],
    [entries([2, 100], [2, 200], [2, 100]), 2_000, { peak: 800_000, average: 533_334 }],
    // A short last segment with one large picture is no rate that lasts.
    [entries([2, 100], [0.1, 50]), 2_000, { peak: 571_429, average: 571_429 }],
    [entries([1, 10], [1, 90], [1, 50]), 2_000, { peak: 720_000, average: 400_000 }],
    [entries([0.2, 1]), 2_000, { peak: 40_000, average: 40_000 }],
    [entries([0, 10]), 0, null],
    [entries([2, 0]), 2_000, { peak: 1, average: 1 }],
    [[], 2_000, null],
  ]
  for (const [window, targetMs, expected] of table) assert.deepEqual(measuredRate(window, targetMs), expected)
})

test('codecs and size are those of the newest segment that says them', () => {
  const big = facts({ video: 'avc1.640028', size: { width: 1280, height: 720 } })
  const mute = facts({ audio: null })
  const sound = facts({ video: null, size: null, pictures: 0, picturesMs: 0 })
  const table: readonly (readonly [(SegmentFacts | null)[], string | null, number | null])[] = [
    [[facts()], 'avc1.42c01e,mp4a.40.2', 160],
    [[facts(), big], 'avc1.640028,mp4a.40.2', 1280],
    [[big, mute], 'avc1.42c01e,mp4a.40.2', 160],
    [[facts(), sound, null], 'avc1.42c01e,mp4a.40.2', 160],
    [[sound], 'mp4a.40.2', null],
    // A list that is not complete would keep players from what they can play.
    [[facts(), facts({ hasOtherCodecs: true })], null, 160],
    [[null], null, null],
  ]
  for (const [all, codecs, width] of table) {
    const said = variantFacts(withFacts(...all))
    assert.deepEqual([said.codecs, said.size?.width ?? null], [codecs, width])
  }
})

test('the frame rate is measured over all segments, and rounded to a usual one that is as near as times tell', () => {
  const rate = (...all: readonly (readonly [pictures: number, ms: number])[]) =>
    variantFacts(withFacts(...all.map(([pictures, picturesMs]) => facts({ pictures, picturesMs })))).frameRate
  assert.equal(rate([61, 2_000]), 30)
  assert.equal(rate([60, 1_968.633]), 29.97)
  assert.equal(rate([48, 1_960.291]), 23.976)
  // Times in whole milliseconds, as RTMP has them.
  assert.equal(rate([60, 1_967], [60, 1_966]), 30)
  assert.equal(rate([25, 2_000]), 12)
  assert.equal(rate([8, 2_000]), 3.5)
  assert.equal(rate([2, 30_000]), 0.033)
  assert.equal(rate([1, 0]), null)
  assert.equal(rate([1, 0], [21, 2_000]), 10)
})
