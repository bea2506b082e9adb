import assert from 'node:assert/strict'
import { test } from 'node:test'
import { writeFragment } from '../../src/domain/mp4/fragments.ts'
import { readMp4 } from '../../src/domain/mp4/mp4-segment.ts'
import { readTransportStream } from '../../src/domain/mp4/transport-stream.ts'
import { runsOf } from '../../src/domain/recording.ts'
import { GrowingIndex, readIndex } from '../../src/domain/recording-index.ts'
import { MemoryObjects } from '../../src/io/objects/memory-objects.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { silentLog } from '../../src/lib/log.ts'
import { layOut, type Movie } from '../../src/services/recordings/movie.ts'
import { framesOf, look, makeSegments, type SegmentSettings } from './media.ts'
import { mutated } from './mutations.ts'
import { evenly, makePictures } from './remade.ts'

/** Recordings as MP4, read by FFmpeg. */

const never = new AbortController().signal
const TRACK = { name: 'source', bandwidth: 1, resolution: '256x144' }

/** A store with these sessions, each of segments numbered from 0. */
async function recorded(
  sessions: readonly (readonly Uint8Array[])[],
  durationMs: number,
  extension: 'ts' | 'mp4' = 'ts',
) {
  const store = new MemoryObjects({ filesPerDirectory: 1_000 })
  const runs = []
  for (const [at, segments] of sessions.entries()) {
    const index = new GrowingIndex()
    for (const [number, bytes] of segments.entries()) {
      const uri = await store.save(`s${at}/n/source/${number}.${extension}`, bytes)
      index.add(TRACK, { sequence: BigInt(number), uri, durationMs })
    }
    runs.push(...runsOf(`s${at}`, [{ folder: 'n', startedNs: 1n, index: readIndex(index.text()) }]))
  }
  return { store, movie: await layOut('source', runs, { objects: store, log: silentLog }, never) }
}

async function bytesOf(movie: Movie, start = 0, end = movie.size): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of movie.read(start, end, never)) parts.push(part)
  return Buffer.concat(parts)
}

const kinds: Readonly<Record<string, SegmentSettings>> = {
  'B-frames': { fps: 25, bFrames: 2 },
  '60 fps': { fps: 60 },
  '29.97 fps': { frames: 60, fps: 30_000, fpsDen: 1001 },
  portrait: { width: 144, height: 256, fps: 10 },
  'an odd size': { width: 250, height: 134, fps: 10 },
  'no sound': { fps: 10, audio: false },
  'segments in MP4': { fps: 10, format: 'mp4' },
  'segments in MP4 with B-frames': { fps: 25, bFrames: 2, format: 'mp4' },
  'times that wrap': { fps: 10, startMs: 95_442_000 },
}

for (const [kind, settings] of Object.entries(kinds)) {
  test(`a recording with ${kind} is one MP4 of all its frames, and of its length`, async () => {
    const segments = await makeSegments(3, settings)
    const seen = await Promise.all(segments.map((bytes) => look(bytes)))
    const { movie } = await recorded([segments], 2_000, settings.format === 'mp4' ? 'mp4' : 'ts')
    const file = await bytesOf(movie)
    assert.equal(file.length, movie.size)
    const made = await look(file)
    const counts = (track: 'video' | 'audio') => seen.reduce((sum, one) => sum + one[track].length, 0)
    assert.equal(made.video.length, counts('video'))
    assert.equal(made.audio.length, counts('audio'))
    let frames = 0
    for await (const { width, height } of framesOf(file)) {
      frames++
      assert.deepEqual([width, height], [settings.width ?? 256, settings.height ?? 144])
    }
    assert.equal(frames, counts('video'))
    const times = made.video.map(({ dts }) => Number(dts))
    const step = 90_000 / ((settings.fps ?? 30) / (settings.fpsDen ?? 1))
    for (const [at, dts] of times.entries()) {
      if (at > 0) assert.ok(Math.abs(dts - times[at - 1]! - step) < 2, `${at}: ${times[at - 1]} ${dts}`)
    }
  })
}

test('HEVC is a movie too, of the bits that it has', async () => {
  const settings = { times: evenly(20), unit: { num: 1, den: 10 }, encoder: 'libx265', gop: 20 }
  for (const pixelFormat of ['yuv420p', 'yuv420p10le']) {
    const { movie } = await recorded([[makePictures({ ...settings, pixelFormat })]], 2_000)
    const file = await bytesOf(movie)
    const { height, video, width } = await look(file)
    assert.deepEqual([video.length, width, height], [20, 256, 144])
    assert.equal(video[0]!.isKey, true)
    let frames = 0
    for await (const _ of framesOf(file)) frames++
    assert.equal(frames, 20)
  }
})

test('any part of the file is a part of the whole', async () => {
  const { movie } = await recorded([await makeSegments(4, { fps: 10, durationMs: 1_000 })], 1_000)
  const whole = await bytesOf(movie)
  const dice = seededDice('ranges')
  for (let i = 0; i < 60; i++) {
    const start = Math.floor(dice.fraction() * whole.length)
    const end = start + 1 + Math.floor(dice.fraction() * (whole.length - start))
    assert.ok((await bytesOf(movie, start, end)).equals(whole.subarray(start, end)), `${start}-${end}`)
  }
  assert.equal((await bytesOf(movie, whole.length - 1)).length, 1)
})

test('joined sessions follow one another, whatever their clocks say', async () => {
  const first = await makeSegments(2, { fps: 10 })
  const second = await makeSegments(2, { fps: 10, startMs: 500_000, width: 320, height: 180 })
  const { movie } = await recorded([first, second], 2_000)
  const { video } = await look(await bytesOf(movie))
  const times = video.map(({ dts }) => Number(dts) / 90)
  assert.equal(times.length, 80)
  for (const [at, ms] of times.entries())
    if (at > 0) assert.ok(Math.abs(ms - times[at - 1]! - 100) < 50, `${at}: ${ms}`)
  const sizes = new Set<number>()
  for await (const { width } of framesOf(await bytesOf(movie))) sizes.add(width)
  assert.deepEqual([...sizes], [256, 320])
})

test('a segment that is gone or damaged is a gap, and the rest plays', async () => {
  const segments = await makeSegments(4, { fps: 10 })
  segments[1] = Buffer.alloc(segments[1]!.length, 7)
  const { movie, store } = await recorded([segments], 2_000)
  await store.remove('s0/n/source/2.ts')
  const file = await bytesOf(movie)
  assert.equal(file.length, movie.size)
  const { video } = await look(file)
  const times = video.map(({ dts }) => Math.round(Number(dts) / 90))
  assert.equal(times.length, 40)
  assert.equal(times[20]! - times[0]!, 6_000)
})

for (const format of ['mpegts', 'mp4'] as const) {
  test(`damaged segments in ${format} are taken apart or refused, and nothing else`, async () => {
    const [bytes] = await makeSegments(1, { fps: 10, bFrames: 1, format })
    const dice = seededDice(process.env.MUTATIONS_SEED ?? 'movie')
    const specimen = { name: 'two seconds', bytes: bytes! }
    let refused = 0
    const count = Number(process.env.MUTATIONS ?? 500)
    for (let i = 0; i < count; i++) {
      const damaged = mutated([specimen], [specimen], dice)
      try {
        const segment = format === 'mp4' ? readMp4(damaged.bytes) : readTransportStream(damaged.bytes)
        const size = damaged.bytes.length + 16
        const fragment = writeFragment(segment, segment.tracks, { bytes: size, number: 1, startMs: 1e9 })
        assert.ok(fragment === null || fragment.length === size, damaged.name)
      } catch (error) {
        assert.ok(
          error instanceof NodeError && error.code === 'unreadable-media',
          `${damaged.name}: ${error}`,
        )
        refused++
      }
    }
    assert.ok(refused < count)
  })
}
