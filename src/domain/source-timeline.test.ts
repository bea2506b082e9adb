import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SegmentFacts } from './segment-facts.ts'
import { placeOf, placeSegment, type SourceSegment, type SourceTimeline } from './source-timeline.ts'

const NOW = 1_700_000_000_000
const WRAP = 2 ** 33

/** A segment of 20 pictures in 2 s, from a time on the clock of the source. */
function facts(startMs: number, changes: Partial<SegmentFacts> = {}): SegmentFacts {
  const at = (ms: number) => (((ms * 90) % WRAP) + WRAP) % WRAP
  return {
    ...{ video: 'avc1.42c01e', audio: 'mp4a.40.2', hasOtherCodecs: false, isIndependent: true },
    ...{ size: { width: 160, height: 90 }, pictures: 20, picturesMs: 1_900 },
    span: { start: at(startMs), end: at(startMs + 2_000) },
    ...changes,
  }
}

function segment(number: number, changes: Partial<SourceSegment> = {}): SourceSegment {
  return {
    sequence: BigInt(number),
    durationMs: 2_000,
    arrivedAtMs: NOW + 2_000 * (number + 1),
    facts: facts(2_000 * number),
    ...changes,
  }
}

function places(segments: readonly SourceSegment[]): string {
  const timeline = segments.reduce(placeSegment, [] as SourceTimeline)
  return timeline
    .map(({ place: { jumps, startsAtMs }, sequence }) => {
      const seconds = startsAtMs === null ? '?' : (startsAtMs - NOW) / 1000
      return `${sequence}@${seconds}/${jumps}`
    })
    .join(' ')
}

test('segments follow one another in time, however unevenly they arrive', () => {
  const late = [0, 700, -900, 5_000].map((lateMs, number) =>
    segment(number, { arrivedAtMs: NOW + 2_000 * (number + 1) + lateMs }),
  )
  assert.equal(places(late), '0@0/0 1@2/0 2@4/0 3@6/0')
  const burst = [0, 1, 2].map((number) => segment(number, { arrivedAtMs: NOW + 2_000 }))
  assert.equal(places(burst), '0@0/0 1@2/0 2@4/0')
})

test('behind a pause, or numbers that never came, time goes on from when the segment was made', () => {
  const paused = [
    segment(0),
    segment(1, { arrivedAtMs: NOW + 60_000 }),
    segment(2, { arrivedAtMs: NOW + 62_000 }),
  ]
  assert.equal(places(paused), '0@0/0 1@58/0 2@60/0')
  assert.equal(places([segment(0), segment(3)]), '0@0/0 3@6/1')
  const hurried = [segment(0), segment(9, { arrivedAtMs: NOW + 2_001 })]
  assert.equal(places(hurried), '0@0/0 9@2/1')
})

test('the source jumps where its clock, its tracks or its size do not go on', () => {
  const table: readonly (readonly [string, Partial<SegmentFacts> | null, number])[] = [
    ['goes on', facts(2_000), 0],
    ['half a second late', facts(2_500), 0],
    ['three seconds late', facts(5_000), 1],
    ['back to its beginning', facts(0), 1],
    ['another size', facts(2_000, { size: { width: 320, height: 180 } }), 1],
    ['without sound', facts(2_000, { audio: null }), 1],
    ['other parameters', facts(2_000, { video: 'avc1.640028' }), 1],
    ['a container without a clock', facts(2_000, { span: null }), 0],
    ['unreadable', null, 0],
  ]
  for (const [what, next, jumps] of table) {
    const second = segment(1, { facts: next as SegmentFacts | null })
    assert.equal(places([segment(0), second]), `0@0/0 1@2/${jumps}`, what)
  }
})

test('the wrap of the clock is no jump, and a single picture lasts as long as its segment', () => {
  const nearEndMs = WRAP / 90 - 1_000
  assert.equal(
    places([segment(0, { facts: facts(nearEndMs) }), segment(1, { facts: facts(nearEndMs + 2_000) })]),
    '0@0/0 1@2/0',
  )
  const single = { pictures: 1, picturesMs: 0, span: { start: 0, end: 0 } }
  assert.equal(places([segment(0, { facts: facts(0, single) }), segment(1)]), '0@0/0 1@2/0')
})

test('a segment that comes late takes its place, and moves none that players have seen', () => {
  assert.equal(places([segment(0), segment(2), segment(1)]), '0@0/0 1@2/0 2@4/1')
  assert.equal(places([segment(5), segment(4)]), '4@8/0 5@10/0')
  const other = segment(1, { facts: facts(90_000) })
  assert.equal(places([segment(0), segment(2, { facts: facts(4_000) }), other]), '0@0/0 1@2/1 2@4/1')
})

test('one that comes late has no time where that was given away', () => {
  const hurried = (number: number) => segment(number, { arrivedAtMs: NOW + 2_000 })
  assert.equal(places([0, 3, 1, 2, 4].map(hurried)), '0@0/0 1@?/0 2@?/0 3@2/1 4@4/1')
  assert.equal(places([hurried(0), segment(3), hurried(1)]), '0@0/0 1@2/0 3@6/1')
})

test('a number that comes again keeps its place, and old ones are forgotten', () => {
  const again = [segment(0), segment(1), segment(1, { arrivedAtMs: NOW + 90_000, facts: facts(90_000) })]
  assert.equal(places(again), '0@0/0 1@2/0')
  const many = Array.from({ length: 1_000 }, (_, number) => segment(number))
  const timeline = many.reduce(placeSegment, [] as SourceTimeline)
  assert.equal(timeline.length, 128)
  assert.equal(placeOf(timeline, 0n), null)
  assert.deepEqual(placeOf(timeline, 999n), { startsAtMs: NOW + 2_000 * 999, jumps: 0, durationMs: 2_000 })
})
