import assert from 'node:assert/strict'
import { test } from 'node:test'
import { segmentFacts } from '../../domain/segment-facts.ts'
import { type CutSegment, SegmentCutter } from './segment-cutter.ts'
import { Timeline } from './timeline.ts'

const CONFIG = Uint8Array.of(0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 10, 0xff, 0xe1, 0, 2, 0x67, 0x42, 1, 0, 1, 0x68)

function picture(isKey: boolean, delayMs: number): Uint8Array {
  const [kind, unit] = isKey ? [0x17, 0x65] : [0x27, 0x41]
  return Uint8Array.of(kind, 1, 0, delayMs >> 8, delayMs & 0xff, 0, 0, 0, 2, unit, 0x88)
}

/** Pictures at 10 a second, a key frame every 2 s, each sent so long before it is shown. */
function cut(seconds: number, aheadMs: (showMs: number) => number): CutSegment[] {
  const segments: CutSegment[] = []
  const cutter = new SegmentCutter({ maxDurationMs: 60_000 }, (segment) => segments.push(segment))
  cutter.video(0, CONFIG)
  for (let showMs = 0; showMs < seconds * 1000; showMs += 100) {
    const ahead = aheadMs(showMs)
    cutter.video(1_000 + showMs - ahead, picture(showMs % 2000 === 0, ahead))
  }
  cutter.end()
  return segments
}

test('segments last as long as their pictures are shown, also where the first ones are decoded faster', () => {
  for (const [habit, aheadMs] of Object.entries({
    'shown when they are decoded': () => 0,
    'shown later': () => 200,
    // GStreamer sends no time below zero.
    'decoded faster at the beginning': (showMs: number) => Math.min(showMs, 200),
  })) {
    const segments = cut(5, aheadMs)
    assert.deepEqual(
      segments.map(({ durationMs }) => durationMs),
      [2000, 2000, 1000],
      habit,
    )
    const spans = segments.map(({ bytes }) => segmentFacts(bytes, 'mpegts')!.span!)
    for (const [i, { start }] of spans.slice(1).entries())
      assert.ok(Math.abs(start - spans[i]!.end) <= 90, habit)
  }
})

test('sound that begins to arrive late keeps its times, and moves no pictures', () => {
  const timeline = new Timeline()
  const video = (ms: number) => timeline.place('video', 1_000 + ms)
  const audio = (ms: number) => timeline.place('audio', 1_000 + ms)
  for (let ms = 0; ms <= 3_000; ms += 100) assert.equal(video(ms), ms)
  for (let ms = 0; ms <= 3_000; ms += 25) assert.equal(audio(ms), ms)
  assert.deepEqual([video(3_100), audio(3_025)], [3_100, 3_025])
  // What is a jump stays one: both tracks go on together.
  assert.deepEqual([video(0), audio(0), video(100), audio(25)], [3_200, 3_200, 3_300, 3_225])
})
