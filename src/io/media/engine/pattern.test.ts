import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { wideClip } from '../../../../test/media/clips.ts'
import { look, makeSegment, ptsOf } from '../../../../test/media/media.ts'
import { ManualClock, systemClock } from '../../../lib/clock.ts'
import { countPixels, probe } from '../worker/probe.ts'
import { livePattern, type SourceSegment, segmentsOfFile } from './pattern.ts'

const SMALL = { width: 256, height: 144, isPaced: false } as const
const never = new AbortController().signal

async function take(source: AsyncIterable<SourceSegment>, count: number): Promise<SourceSegment[]> {
  const taken: SourceSegment[] = []
  for await (const segment of source) {
    taken.push(segment)
    if (taken.length === count) break
  }
  return taken
}

function steps(pts: readonly bigint[]): Set<bigint> {
  return new Set(pts.slice(1).map((at, index) => at - pts[index]!))
}

test('the test pattern is H.264 and AAC in segments of two seconds that join', async () => {
  const segments = await take(livePattern(SMALL, never), 3)
  assert.deepEqual(
    segments.map(({ seq, durationMs }) => [seq, durationMs]),
    [
      [0, 2000],
      [1, 2000],
      [2, 2000],
    ],
  )
  const probed = await probe(segments[0]!.bytes)
  assert.deepEqual(
    [probed.container, probed.videoCodec, probed.audioCodec, probed.width, probed.height],
    ['mpegts', 'h264', 'aac', 256, 144],
  )
  const video: bigint[] = []
  const audio: bigint[] = []
  for (const { bytes } of segments) {
    const seen = await look(bytes)
    assert.deepEqual(
      seen.video.map(({ isKey }) => isKey),
      [true, ...Array<boolean>(59).fill(false)],
    )
    video.push(...ptsOf(seen.video))
    audio.push(...ptsOf(seen.audio))
    assert.equal(await countPixels(bytes, never), 60n * 256n * 144n)
  }
  assert.deepEqual(steps(video), new Set([3000n]))
  assert.deepEqual(steps(audio), new Set([1920n]))
})

test('the pattern’s size, rate, length and sound can be chosen', async () => {
  const [segment] = await take(livePattern({ ...SMALL, fps: 25, segmentMs: 400, hasAudio: false }, never), 1)
  const seen = await look(segment!.bytes)
  assert.deepEqual([segment!.durationMs, seen.video.length, seen.audio.length], [400, 10, 0])
})

test('a paced source hands out a segment as often as it lasts', async () => {
  const clock = new ManualClock()
  const source = livePattern({ ...SMALL, isPaced: true, clock }, never)
  await source.next()
  let second: SourceSegment | null = null
  const waiting = source.next().then(({ value }) => {
    second = value
  })
  while (clock.sleepers === 0) await systemClock.sleep(5)
  await clock.wind(1999)
  assert.equal(second, null)
  await clock.wind(1)
  await waiting
  assert.equal(second!.seq, 1)
  await source.return?.()
})

test('aborting ends a source with AbortError', async () => {
  const abort = new AbortController()
  const source = livePattern({ ...SMALL, isPaced: true }, abort.signal)
  await source.next()
  const waiting = source.next()
  abort.abort()
  await assert.rejects(Promise.resolve(waiting), { name: 'AbortError' })
})

test('a file is cut at key frames, over and over, and its times go on', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pattern-'))
  try {
    const path = join(folder, 'clip.mp4')
    await writeFile(path, await makeSegment({ durationMs: 5000, gop: 30, format: 'mp4' }))
    const segments = await take(segmentsOfFile(path, never, { isPaced: false }), 7)
    assert.deepEqual(
      segments.map(({ seq, durationMs }) => [seq, durationMs]),
      [2000, 2000, 1000, 2000, 2000, 1000, 2000].map((durationMs, seq) => [seq, durationMs]),
    )
    const video: bigint[] = []
    for (const { bytes } of segments) {
      const seen = await look(bytes)
      assert.equal(seen.video[0]!.isKey, true)
      assert.ok(seen.audio.length > 40)
      video.push(...ptsOf(seen.video))
    }
    assert.deepEqual(steps(video), new Set([3000n]))
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a source that cannot be sent says why', async () => {
  await assert.rejects(take(segmentsOfFile('/nowhere/clip.ts', never), 1), {
    name: 'MediaError',
    message: 'cannot open /nowhere/clip.ts: No such file or directory',
  })
})

test('a clip loops with every frame of it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-pattern-'))
  try {
    const path = join(folder, 'clip.ts')
    await writeFile(path, await wideClip())
    const segments = await take(segmentsOfFile(path, never, { isPaced: false }), 8)
    const seen = await Promise.all(segments.map(({ bytes }) => look(bytes)))
    const frames = seen.map(({ video }) => video.length)
    assert.deepEqual(frames, [62, 62, 62, 31, 62, 62, 62, 31])
    const pts = seen.flatMap(({ video }) => ptsOf(video))
    assert.ok(pts.every((at, index) => index === 0 || at > pts[index - 1]!))
  } finally {
    await rm(folder, { recursive: true })
  }
})
