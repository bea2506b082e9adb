import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { look, makeSegment, ptsOf } from '../../../../test/media/media.ts'
import { describeDevice, type MediaAbilities } from '../../../domain/media-abilities.ts'
import type { Profile } from '../../../domain/rendition.ts'
import { systemClock } from '../../../lib/clock.ts'
import { silentLog } from '../../../lib/log.ts'
import { Supervisor } from '../../../lib/service.ts'
import type { TranscodeOutput } from '../../../services/transcoding/transcoder.ts'
import { MediaEngine } from '../engine/engine.ts'
import { countNvidiaGpus, tryOutInProcess } from '../engine/hardware.ts'
import { MemoryInput } from './ffmpeg.ts'
import { bestStreams } from './probe.ts'
import { SegmentReader } from './segment-reader.ts'
import { transcode } from './transcode.ts'

// Only on a machine with an Nvidia GPU. Many data centre GPUs have no encoder; what the GPU supports is tested.

const skip = countNvidiaGpus() === 0 ? 'this machine has no Nvidia GPU' : false
/** For whatever hangs; the whole file may take minutes on a busy machine. */
const signal = AbortSignal.timeout(10 * 60_000)
const ladder = [
  profileOf({ name: 'fps', width: 426, height: 240, fps: 30, bitrate: 600_000 }),
  profileOf({ name: 'kept', width: 640, height: 360, fps: 0, bitrate: 1_200_000 }),
]
/** Mean difference of brightness, of 255, between pictures scaled on a GPU and on the CPU. */
const MAX_DIFFERENCE = 3

async function onCores(source: Uint8Array, profiles: readonly Profile[]): Promise<TranscodeOutput> {
  return await transcode({ source, profiles, provider: 'x', clip: null, calcPerceptualHash: true }, signal)
}

/** The same segment in another codec. */
async function inCodec(encoder: Profile['encoder'], source: Uint8Array, size = { width: 1280, height: 720 }) {
  const format = encoder === 'h265' ? 'mpegts' : 'mp4'
  const profile = profileOf({ ...size, encoder, format, bitrate: 4_000_000 })
  return (await onCores(source, [profile])).renditions[0]!.bytes
}

/** The brightness of every 31st pixel of every frame. */
async function brightness(bytes: Uint8Array): Promise<number[]> {
  await using input = await MemoryInput.open(bytes)
  const { video } = bestStreams(input)
  using reader = new SegmentReader(input, { video: video!, audio: null })
  const values: number[] = []
  for await (const part of reader.parts(signal)) {
    if (part.kind !== 'frame') continue
    const [plane] = part.frame.data!
    const stride = part.frame.linesize[0]!
    for (let y = 0; y < part.frame.height; y += 7)
      for (let x = 0; x < part.frame.width; x += 31) values.push(plane![y * stride + x]!)
  }
  return values
}

suite('a real GPU', { skip, concurrency: 1 }, () => {
  const withGpu = async (
    run: (
      gpu: MediaAbilities,
      transcodeOnGpu: (source: Uint8Array, profiles: readonly Profile[]) => Promise<TranscodeOutput>,
    ) => Promise<void>,
  ) => {
    const gpu = await tryOutInProcess('0')
    const faults: unknown[] = []
    const log = {
      ...silentLog,
      debug: (_: string, fields?: object) => void faults.push(fields),
      child: () => log,
    }
    const engine = new MediaEngine({ clock: systemClock, log, workers: 1, cores: 4, devices: [gpu] })
    const supervisor = new Supervisor()
    await supervisor.start(engine)
    try {
      await run(gpu, (source, profiles) =>
        engine.transcode(
          {
            ...{ sessionId: 'gpu', source, profiles, durationMs: 2000, deadlineMs: 60_000, provider: 'x' },
            ...{ clip: null, calcPerceptualHash: true },
          },
          signal,
        ),
      )
    } finally {
      await supervisor.stop()
    }
    assert.deepEqual(faults, [], 'the CPU was used')
  }

  test('is tested, and a missing one is reported', async (t) => {
    const started = performance.now()
    const gpu = await tryOutInProcess('0')
    t.diagnostic(`${describeDevice(gpu)}; tried out in ${Math.round(performance.now() - started)} ms`)
    t.diagnostic(JSON.stringify(gpu))
    assert.ok(gpu.decodes.length + gpu.encodes.length > 0)
    await assert.rejects(tryOutInProcess(String(countNvidiaGpus() + 6)), { message: 'No such device' })
  })

  for (const codec of ['h264', 'h265', 'vp9'] as const) {
    test(`makes the same frames, times, pixels and pictures of ${codec} as the CPU`, async (t) => {
      const original = await makeSegment({ width: 1280, height: 720 })
      const source = codec === 'h264' ? original : await inCodec(codec, original)
      await withGpu(async (_, transcodeOnGpu) => {
        await transcodeOnGpu(source, ladder)
        const started = performance.now()
        const ours = await transcodeOnGpu(source, ladder)
        const between = performance.now()
        const theirs = await onCores(source, ladder)
        const ended = performance.now()
        t.diagnostic(`GPU ${Math.round(between - started)} ms, cores ${Math.round(ended - between)} ms`)
        assert.equal(ours.decodedPixels, theirs.decodedPixels)
        for (const [index, { bytes, perceptualHash, pixels }] of ours.renditions.entries()) {
          const other = theirs.renditions[index]!
          assert.equal(pixels, other.pixels)
          assert.deepEqual(ptsOf((await look(bytes)).video), ptsOf((await look(other.bytes)).video))
          assert.equal(perceptualHash!.length, other.perceptualHash!.length)
          const [mine, its] = [await brightness(bytes), await brightness(other.bytes)]
          assert.equal(mine.length, its.length)
          const difference = mine.reduce((sum, value, i) => sum + Math.abs(value - its[i]!), 0) / mine.length
          t.diagnostic(`${ladder[index]!.name}: pictures differ by ${difference.toFixed(2)} of 255`)
          assert.ok(difference < MAX_DIFFERENCE, `${difference}`)
        }
      })
    })
  }

  test('follows a change of size within a segment', async () => {
    const wide = await inCodec('h265', await makeSegment({ width: 640, height: 360 }), {
      width: 640,
      height: 360,
    })
    const small = await inCodec('h265', await makeSegment({ width: 640, height: 480, startMs: 12_000 }), {
      width: 320,
      height: 240,
    })
    const source = Buffer.concat([wide, small])
    await withGpu(async (_, transcodeOnGpu) => {
      const ours = await transcodeOnGpu(source, ladder)
      const theirs = await onCores(source, ladder)
      assert.deepEqual(
        ours.renditions.map(({ pixels }) => pixels),
        theirs.renditions.map(({ pixels }) => pixels),
      )
    })
  })

  test('gives the CPU’s errors for bad input, and continues', async () => {
    const source = await inCodec('h265', await makeSegment({ width: 640, height: 360 }))
    await withGpu(async (_, transcodeOnGpu) => {
      await assert.rejects(transcodeOnGpu(new Uint8Array(1000), ladder), {
        message: 'TranscoderInvalidVideo',
      })
      const cut = source.subarray(0, source.length >> 1)
      const [ours, theirs] = [await transcodeOnGpu(cut, ladder), await onCores(cut, ladder)]
      assert.equal(ours.renditions[0]!.pixels, theirs.renditions[0]!.pixels)
      assert.equal((await transcodeOnGpu(source, ladder)).renditions.length, 2)
    })
  })

  test('encodes, if it has an encoder, segments that decode on their own without losing a frame', async (t) => {
    const source = await makeSegment({ width: 1280, height: 720 })
    await withGpu(async (gpu, transcodeOnGpu) => {
      if (!gpu.encodes.includes('h264')) return t.skip(`it has none (${gpu.encoderFault})`)
      const theirs = await onCores(source, ladder)
      for (let i = 0; i < 3; i++) {
        const ours = await transcodeOnGpu(source, ladder)
        for (const [index, { bytes, pixels }] of ours.renditions.entries()) {
          assert.equal(pixels, theirs.renditions[index]!.pixels)
          const seen = await look(bytes)
          assert.ok(seen.video[0]!.isKey)
          assert.equal(seen.video.length, (await look(theirs.renditions[index]!.bytes)).video.length)
        }
      }
    })
  })

  test('needs no more memory over many segments', async (t) => {
    const source = await inCodec('h265', await makeSegment({ width: 640, height: 360, frames: 15 }))
    await withGpu(async (_, transcodeOnGpu) => {
      for (let i = 0; i < 200; i++) await transcodeOnGpu(source, ladder)
      t.diagnostic('200 segments done')
    })
  })
})
