import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CutSegment, SegmentCutter } from '../../src/io/rtmp/segment-cutter.ts'
import { type FlvTag, publishedTags, tagsOf } from './flv.ts'
import { framesOf, look, type SegmentSettings } from './media.ts'
import { evenly, makePictures } from './remade.ts'

/** Segments cut from what encoders publish, read by FFmpeg. */

function cut(
  tags: readonly FlvTag[],
  offsetMs = 0,
  maxDurationMs = 60_000,
  /** Told when each segment comes out: with the message of this time. */
  comes: (timestamp: number) => void = () => {},
): CutSegment[] {
  const segments: CutSegment[] = []
  let nowMs = 0
  const cutter = new SegmentCutter({ maxDurationMs }, (segment) => {
    segments.push(segment)
    comes(nowMs)
  })
  for (const { payload, timestamp, type } of tags) {
    nowMs = timestamp
    const at = (timestamp + offsetMs) % 2 ** 32
    if (type === 8) cutter.audio(at, payload)
    if (type === 9) cutter.video(at, payload)
  }
  cutter.end()
  assert.equal(cutter.bytesHeld, 0)
  return segments
}

const total = (segments: readonly CutSegment[]) =>
  segments.reduce((sum, { durationMs }) => sum + durationMs, 0)

const kinds: Readonly<Record<string, SegmentSettings & { readonly cuts: readonly number[] }>> = {
  'a 2 s GOP': { durationMs: 7000, fps: 10, gop: 20, cuts: [2000, 2000, 2000, 1000] },
  'a 1 s GOP': { durationMs: 5000, fps: 10, gop: 10, cuts: [2000, 2000, 1000] },
  'an 8 s GOP': { durationMs: 17_000, fps: 10, gop: 80, cuts: [8000, 8000, 1000] },
  'B-frames': { durationMs: 5000, fps: 25, gop: 50, bFrames: 2, cuts: [2000, 2000, 1000] },
  '60 fps': { durationMs: 4000, fps: 60, gop: 120, cuts: [2000, 2000] },
  '29.97 fps': { frames: 150, fps: 30_000, fpsDen: 1001, gop: 60, cuts: [2002, 2002, 1001] },
  portrait: { durationMs: 4000, fps: 10, gop: 20, width: 144, height: 256, cuts: [2000, 2000] },
  'no sound': { durationMs: 5000, fps: 10, gop: 20, audio: false, cuts: [2000, 2000, 1000] },
}

for (const [kind, { cuts, ...settings }] of Object.entries(kinds)) {
  test(`${kind}: every frame is in a segment, each begins with a key frame, times run through`, async () => {
    const tags = await publishedTags(settings)
    const cameMs: number[] = []
    const segments = cut(tags, 0, 60_000, (ms) => cameMs.push(ms))
    const frameMs = (1000 * (settings.fpsDen ?? 1)) / settings.fps!
    assert.equal(segments.length, cuts.length)
    for (const [i, expected] of cuts.entries()) {
      assert.ok(Math.abs(segments[i]!.durationMs - expected) <= frameMs, `${segments[i]!.durationMs} ms`)
    }
    // Each but the last comes with the key frame behind it, the first of a GOP of 2 s after 2 s.
    for (const [i, ms] of cameMs.slice(0, -1).entries()) {
      const due = total(segments.slice(0, i + 1))
      assert.ok(Math.abs(ms - due) <= 3 * frameMs, `${ms} ms, due after ${due}`)
    }
    const frames = settings.frames ?? (settings.durationMs! * settings.fps!) / 1000
    assert.ok(Math.abs(total(segments) - frames * frameMs) <= frameMs, `${total(segments)} ms`)
    const seen = await Promise.all(segments.map(({ bytes }) => look(bytes)))
    assert.equal(
      seen.reduce((sum, { video }) => sum + video.length, 0),
      frames,
    )
    const sounds = tags.filter(({ payload, type }) => type === 8 && payload[1] === 1)
    assert.equal(
      seen.reduce((sum, { audio }) => sum + audio.length, 0),
      sounds.length,
    )
    assert.equal(sounds.length > 0, settings.audio !== false)
    for (const { video } of seen) assert.equal(video[0]!.isKey, true)
    const times = seen.flatMap(({ video }) => video.map(({ dts }) => dts))
    for (const [i, dts] of times.entries()) {
      if (i > 0) assert.ok(Number(dts - times[i - 1]!) / 90 < frameMs + 2 && dts > times[i - 1]!)
    }
    let decoded = 0
    for (const { bytes } of segments) for await (const _ of framesOf(bytes)) decoded++
    assert.equal(decoded, frames)
  })
}

test('sound without pictures is cut every 2 s', async () => {
  const tags = await publishedTags({ durationMs: 5000, fps: 10 }, { only: 'audio' })
  const segments = cut(tags)
  assert.equal(segments.length, 3)
  assert.ok(segments.every(({ hasVideo }) => !hasVideo))
  assert.ok(Math.abs(total(segments) - 5000) < 50, `${total(segments)} ms`)
  const { audio } = await look(segments[0]!.bytes)
  assert.ok(audio.length >= 86)
})

for (const [what, offset] of [
  ['2^24', 2 ** 24 - 3000],
  ['2^31', 2 ** 31 - 3000],
  ['2^32', 2 ** 32 - 3000],
  ['eight hours', 8 * 3600_000],
] as const) {
  test(`timestamps at ${what} give the same segments as those from 0`, async () => {
    const tags = await publishedTags({ durationMs: 5000, fps: 10, gop: 20 })
    assert.deepEqual(cut(tags, offset), cut(tags))
  })
}

test('irregular key frames begin segments once 2 s are over', () => {
  const keys = new Set([0, 7, 31, 36, 99, 120, 121, 173, 190])
  const tags = tagsOf(
    makePictures({
      ...{ times: evenly(200), unit: { num: 1, den: 10 }, gop: 1000, container: 'flv' },
      edit: (frame, index) => {
        if (keys.has(index)) frame.pictType = 1 as never
      },
    }),
  )
  assert.deepEqual(
    cut(tags).map(({ durationMs }) => durationMs),
    [3100, 6800, 2100, 5300, 2700],
  )
})

for (const [jump, expected] of [
  [100_000, 8000],
  [-4000, 8000],
  [400_000, 8000],
] as const) {
  test(`timestamps that jump by ${jump} ms lose nothing and stretch no segment`, async () => {
    const tags = await publishedTags({ durationMs: 8000, fps: 10, gop: 20 })
    const jumped = tags.map((tag) =>
      tag.timestamp < 5000 ? tag : { ...tag, timestamp: (tag.timestamp + jump + 2 ** 32) % 2 ** 32 },
    )
    const segments = cut(jumped, 10_000)
    assert.ok(Math.abs(total(segments) - expected) <= 200, `${total(segments)} ms`)
    assert.ok(segments.every(({ durationMs }) => durationMs <= 2200))
    const seen = await Promise.all(segments.map(({ bytes }) => look(bytes)))
    assert.equal(
      seen.reduce((sum, { video }) => sum + video.length, 0),
      80,
    )
  })
}

test('sound that begins before the pictures does not make a segment of its own', async () => {
  const tags = await publishedTags({ durationMs: 4000, fps: 10, gop: 20 })
  const late = tags.filter(
    ({ payload, timestamp, type }) => type === 8 || timestamp >= 2000 || payload[1] === 0,
  )
  const segments = cut(late)
  assert.ok(segments.every(({ hasVideo }) => hasVideo))
  assert.ok(Math.abs(total(segments) - 2000) <= 550, `${total(segments)} ms`)
})

test('a GOP longer than -maxSegmentDuration ends the stream with a reason', async () => {
  const tags = await publishedTags({ durationMs: 5000, fps: 10 })
  assert.throws(() => cut(tags, 0, 4000), {
    code: 'media',
    message:
      "no key frame came for 4 s, longer than -maxSegmentDuration allows: set the encoder's key frame interval to 2 s",
  })
})
