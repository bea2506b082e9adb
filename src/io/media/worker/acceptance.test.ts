/**
 * Results measured with the network's nodes, case by case (numbered as in transcoding.md §13). Cases 1 to 12, 16, 17,
 * 19 and 20 are mostly in transcode.test.ts; 24 is about spreading sessions over devices.
 */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { narrowClip, pictureless, unevenClip, uprightClip, wideClip } from '../../../../test/media/clips.ts'
import { factsOf } from '../../../../test/media/facts.ts'
import { look, makeSegment, makeSegments, ptsOf } from '../../../../test/media/media.ts'
import { likeness, picturesOf } from '../../../../test/media/pictures.ts'
import { evenly, lasting, makePictures, packetsOf, pidOf, remade } from '../../../../test/media/remade.ts'
import { fails, frames, make, PROVIDER } from '../../../../test/media/renditions.ts'
import { distanceOf } from '../../../../test/media/signature.ts'
import type { Profile, VideoCodec } from '../../../domain/rendition.ts'
import { systemClock } from '../../../lib/clock.ts'
import { silentLog } from '../../../lib/log.ts'
import { Supervisor } from '../../../lib/service.ts'
import { MediaEngine } from '../engine/engine.ts'
import { probe } from './probe.ts'
import { transcode } from './transcode.ts'

const THIRTIETH = { num: 1, den: 30 }
const CLOCK = { num: 1, den: 90_000 }

test('case 1: a segment of 720p is charged by the pixels decoded and encoded', async () => {
  const [, source] = await makeSegments(2, {
    width: 1280,
    height: 720,
    fps: 60,
    bFrames: 2,
    startMs: 129000 / 90,
  })
  const rates = [30, 60, 120, 123, 0].map((fps) => ({ fps }))
  const { decodedPixels, renditions } = await make(source!, rates)
  assert.equal(decodedPixels, 110_592_000n)
  assert.deepEqual(
    renditions.map(({ video, pixels }) => [video.length, pixels]),
    [60, 120, 240, 246, 120].map((count) => [count, BigInt(count) * 36_864n]),
  )
})

test('case 11: six segments have the frames that peers give', async () => {
  const sources = await makeSegments(6, { fps: 25, frames: 33, startMs: 1480, audio: false })
  const counts = []
  for (const source of sources) counts.push(...(await frames(source, [{ fps: 30 }])))
  assert.deepEqual(counts, [40, 40, 39, 40, 39, 40])
})

test('case 13: a gap of three seconds is filled at a set rate and kept otherwise', async () => {
  const times = [...evenly(30), ...evenly(30, 1n, 120n)]
  const source = makePictures({ times, unit: THIRTIETH })
  assert.deepEqual(await frames(source, [{ fps: 30 }, { fps: 0 }]), [150, 60])
})

test('case 14: pictures ten seconds apart are filled up to a limit', async () => {
  const source = makePictures({ times: evenly(5, 300n), unit: THIRTIETH })
  await fails(source, [{ fps: 5 }], 'Encoded frames runaway')
  assert.deepEqual(await frames(source, [{ fps: 2 }, { fps: 0 }]), [80, 5])
})

test('case 15: uneven times are kept exactly, with and without B-frames', async () => {
  const times = Array.from({ length: 60 }, (_, n) => BigInt(90_000 + 3000 * n + ((700 * n) % 1300)))
  const unnamedRate = makePictures({ times, unit: CLOCK })
  const ofThirty = await remade(makePictures({ times: evenly(60), unit: THIRTIETH }), (packet) => {
    packet.pts = times[packet.index]!
    packet.dts = packet.pts
    return true
  })
  for (const source of [unnamedRate, ofThirty]) {
    const { renditions } = await make(source, [{ profile: 'main' }, { profile: 'baseline' }])
    for (const { video } of renditions) assert.deepEqual(ptsOf(video), times)
    assert.deepEqual(
      renditions.map(({ video }) => video.some(({ pts, dts }) => pts !== dts)),
      [true, false],
    )
  }
})

test('case 18: a segment that announces video but has none differs from one without video', async () => {
  const whole = await makeSegment({ fps: 60, startMs: 129000 / 90 })
  const withoutVideo = Buffer.concat(packetsOf(whole).filter((packet) => pidOf(packet) !== 0x100))
  assert.equal((await probe(withoutVideo)).zeroFrame, true, 'probe status 1')
  await fails(withoutVideo, [{}], 'TranscoderInvalidVideo')
  const soundOnly = await remade(whole, () => true, { only: 'audio' })
  const probed = await probe(soundOnly)
  assert.deepEqual([probed.zeroFrame, probed.videoCodec, probed.audioCodec], [false, '', 'aac'])
  await fails(soundOnly, [{}], 'TranscoderInvalidVideo')
})

// Peers accept longer ones from a pipe. This node has a segment's bytes in memory, so the rule for files always
// applies.
test('case 21: a container of more than 300 whole seconds is refused', async () => {
  await fails(lasting(301), [{}], 'TranscoderInvalidDuration')
  assert.deepEqual(await frames(lasting(300), [{ fps: 0 }]), [300])
})

suite('one session of the engine', () => {
  let engine: MediaEngine
  const supervisor = new Supervisor()
  before(async () => {
    engine = new MediaEngine({ clock: systemClock, log: silentLog, workers: 2 })
    await supervisor.start(engine)
  })
  after(() => supervisor.stop())

  const transcoded = async (source: Uint8Array, profiles: readonly Partial<Profile>[]) => {
    const job = {
      sessionId: 'one',
      source,
      profiles: profiles.map(profileOf),
      durationMs: 2000,
      deadlineMs: 60_000,
    }
    const rest = { provider: PROVIDER, clip: null, calcPerceptualHash: false }
    const { renditions } = await engine.transcode({ ...job, ...rest }, AbortSignal.timeout(60_000))
    const counts = []
    for (const { bytes, pixels } of renditions) {
      assert.equal(await engine.countPixels(bytes, AbortSignal.timeout(60_000)), pixels)
      counts.push((await look(bytes)).video.length)
    }
    return counts
  }

  test('case 22: accepts segments of limited range, full range and limited again', async () => {
    for (const pixelFormat of ['yuv420p', 'yuvj420p', 'yuv420p']) {
      const source = makePictures({ times: evenly(30), unit: THIRTIETH, pixelFormat })
      assert.equal((await probe(source)).pixelFormat, pixelFormat)
      assert.deepEqual(await transcoded(source, [{ fps: 30 }, { fps: 0, format: 'mp4' }]), [30, 30])
    }
  })

  test('case 23: gives the same results for segments in any order', async () => {
    const sources = await makeSegments(4, { fps: 60, bFrames: 2, startMs: 129000 / 90 })
    for (const index of [1, 0, 3, 2])
      assert.deepEqual(await transcoded(sources[index]!, [{ fps: 123 }]), [246])
  })

  test('continues after segments that have no video, are broken, or have another size', async () => {
    const good = await makeSegment({ frames: 30 })
    const soundOnly = await remade(good, () => true, { only: 'audio' })
    await assert.rejects(transcoded(soundOnly, [{}]), { message: 'TranscoderInvalidVideo' })
    assert.deepEqual(await transcoded(good, [{}]), [30])
    await assert.rejects(transcoded(good.subarray(0, 600), [{}]), { message: 'TranscoderInvalidVideo' })
    const upright = await makeSegment({ frames: 30, width: 144, height: 256, audio: false })
    assert.deepEqual(await transcoded(upright, [{}]), [30])
    assert.deepEqual(await transcoded(good, [{}]), [30])
  })

  const clips: Readonly<
    Record<string, readonly [() => Uint8Array | Promise<Uint8Array>, string | number[]]>
  > = {
    'pictures of 4:2:2 with times of whole milliseconds': [wideClip, [217, 217, 217]],
    'upright pictures': [uprightClip, [30, 30, 30]],
    'a shape that the encoder refuses': [narrowClip, 'Generic error in an external library'],
    'pictures at uneven times': [unevenClip, [55, 42, 42]],
    'pictures without parameters': [pictureless, 'TranscoderInvalidVideo'],
  }
  for (const [what, [make, expected]] of Object.entries(clips)) {
    test(`gives renditions that decode, or the right words, for ${what}`, async () => {
      const asked = transcoded(await make(), [{ fps: 30 }, { fps: 0, width: 426 }, { fps: 0, format: 'mp4' }])
      if (typeof expected === 'string') await assert.rejects(asked, { message: expected })
      else assert.deepEqual(await asked, expected)
    })
  }
})

/** Peers treat signatures as equal if their frames differ by less than this in their 380 values of -1, 0 or 1. */
const MATCHING_DISTANCE = 150

// Peers compare software with hardware. Here two sizes and two rates of the same pictures take their place.
test('case 25: signatures of the same pictures match in any rendition, and those of other pictures do not', async () => {
  const signature = async (source: string, profile: Partial<Profile>) => {
    const { renditions } = await transcode(
      {
        source: makePictures({ times: evenly(60), unit: THIRTIETH, source, width: 640, height: 360 }),
        profiles: [profileOf(profile)],
        provider: PROVIDER,
        clip: null,
        calcPerceptualHash: true,
      },
      AbortSignal.timeout(60_000),
    )
    return renditions[0]!.perceptualHash!
  }
  const one = await signature('testsrc2', {})
  assert.deepEqual(await signature('testsrc2', {}), one)
  const larger = await signature('testsrc2', { width: 426, height: 240, bitrate: 600_000 })
  const other = await signature('mandelbrot', {})
  assert.equal(
    (Buffer.from(one).readUInt32BE(20) >>> 15) & 0xffff,
    90_000 & 0xffff,
    'counts as the muxer does',
  )
  assert.ok(distanceOf(one, larger) < MATCHING_DISTANCE, String(distanceOf(one, larger)))
  assert.ok(distanceOf(one, other) > MATCHING_DISTANCE, String(distanceOf(one, other)))
})

// Peers compare hardware with software by SSIM: at most 5 of 30 pictures below 0.95. Here both are compared with the
// source.
suite('case 26: every codec is decoded and encoded', () => {
  const resembles = async (bytes: Uint8Array, source: Uint8Array) => {
    const [made, pictures] = [await picturesOf(bytes), await picturesOf(source)]
    assert.equal(made.length, pictures.length)
    const unlike = made
      .map((picture, index) => likeness(picture, pictures[index]!))
      .filter((ssim) => ssim < 0.95)
    assert.ok(unlike.length <= 2, String(unlike))
  }
  const FRAMES = 15
  const bitrate = 1_500_000
  const encoders = { h264: 'libx264', hevc: 'libx265', vp8: 'libvpx', vp9: 'libvpx-vp9' } as const
  for (const [codec, encoder] of Object.entries(encoders)) {
    test(`${codec} is decoded and re-encoded to any other`, async () => {
      const container = codec.startsWith('vp') ? 'webm' : 'mpegts'
      const source = makePictures({ times: evenly(FRAMES), unit: THIRTIETH, encoder, container })
      assert.equal((await probe(source)).videoCodec, codec)
      const { decodedPixels, renditions } = await make(source, [
        { fps: 30, bitrate },
        { fps: 0, bitrate, format: 'mp4' },
        { fps: 0, bitrate, encoder: 'h265' },
        { fps: 30, bitrate, encoder: 'vp9', format: 'mp4' },
      ])
      assert.equal(decodedPixels, BigInt(FRAMES) * 36_864n)
      for (const [index, { bytes, video }] of renditions.entries()) {
        assert.equal((await probe(bytes)).videoCodec, ['h264', 'h264', 'hevc', 'vp9'][index])
        assert.equal(video.length, FRAMES)
        await resembles(bytes, source)
      }
    })
  }

  // All settings at once: what an encoder lacks must not break it (transcoding.md §14, 14).
  const all = { profile: 'constrained-high', quality: 30, gopMs: 300, fps: 30 } as const
  for (const [encoder, codec, formats] of [
    ['h264', 'h264', ['mpegts', 'mp4']],
    ['h265', 'hevc', ['mpegts', 'mp4']],
    ['vp9', 'vp9', ['mp4']],
  ] as const) {
    test(`${codec} is encoded`, async () => {
      const source = makePictures({ times: evenly(FRAMES), unit: THIRTIETH })
      for (const settings of [{ fps: 0, bitrate }, all]) {
        const profiles = formats.map((format) => ({ encoder: encoder as VideoCodec, format, ...settings }))
        for (const { bytes, video } of (await make(source, profiles)).renditions) {
          assert.equal((await probe(bytes)).videoCodec, codec)
          assert.equal(video.length, FRAMES)
          if (settings !== all) await resembles(bytes, source)
        }
      }
    })
  }

  test('a codec that no container here supports is refused', async () => {
    const source = makePictures({ times: evenly(3), unit: THIRTIETH })
    await fails(source, [{ encoder: 'vp8', format: 'mpegts' }], 'Invalid argument')
    await fails(source, [{ encoder: 'vp9', format: 'mpegts' }], 'Invalid argument')
    await fails(source, [{ encoder: 'vp8', format: 'mp4' }], 'Invalid argument')
  })
})

suite('every source gets its requested size', () => {
  const measured = [
    [150, 200, 0, 250, 188, 250],
    [200, 300, 0, 427, 284, 426],
    [123, 456, 0, 426, 146, 542],
    [400, 456, 0, 40, 146, 166],
    [456, 123, 426, 0, 426, 114],
    [456, 123, 0, 301, 300, 80],
    [456, 400, 100, 0, 146, 128],
    [500, 100, 0, 200, 250, 50],
    [456, 120, 0, 400, 400, 106],
    [123, 123, 426, 0, 426, 426],
    [1280, 720, 960, 720, 960, 540],
    [1080, 1920, 1280, 720, 720, 1280],
    [640, 480, 1280, 720, 1280, 960],
    [1920, 800, 1280, 720, 1280, 534],
    [1280, 720, 5000, 2812, 4096, 2304],
  ] as const
  for (const [sourceWidth, sourceHeight, askedWidth, askedHeight, width, height] of measured) {
    test(`${sourceWidth}x${sourceHeight} as ${askedWidth}x${askedHeight} is ${width}x${height}`, async () => {
      const source = await makeSegment({
        encoder: 'mpeg4',
        width: sourceWidth,
        height: sourceHeight,
        frames: 1,
        audio: false,
      })
      const { renditions } = await make(source, [
        { width: askedWidth, height: askedHeight, bitrate: 2_000_000 },
      ])
      const [made] = renditions
      assert.deepEqual([made!.width, made!.height, made!.pixels], [width, height, BigInt(width * height)])
    })
  }

  // The encoders here keep whole macroblocks within their limits; peers give the same text.
  test('an encoder that refuses the size fails with its own text', async () => {
    const source = await makeSegment({ encoder: 'mpeg4', width: 16, height: 4000, frames: 1, audio: false })
    await fails(source, [{}], 'Generic error in an external library')
  })

  test('a picture beyond every level of every codec is refused before memory is allocated', async () => {
    const source = makePictures({ times: [0n], unit: THIRTIETH, width: 8256, height: 4416, source: 'color' })
    await fails(source, [{}], 'Invalid argument')
  })

  test('the pixel aspect ratio of a source is ignored and not passed on', async () => {
    const source = makePictures({
      times: evenly(2),
      unit: THIRTIETH,
      width: 720,
      height: 576,
      sampleAspect: { num: 64, den: 45 },
    })
    assert.deepEqual((await factsOf(source)).sampleAspect, { num: 64, den: 45 })
    const { renditions } = await make(source, [
      { width: 640, height: 360 },
      { width: 640, format: 'mp4' },
    ])
    for (const { bytes, width, height } of renditions) {
      assert.deepEqual([width, height], [640, 512])
      const { sampleAspect } = await factsOf(bytes)
      assert.ok(sampleAspect.num === 0 || sampleAspect.num === sampleAspect.den, JSON.stringify(sampleAspect))
    }
  })
})
