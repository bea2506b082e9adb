/** Properties of renditions, and the errors for what cannot be transcoded (transcoding.md §3, §9). */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { AVCOL_RANGE_JPEG, AVCOL_RANGE_UNSPECIFIED } from 'node-av/constants'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { restamped } from '../../../../test/media/damaged-times.ts'
import { factsOf, h264SettingsOf } from '../../../../test/media/facts.ts'
import { lastFrameOf, look, makeSegment, makeSegments, ptsOf } from '../../../../test/media/media.ts'
import { evenly, lasting, makePictures, packetsOf, pidOf, remade } from '../../../../test/media/remade.ts'
import { fails, keyFrames, make, PROVIDER } from '../../../../test/media/renditions.ts'
import type { Profile } from '../../../domain/rendition.ts'
import { ascending } from '../../../lib/bigints.ts'
import { MemoryInput } from './ffmpeg.ts'
import { bestStreams } from './probe.ts'
import { transcode } from './transcode.ts'

const THIRTIETH = { num: 1, den: 30 }
const CLOCK = { num: 1, den: 90_000 }

suite('properties of a rendition', () => {
  test('its B-frames, profile, fields and colours are as requested', async () => {
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

  test('x264 gets the settings that peers use', async () => {
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
    assert.partialDeepStrictEqual(await told({ fps: 30, quality: 63 }), { rc: 'crf', crf: '51.0' })
    assert.partialDeepStrictEqual(await told({ fps: 30, bitrate: 400_000, quality: 64 }), { rc: 'cbr' })
    assert.partialDeepStrictEqual(await told({ fps: 30, bitrate: 0 }), { rc: 'crf', crf: '23.0' })
    assert.partialDeepStrictEqual(await told({ fps: 30, gopMs: 2000 }), { keyint: '60' })
    assert.partialDeepStrictEqual(await told({ fps: 30_000, fpsDen: 1001, gopMs: 2000 }), { keyint: '59' })
    assert.partialDeepStrictEqual(await told({ fps: 30, gopMs: -1 }), { keyint: '1' })
    assert.partialDeepStrictEqual(await told({ fps: 30, profile: 'baseline' }), { bframes: '0', cabac: '0' })
  })

  test('its colour description is that of the source', async () => {
    const said = 'colorprim=bt709:transfer=bt709:colormatrix=bt709:fullrange=on'
    const options = { 'x264-params': said }
    for (const [encoderOptions, expected] of [
      [options, { range: AVCOL_RANGE_JPEG, primaries: 1, transfer: 1, matrix: 1 }],
      [undefined, { range: AVCOL_RANGE_UNSPECIFIED, primaries: 2, transfer: 2, matrix: 2 }],
    ] as const) {
      const source = makePictures({
        ...{ times: evenly(3), unit: THIRTIETH },
        ...(encoderOptions ? { encoderOptions } : {}),
      })
      const { renditions } = await make(source, [{ fps: 30 }, { width: 320 }])
      for (const { bytes } of [{ bytes: source }, ...renditions]) {
        using frame = await lastFrameOf(bytes)
        const { colorPrimaries: primaries, colorRange: range, colorSpace: matrix, colorTrc: transfer } = frame
        assert.deepEqual({ range, primaries, transfer, matrix }, expected)
      }
    }
  })

  test('MPEG-TS: picture before sound, at the usual PIDs, tables first, no discontinuity', async () => {
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

  test('parameter sets are in the stream of MPEG-TS and in the index of MP4', async () => {
    const source = await makeSegment({ frames: 30, audio: false })
    const { renditions } = await make(source, [{ fps: 30 }, { fps: 30, format: 'mp4' }])
    const unit = (type: number) => Buffer.from([0, 0, 1, type])
    const [ts, mp4] = renditions.map(({ bytes }) => Buffer.from(bytes))
    assert.ok(ts!.includes(unit(0x67)) && ts!.includes(unit(0x68)))
    assert.ok(mp4!.indexOf('avcC') < mp4!.indexOf('mdat'))
    assert.equal(mp4!.includes(unit(0x67)), false)
  })

  test('without sound there is only video', async () => {
    const source = await makeSegment({ frames: 3, audio: false })
    for (const { bytes } of (await make(source, [{ fps: 30 }, { format: 'mp4' }])).renditions)
      assert.deepEqual(
        (await factsOf(bytes)).streams.map(({ kind }) => kind),
        ['video'],
      )
  })

  test('missing and backward timestamps of the source are repaired', async () => {
    const times = evenly(30, 3000n, 90_000n)
    const source = makePictures({ times, unit: CLOCK })
    assert.deepEqual(ptsOf((await make(stamped(source, 10, null), [{}])).renditions[0]!.video), times)
    const backward = stamped(source, 10, times[5]!)
    const { renditions } = await make(backward, [{}, { fps: 30 }])
    assert.deepEqual(ptsOf(renditions[0]!.video), times)
    assert.deepEqual(ptsOf(renditions[1]!.video), times)
  })

  test('sound that goes back in time is repaired', async () => {
    const source = await makeSegment({ frames: 60 })
    const times = (await look(source)).audio.map(({ pts }) => pts)
    const backward = stamped(source, 20, times[10]!, 0x101)
    const { renditions } = await make(backward, [{}, { format: 'mp4' }])
    const repaired = renditions[0]!.audio.map(({ pts }) => pts)
    assert.deepEqual(
      repaired,
      times.map((at, index) => (index === 20 ? times[19]! + 1n : at)),
    )
    assert.equal(renditions[1]!.audio.length, times.length)
  })

  test('pictures faster than the stated rate are shown in order without loss, with and without B-frames', async () => {
    const times = [...evenly(20, 50n, 90_000n), ...evenly(20, 3000n, 150_000n)]
    const source = await remade(makePictures({ times: evenly(40), unit: THIRTIETH }), (packet) => {
      packet.pts = times[packet.index]!
      packet.dts = packet.pts
      return true
    })
    const { renditions } = await make(source, [{ profile: 'none' }, { profile: 'baseline' }])
    for (const { video } of renditions) {
      assert.equal(video.length, times.length)
      const dts = video.map((packet) => packet.dts)
      assert.deepEqual(dts, [...new Set(dts)].toSorted(ascending))
      assert.ok(video.every((packet) => packet.dts <= packet.pts))
    }
    assert.deepEqual(ptsOf(renditions[1]!.video), times)
  })

  test('segments of one or two pictures join others, and decoding times never go back', async () => {
    for (const format of ['mpegts', 'mp4'] as const) {
      const dts: bigint[] = []
      for (const source of [
        ...(await makeSegments(1, { frames: 30, audio: false })),
        ...(await makeSegments(1, { frames: 1, audio: false, startMs: 11_000 })),
        ...(await makeSegments(1, { frames: 2, audio: false, startMs: 11_000 + 100 / 3 })),
        ...(await makeSegments(1, { frames: 30, audio: false, startMs: 11_100 })),
      ])
        dts.push(
          ...(await make(source, [{ fps: 30, format }])).renditions[0]!.video.map((packet) => packet.dts),
        )
      assert.equal(dts.length, 63)
      if (format === 'mpegts') assert.deepEqual(dts, dts.toSorted(ascending))
    }
  })

  test('a clip of an instant is one picture', async () => {
    const source = await makeSegment({ frames: 60 })
    const clip = { fromMs: 1000n, toMs: 1000n }
    for (const { video } of (await make(source, [{ fps: 30 }, {}], { clip })).renditions)
      assert.equal(video.length, 1)
  })

  test('the sound of a clip moves with its picture', async () => {
    const source = await makeSegment({ frames: 90 })
    const clip = { fromMs: 1000n, toMs: 2000n }
    const { renditions } = await make(source, [{ fps: 30 }, {}], { clip })
    const [moved, kept] = renditions.map(({ audio }) => audio.map(({ pts }) => pts))
    const from = 990_000n
    assert.ok(kept!.length > 40 && kept!.every((pts) => pts >= from && pts <= from + 90_000n))
    // The picture starts at 0; the muxer shifts both by the delay of its B-frames.
    const [delay] = ptsOf(renditions[0]!.video)
    assert.deepEqual(
      moved!.map((pts) => pts - delay!),
      kept!.map((pts) => pts - from),
    )
  })

  test('a clip ends where requested, at any rates', async () => {
    for (const [from, to, clip, count] of [
      [24, 60, { fromMs: 0n, toMs: 2000n }, 121],
      [30, 60, { fromMs: 0n, toMs: 2000n }, 121],
      [24, 60, { fromMs: 500n, toMs: 2000n }, 91],
      [60, 24, { fromMs: 500n, toMs: 2000n }, 37],
      [10, 30, { fromMs: 510n, toMs: 1490n }, 29],
      [10, 30, { fromMs: 510n, toMs: 0n }, 74],
    ] as const) {
      const source = await makeSegment({ fps: from, durationMs: 3000, audio: false, width: 160, height: 90 })
      const { renditions } = await make(source, [{ fps: to, profile: 'baseline' }], { clip })
      const { video } = renditions[0]!
      assert.deepEqual(ptsOf(video), evenly(count, BigInt(90_000 / to)), `${from} to ${to}`)
    }
  })

  test('the sound of a clip waits for its first picture', async () => {
    const source = await makeSegment({ fps: 10, durationMs: 2000 })
    const asked = [{ fps: 10 }, { fps: 30 }, { fps: 0 }].map(({ fps }) => ({
      fps,
      profile: 'baseline' as const,
    }))
    const { renditions } = await make(source, asked, { clip: { fromMs: 510n, toMs: 0n } })
    for (const [index, start] of [0n, 0n, 954_000n].entries()) {
      const { audio, video } = renditions[index]!
      const [picture, sound] = [ptsOf(video)[0]!, audio[0]!.pts]
      assert.equal(picture, start)
      // Less than an audio packet later.
      assert.ok(sound >= picture && sound - picture < 1920n, `${picture} ${sound}`)
    }
  })

  test('a clip late in a slow segment is filled like the segment itself', async () => {
    const source = makePictures({ times: evenly(10), unit: { num: 1, den: 1 } })
    const clip = { fromMs: 8000n, toMs: 9900n }
    const { renditions } = await make(source, [{ fps: 30 }], { clip })
    assert.equal(renditions[0]!.video.length, 58)
  })

  test('an empty clip is refused by name', async () => {
    const source = await makeSegment({ frames: 10 })
    for (const fps of [0, 30])
      await assert.rejects(make(source, [{ fps }], { clip: { fromMs: 5000n, toMs: 0n } }), {
        message: 'TranscoderInvalidVideo',
      })
  })

  test('an MP4 lasts as long as its pictures', async () => {
    for (const frames of [1, 60])
      for (const fps of [0, 30, 24]) {
        const source = await makeSegment({ frames, audio: false })
        const { bytes, video } = (await make(source, [{ fps, format: 'mp4' }])).renditions[0]!
        await using input = await MemoryInput.open(bytes)
        const { duration, timeBase } = bestStreams(input).video!
        const ticks = Math.round((video.length * timeBase.den) / (fps || 30))
        assert.ok(Math.abs(Number(duration) - ticks) <= 1, `${frames} at ${fps}: ${duration} of ${ticks}`)
      }
  })

  test('a clip keeps both its ends and starts with a key frame', async () => {
    for (const [fps, durationMs, clip, count] of [
      [30, 3000, { fromMs: 0n, toMs: 2000n }, 61],
      [120, 3000, { fromMs: 500n, toMs: 2500n }, 241],
    ] as const) {
      const source = await makeSegment({ fps, durationMs, width: 160, height: 90 })
      const { decodedPixels, renditions } = await make(source, [{ fps }, { fps: 0 }], { clip })
      assert.equal(decodedPixels, BigInt(((fps * durationMs) / 1000) * 160 * 90))
      const start = 900_000n + clip.fromMs * 90n
      assert.deepEqual(
        renditions.map(({ video }) => [video.length, ptsOf(video)[0]]),
        [
          // At a set rate a clip starts at 0; the muxer shifts it by the delay of its B-frames.
          [count, BigInt((90_000 / fps) * 2)],
          [count, start],
        ],
      )
    }
  })

  test('key frames come at requested times at a kept rate too', async () => {
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

  test('requested key frames are random access points for every decoder, also in HEVC', async () => {
    const source = makePictures({ times: evenly(60, 1n, 30n), unit: THIRTIETH })
    const { renditions } = await make(source, [{ fps: 0, gopMs: 500, encoder: 'h265' }])
    assert.deepEqual(keyFrames(renditions[0]!), evenly(4, 45_000n, 90_000n))
  })

  test('a change of size does not disturb the signature, which is of the first size', async () => {
    const parts = [await makeSegment({ audio: false, frames: 30 })]
    parts.push(await makeSegment({ audio: false, frames: 30, width: 144, height: 256, startMs: 11_000 }))
    const hashed = async (source: Uint8Array) => {
      const request = { source, profiles: [profileOf()], provider: PROVIDER, clip: null }
      const signal = AbortSignal.timeout(60_000)
      return (await transcode({ ...request, calcPerceptualHash: true }, signal)).renditions[0]!
    }
    const { frames, perceptualHash } = await hashed(Buffer.concat(parts))
    assert.equal(frames, 60)
    assert.deepEqual(perceptualHash, (await hashed(parts[0]!)).perceptualHash)
  })
})

suite('faults are reported in the order in which peers check', () => {
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
    assert.equal((await make(good, eleven.slice(1))).renditions.length, 10)
  })

  test('five minutes and a fraction of a second count as five minutes', async () => {
    const halves = (count: number) =>
      makePictures({ times: evenly(count), unit: { num: 1, den: 2 }, width: 64, height: 48 })
    assert.equal((await make(halves(601), [{}])).renditions[0]!.video.length, 601)
    await fails(halves(602), [{}], 'TranscoderInvalidDuration')
  })

  test('pictures are filled up to 25 for each input frame, and not one more', async () => {
    const apart = (gap: bigint) => makePictures({ times: [0n, gap], unit: THIRTIETH })
    assert.equal((await make(apart(49n), [{ fps: 30 }])).renditions[0]!.video.length, 50)
    await fails(apart(50n), [{ fps: 30 }], 'Encoded frames runaway')
    // Later frames do not count.
    const late = makePictures({ times: [0n, 60n, 61n, 62n, 63n], unit: THIRTIETH })
    await fails(late, [{ fps: 30 }], 'Encoded frames runaway')
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

/** Changes or removes the timestamp of one picture or audio packet. */
function stamped(ts: Uint8Array, index: number, pts: bigint | null, pid?: number): Uint8Array {
  return restamped(ts, (times) => Object.assign(times[index]!, { pts, dts: pts }), pid)
}
