import assert from 'node:assert/strict'
import { test } from 'node:test'
import { segmentFacts } from '../../domain/segment-facts.ts'
import { RtmpError } from './rtmp-error.ts'
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

/** An H.264 decoder configuration with `sets` picture parameter sets of `bytes` bytes each. */
function parameters(sets: number, bytes: number, lengthBytes = 4): Uint8Array {
  const set = [bytes >> 8, bytes & 0xff, 0x68, ...Array<number>(bytes - 1).fill(1)]
  const head = [0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 10, 0xfc | (lengthBytes - 1), 0xe1, 0, 2, 0x67, 0x42]
  return Uint8Array.from([...head, sets, ...Array.from({ length: sets }, () => set).flat()])
}

test('parameter sets count as bytes of the segment wherever a key frame repeats them', () => {
  const cutter = new SegmentCutter({ maxDurationMs: 60_000 }, () => {})
  cutter.video(0, parameters(20, 500))
  for (let i = 0; i < 10; i++) cutter.video(i, picture(true, 0))
  assert.ok(cutter.bytesHeld > 10 * 20 * 500, `${cutter.bytesHeld}`)
  const held = cutter.bytesHeld
  cutter.video(10, picture(false, 0))
  assert.ok(cutter.bytesHeld - held < 500, `${cutter.bytesHeld - held}`)
})

const tooLarge: readonly (readonly [what: string, feed: (cutter: SegmentCutter) => void, reason: string])[] =
  [
    [
      'parameters of video that no encoder sends',
      (cutter) => cutter.video(0, parameters(30, 1_000)),
      'parameters of 30071 bytes, more than 16384',
    ],
    [
      'parameters of sound that no encoder sends',
      (cutter) => cutter.audio(0, Uint8Array.from([0xaf, 0, 0x12, 0x08, ...Array<number>(20_000).fill(0)])),
      'parameters of 20002 bytes, more than 16384',
    ],
    [
      'a picture in more units than any encoder makes of it',
      (cutter) => {
        cutter.video(0, parameters(1, 1, 1))
        cutter.video(0, Uint8Array.from([0x17, 1, 0, 0, 0, ...Array<number>(16_002).fill(1)]))
      },
      'a picture has more than 8000 units',
    ],
  ]
for (const [what, feed, reason] of tooLarge) {
  test(`${what} end the stream with a reason`, () => {
    assert.throws(
      () => feed(new SegmentCutter({ maxDurationMs: 60_000 }, () => {})),
      (error) => error instanceof RtmpError && error.code === 'limit' && error.message === reason,
    )
  })
}
