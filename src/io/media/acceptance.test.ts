/**
 * What peers were measured to give, case by case (the numbers are those of transcoding.md §13). Cases 1 to 12, 16, 17,
 * 19 and 20 are for the greater part in transcode.test.ts, 24 is of the rule that spreads sessions over devices.
 */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { makeSegment, makeSegments, profileOf, ptsOf } from '../../../test/media.ts'
import { factsOf, h264SettingsOf } from '../../../test/media-facts.ts'
import { evenly, makePictures, remade } from '../../../test/remade-media.ts'
import { fails, frames, keyFrames, make, PROVIDER } from '../../../test/renditions.ts'
import { distanceOf } from '../../../test/signature.ts'
import type { Profile, VideoCodec } from '../../domain/rendition.ts'
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

test('case 11: the frames of each of six segments are those that peers give', async () => {
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

test('case 14: pictures ten seconds apart are filled up to a point', async () => {
  const source = makePictures({ times: evenly(5, 300n), unit: THIRTIETH })
  await fails(source, [{ fps: 5 }], 'Encoded frames runaway')
  assert.deepEqual(await frames(source, [{ fps: 2 }, { fps: 0 }]), [80, 5])
})

test('case 15: uneven times are kept to the tick, with B-frames and without', async () => {
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

test('case 18: a segment that announces video and brings none is told from one without video', async () => {
  const whole = await makeSegment({ fps: 60, startMs: 129000 / 90 })
  const withoutVideo = Buffer.concat(packetsOf(whole).filter((packet) => pidOf(packet) !== 0x100))
  assert.equal((await probe(withoutVideo)).zeroFrame, true, 'probe status 1')
  await fails(withoutVideo, [{}], 'TranscoderInvalidVideo')
  const soundOnly = await remade(whole, () => true, { only: 'audio' })
  const probed = await probe(soundOnly)
  assert.deepEqual([probed.zeroFrame, probed.videoCodec, probed.audioCodec], [false, '', 'aac'])
  await fails(soundOnly, [{}], 'TranscoderInvalidVideo')
})

// Peers accept longer ones from a pipe. This node has a segment's bytes at hand, so the rule of files always holds.
test('case 21: a container of more than 300 whole seconds is refused', async () => {
  await fails(lasting(301), [{}], 'TranscoderInvalidDuration')
  assert.deepEqual(await frames(lasting(300), [{ fps: 0 }]), [300])
})

test('case 22: segments of full and limited range follow each other', async () => {
  for (const pixelFormat of ['yuv420p', 'yuvj420p', 'yuv420p']) {
    const source = makePictures({ times: evenly(30), unit: THIRTIETH, pixelFormat })
    assert.equal((await probe(source)).pixelFormat, pixelFormat)
    assert.deepEqual(await frames(source, [{ fps: 30 }, { fps: 0, format: 'mp4' }]), [30, 30])
  }
})

test('case 23: segments in any order give the same', async () => {
  const sources = await makeSegments(4, { fps: 60, bFrames: 2, startMs: 129000 / 90 })
  for (const index of [1, 0, 3, 2]) assert.deepEqual(await frames(sources[index]!, [{ fps: 123 }]), [246])
})

/** Peers match signatures whose frames differ by less than this in their 380 values of -1, 0 or 1. */
const MATCHING_DISTANCE = 150

// Peers compare software with hardware. Here two sizes and two rates of the same pictures stand for two makers.
test('case 25: signatures of the same pictures match, whatever is made of them; those of others do not', async () => {
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

suite('case 26: every codec goes in and comes out', () => {
  const encoders = { h264: 'libx264', hevc: 'libx265', vp8: 'libvpx', vp9: 'libvpx-vp9' } as const
  for (const [codec, encoder] of Object.entries(encoders)) {
    test(`${codec} is decoded`, async () => {
      const container = codec.startsWith('vp') ? 'webm' : 'mpegts'
      const source = makePictures({ times: evenly(30), unit: THIRTIETH, encoder, container })
      assert.equal((await probe(source)).videoCodec, codec)
      const { decodedPixels, renditions } = await make(source, [{ fps: 30 }, { fps: 0, format: 'mp4' }])
      assert.equal(decodedPixels, 30n * 36_864n)
      assert.deepEqual(
        renditions.map(({ video }) => video.length),
        [30, 30],
      )
    })
  }

  // The full set of settings for each: what an encoder lacks must not break it (§14, edge 14).
  const all = { profile: 'constrained-high', quality: 30, gopMs: 300, fps: 30 } as const
  for (const [encoder, codec, formats] of [
    ['h264', 'h264', ['mpegts', 'mp4']],
    ['h265', 'hevc', ['mpegts', 'mp4']],
    ['vp9', 'vp9', ['mp4']],
  ] as const) {
    test(`${codec} is encoded`, async () => {
      const source = makePictures({ times: evenly(30), unit: THIRTIETH })
      for (const settings of [{ fps: 0 }, all]) {
        const profiles = formats.map((format) => ({ encoder: encoder as VideoCodec, format, ...settings }))
        for (const { bytes, video } of (await make(source, profiles)).renditions) {
          assert.equal((await probe(bytes)).videoCodec, codec)
          assert.equal(video.length, 30)
        }
      }
    })
  }

  test('what no container here can carry is refused rather than made unreadable', async () => {
    const source = makePictures({ times: evenly(3), unit: THIRTIETH })
    await fails(source, [{ encoder: 'vp8', format: 'mpegts' }], 'Invalid argument')
    await fails(source, [{ encoder: 'vp9', format: 'mpegts' }], 'Invalid argument')
    await fails(source, [{ encoder: 'vp8', format: 'mp4' }], 'Invalid argument')
  })
})

suite('the size of every source asked for', () => {
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

  // Codecs here keep whole macroblocks of a shape that stays within their limits; peers measured the same words.
  test('an encoder that refuses the size says so in its own words', async () => {
    const source = await makeSegment({ encoder: 'mpeg4', width: 16, height: 4000, frames: 1, audio: false })
    await fails(source, [{}], 'Generic error in an external library')
  })

  test('the shape of a source’s pixels plays no part and is not passed on', async () => {
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

suite('what a rendition is', () => {
  test('its B-frames, profile, fields and colours are those asked for', async () => {
    const source = makePictures({
      times: evenly(30),
      unit: THIRTIETH,
      encoderOptions: { 'x264-params': 'tff=1' },
    })
    assert.equal((await factsOf(source)).isInterlaced, true)
    const asked = ['none', 'baseline', 'main', 'high', 'constrained-high'] as const
    const { renditions } = await make(
      source,
      asked.map((profile) => ({ profile, fps: 30 })),
    )
    const seen = []
    for (const { bytes } of renditions) {
      const { reorders, isInterlaced, pixelFormat } = await factsOf(bytes)
      assert.equal(pixelFormat, 'yuv420p')
      assert.equal(isInterlaced, false)
      seen.push(reorders)
    }
    assert.deepEqual(seen, [2, 0, 2, 2, 0])
  })

  test('x264 is told what peers tell it', async () => {
    const source = makePictures({ times: evenly(3), unit: THIRTIETH })
    const told = async (profile: Partial<Profile>) =>
      h264SettingsOf((await make(source, [{ format: 'mp4', ...profile }])).renditions[0]!.bytes)
    const medium = { subme: '7', me: 'hex', ref: '3', trellis: '1', rc_lookahead: '40', scenecut: '40' }
    const rated = await told({ fps: 30, bitrate: 400_000 })
    assert.partialDeepStrictEqual(rated, {
      ...medium,
      bframes: '3',
      keyint: '250',
      rc: 'cbr',
      bitrate: '400',
      vbv_maxrate: '400',
      vbv_bufsize: '400',
    })
    assert.partialDeepStrictEqual(await told({ fps: 30, bitrate: 400_000, quality: 30 }), {
      rc: 'crf',
      crf: '30.0',
      vbv_maxrate: '400',
      vbv_bufsize: '400',
    })
    assert.partialDeepStrictEqual(await told({ fps: 30, bitrate: 400_000, quality: 64 }), { rc: 'cbr' })
    assert.partialDeepStrictEqual(await told({ fps: 30, bitrate: 0 }), { rc: 'crf', crf: '23.0' })
    assert.partialDeepStrictEqual(await told({ fps: 30, gopMs: 2000 }), { keyint: '60' })
    assert.partialDeepStrictEqual(await told({ fps: 30_000, fpsDen: 1001, gopMs: 2000 }), { keyint: '59' })
    assert.partialDeepStrictEqual(await told({ fps: 30, gopMs: -1 }), { keyint: '1' })
    assert.partialDeepStrictEqual(await told({ fps: 30, profile: 'baseline' }), { bframes: '0', cabac: '0' })
  })

  test('MPEG-TS: picture before sound, at the usual places, tables first, no discontinuity', async () => {
    const source = await makeSegment({ frames: 30 })
    const { renditions } = await make(source, [{ fps: 30 }])
    const { bytes } = renditions[0]!
    assert.deepEqual((await factsOf(bytes)).streams, [
      { kind: 'video', id: 0x100 },
      { kind: 'audio', id: 0x101 },
    ])
    const packets = packetsOf(bytes)
    const firstPicture = packets.findIndex((packet) => pidOf(packet) === 0x100)
    const before = packets.slice(0, firstPicture).map(pidOf)
    assert.ok(before.includes(0), 'PAT first')
    assert.ok(before.includes(0x1000), 'PMT first')
    for (const packet of packets) {
      const hasFlags = (packet[3]! & 0x20) !== 0 && packet[4]! > 0
      assert.equal(hasFlags && (packet[5]! & 0x80) !== 0, false)
    }
  })

  test('the parameter sets are in the stream of MPEG-TS and in the index of MP4', async () => {
    const source = await makeSegment({ frames: 30, audio: false })
    const { renditions } = await make(source, [{ fps: 30 }, { fps: 30, format: 'mp4' }])
    const unit = (type: number) => Buffer.from([0, 0, 1, type])
    const [ts, mp4] = renditions.map(({ bytes }) => Buffer.from(bytes))
    assert.ok(ts!.includes(unit(0x67)) && ts!.includes(unit(0x68)))
    assert.ok(mp4!.indexOf('avcC') < mp4!.indexOf('mdat'))
    assert.equal(mp4!.includes(unit(0x67)), false)
  })

  test('without sound there is picture alone', async () => {
    const source = await makeSegment({ frames: 3, audio: false })
    for (const { bytes } of (await make(source, [{ fps: 30 }, { format: 'mp4' }])).renditions)
      assert.deepEqual(
        (await factsOf(bytes)).streams.map(({ kind }) => kind),
        ['video'],
      )
  })

  test('missing and backward timestamps of the source are mended', async () => {
    const times = evenly(30, 3000n, 90_000n)
    const source = makePictures({ times, unit: CLOCK })
    assert.deepEqual(ptsOf((await make(stamped(source, 10, null), [{}])).renditions[0]!.video), times)
    const mended = times.map((at, index) => (index === 10 ? times[9]! + 1n : at))
    const backward = stamped(source, 10, times[5]!)
    const { renditions } = await make(backward, [{}, { fps: 30 }])
    assert.deepEqual(ptsOf(renditions[0]!.video), mended)
    assert.deepEqual(ptsOf(renditions[1]!.video), times)
  })

  test('a clip keeps both its ends, and its first frame is a key frame', async () => {
    for (const [fps, durationMs, clip, count] of [
      [30, 3000, { fromMs: 0n, toMs: 2000n }, 61],
      [120, 6000, { fromMs: 500n, toMs: 5500n }, 601],
    ] as const) {
      const source = await makeSegment({ fps, durationMs, width: 160, height: 90 })
      const { decodedPixels, renditions } = await make(source, [{ fps }, { fps: 0 }], { clip })
      assert.equal(decodedPixels, BigInt(((fps * durationMs) / 1000) * 160 * 90))
      const start = 900_000n + clip.fromMs * 90n
      assert.deepEqual(
        renditions.map(({ video }) => [video.length, ptsOf(video)[0]]),
        [
          // At a set rate a clip begins at 0, from where the muxer moves it on by the delay of its B-frames.
          [count, BigInt((90_000 / fps) * 2)],
          [count, start],
        ],
      )
    }
  })

  test('key frames come where a time is asked for at a kept rate too', async () => {
    const source = makePictures({ times: evenly(60), unit: THIRTIETH })
    const { renditions } = await make(source, [
      { fps: 0, gopMs: 500 },
      { fps: 0, gopMs: -1 },
    ])
    assert.deepEqual(
      renditions.map((rendition) => keyFrames(rendition).length),
      [4, 60],
    )
  })
})

suite('what is wrong is told in the order in which peers look', () => {
  const wrongClip = { clip: { fromMs: -1n, toMs: 0n } }
  const eleven = Array<Partial<Profile>>(11).fill({})

  test('duration, video, clip, profiles, number of renditions', async () => {
    const good = await makeSegment({ frames: 2 })
    const soundOnly = await remade(await makeSegment({ frames: 30 }), () => true, { only: 'audio' })
    const rejects = (source: Uint8Array, profiles: readonly Partial<Profile>[], message: string) =>
      assert.rejects(make(source, profiles, wrongClip), { message })
    await rejects(lasting(301), [{ gopMs: -2 }], 'TranscoderInvalidDuration')
    await rejects(soundOnly, [{ gopMs: -2 }], 'TranscoderInvalidVideo')
    await rejects(good, [{ gopMs: -2 }], 'TranscoderInvalidClipConfig')
    await fails(good, [...eleven, { gopMs: -2 }], 'TranscoderInvalidGOP')
    await fails(good, eleven, 'Too many outputs')
  })

  test('of the profile itself: size, format, profile, GOP', async () => {
    const good = await makeSegment({ frames: 2 })
    const wrong = { width: -1, format: 'avi' as never, profile: 'high10' as never, gopMs: -2 }
    await fails(good, [wrong], 'TranscoderInvalidResolution')
    await fails(good, [{ ...wrong, width: 256 }], 'TranscoderUnrecognizedFormat')
    await fails(good, [{ ...wrong, width: 256, format: 'mp4' }], 'TranscoderUnrecognizedProfile')
    await fails(good, [{ gopMs: -2 }], 'TranscoderInvalidGOP')
  })

  test('pictures without a key frame, with parameter sets and without', async () => {
    const whole = makePictures({ times: evenly(60), unit: THIRTIETH })
    const second = (sets: (data: Buffer) => Buffer) => {
      let prefix: Buffer = Buffer.alloc(0)
      return remade(whole, (packet) => {
        if (packet.index === 0) prefix = sets(packet.data)
        else packet.data = Buffer.concat([prefix, packet.data])
        return packet.index >= 30
      })
    }
    const slice = Buffer.from([0, 0, 1, 0x65])
    const repeated = await second((data) => Buffer.from(data.subarray(0, data.indexOf(slice))))
    await fails(repeated, [{ fps: 30 }], 'No keyframes in input')
    await fails(
      await second(() => Buffer.alloc(0)),
      [{ fps: 30 }],
      'Invalid data found when processing input',
    )
  })
})

function packetsOf(ts: Uint8Array): Uint8Array[] {
  return Array.from({ length: ts.length / 188 }, (_, index) => ts.subarray(index * 188, (index + 1) * 188))
}

function pidOf(packet: Uint8Array): number {
  return ((packet[1]! & 0x1f) << 8) | packet[2]!
}

/** So many seconds of one picture a second. */
function lasting(seconds: number): Uint8Array {
  return makePictures({ times: evenly(seconds), unit: { num: 1, den: 1 } })
}

/** The timestamp of one picture changed, or taken out. */
function stamped(ts: Uint8Array, index: number, pts: bigint | null): Uint8Array {
  const changed = Uint8Array.from(ts)
  const begins = packetsOf(changed).filter((packet) => pidOf(packet) === 0x100 && packet[1]! & 0x40)
  const packet = begins[index]!
  const pes = packet.subarray(packet[3]! & 0x20 ? 5 + packet[4]! : 4)
  const fields = pes.subarray(9, 9 + pes[8]!)
  fields.fill(0xff)
  pes[7] = pes[7]! & 0x3f
  if (pts !== null) {
    pes[7] |= 0x80
    const bits = (from: bigint, mask: bigint) => Number((pts >> from) & mask)
    fields.set([
      0x21 | (bits(30n, 7n) << 1),
      bits(22n, 0xffn),
      1 | (bits(15n, 0x7fn) << 1),
      bits(7n, 0xffn),
      1 | (bits(0n, 0x7fn) << 1),
    ])
  }
  return changed
}
