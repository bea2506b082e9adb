import assert from 'node:assert/strict'
import { before, suite, test } from 'node:test'
import { Packet } from 'node-av/lib'
import { profileOf } from '../../../../test/fakes/profile.ts'
import {
  narrowClip,
  pictureless,
  UNEVEN_TIMES,
  unevenClip,
  uprightClip,
  WIDE_CLIP,
  wideClip,
} from '../../../../test/media/clips.ts'
import { look, makeSegment, makeSegments, ptsOf } from '../../../../test/media/media.ts'
import { makePictures } from '../../../../test/media/remade.ts'
import { fails, frames, keyFrames, make, PROVIDER } from '../../../../test/media/renditions.ts'
import { signatureOf } from '../../../../test/media/signature.ts'
import type { Profile } from '../../../domain/rendition.ts'
import { cpu, type Device } from './device.ts'
import { MemoryInput, MemoryOutput } from './ffmpeg.ts'
import { probe } from './probe.ts'
import { transcode } from './transcode.ts'

suite('four consecutive segments of 2 s at 60 fps', () => {
  /** The number of pictures is what costs time here, not their size. */
  const SMALL = { width: 160, height: 90 }
  const PIXELS = 160n * 90n
  let sources: Uint8Array[] = []
  before(async () => {
    sources = await makeSegments(4, { ...SMALL, fps: 60, bFrames: 2, startMs: 129000 / 90 })
  })

  test('give the same number of frames each at whole frame rates', async () => {
    const rates = [30, 60, 120, 123, 0]
    for (const source of sources.slice(0, 2)) {
      const { decodedPixels, renditions } = await make(
        source,
        rates.map((fps) => ({ ...SMALL, fps })),
      )
      assert.equal(decodedPixels, 120n * PIXELS)
      assert.deepEqual(
        renditions.map((rendition) => rendition.video.length),
        [60, 120, 240, 246, 120],
      )
      for (const { pixels, video } of renditions) assert.equal(pixels, BigInt(video.length) * PIXELS)
    }
  })

  test('give frames of fractional rates that join across segments', async () => {
    const counts = []
    for (const source of sources) {
      const { renditions } = await make(
        source,
        [24000, 30000, 60000].map((fps) => ({ ...SMALL, fps, fpsDen: 1001 })),
      )
      assert.deepEqual(
        renditions.map(({ frameRate }) => `${frameRate.num}/${frameRate.den}`),
        ['24000/1001', '30000/1001', '60000/1001'],
      )
      counts.push(renditions.map((rendition) => rendition.video.length))
    }
    assert.deepEqual(counts, [
      [48, 60, 120],
      [48, 60, 120],
      [48, 60, 120],
      [48, 60, 119],
    ])
  })

  test('keep their position in time, and their audio byte for byte', async () => {
    for (const [index, first, last] of [
      [0, 129000n, 306000n],
      [1, 309000n, 486000n],
    ] as const) {
      const source = await look(sources[index]!)
      const { renditions } = await make(sources[index]!, [
        { ...SMALL, fps: 30 },
        { ...SMALL, fps: 0 },
      ])
      const pts = ptsOf(renditions[0]!.video)
      assert.equal(pts[0], first)
      assert.equal(pts.at(-1), last)
      assert.deepEqual(ptsOf(renditions[1]!.video), ptsOf(source.video))
      for (const { audio } of renditions) {
        assert.equal(audio.length, source.audio.length)
        assert.ok(audio.length >= 93 && audio.length <= 95, String(audio.length))
        assert.deepEqual(
          audio.map(({ pts, digest }) => ({ pts, digest })),
          source.audio.map(({ pts, digest }) => ({ pts, digest })),
        )
      }
    }
  })

  test('join without a gap or an overlap at every rate', async () => {
    const rates = [
      { ...SMALL, fps: 30 },
      { ...SMALL, fps: 25 },
      { ...SMALL, fps: 0 },
    ]
    const joined: bigint[][] = rates.map(() => [])
    for (const source of sources) {
      const { renditions } = await make(source, rates)
      for (const [index, { video }] of renditions.entries()) joined[index]!.push(...ptsOf(video))
    }
    const deltas = joined.map((pts) => new Set(pts.slice(1).map((at, index) => at - pts[index]!)))
    assert.deepEqual(deltas, [new Set([3000n]), new Set([3600n]), new Set([1500n])])
  })

  test('come as MP4 with the index first and their time kept', async () => {
    for (const [index, startMs] of [
      [0, 1433.333],
      [1, 3433.333],
    ] as const) {
      const { renditions } = await make(sources[index]!, [
        { ...SMALL, fps: 30, format: 'mp4' },
        { ...SMALL, fps: 0, format: 'mp4' },
      ])
      for (const { bytes, video, videoUnit } of renditions) {
        const text = Buffer.from(bytes).toString('latin1')
        assert.ok(text.indexOf('moov') < text.indexOf('mdat'))
        const start = (Number(ptsOf(video)[0]) * 1000 * videoUnit.num) / videoUnit.den
        assert.ok(Math.abs(start - startMs) < 1, `starts at ${start} ms`)
      }
    }
  })

  test('get key frames as requested', async () => {
    const { renditions } = await make(sources[1]!, [
      { ...SMALL, fps: 30, gopMs: 300 },
      { ...SMALL, fps: 0, gopMs: 300 },
      { ...SMALL, fps: 30, gopMs: 1000 },
      { ...SMALL, fps: 30, gopMs: 5000 },
      { ...SMALL, fps: 30, gopMs: -1 },
      { ...SMALL, fps: 30, gopMs: 0 },
      { ...SMALL, fps: 30000, fpsDen: 1001, gopMs: 1000 },
    ])
    const every = Array.from({ length: 7 }, (_, index) => 309000n + 27000n * BigInt(index))
    assert.deepEqual(keyFrames(renditions[0]!), every)
    assert.deepEqual(keyFrames(renditions[1]!), every)
    assert.deepEqual(
      renditions.slice(2).map((rendition) => keyFrames(rendition).length),
      [2, 1, 60, 1, 3],
    )
  })

  test('name their maker', async () => {
    const { renditions } = await make(sources[0]!, [
      { ...SMALL, fps: 30, format: 'mp4' },
      { ...SMALL, fps: 30 },
    ])
    assert.equal(renditions[0]!.metadata.comment, `Processed by ${PROVIDER}`)
    assert.ok(Buffer.from(renditions[1]!.bytes).includes(PROVIDER))
  })

  test('are refused by their exact names if the job is invalid', async () => {
    const source = sources[0]!
    await fails(source, Array(11).fill({ fps: 1 }), 'Too many outputs')
    await fails(source, [{ gopMs: -2 }], 'TranscoderInvalidGOP')
    await fails(source, [{ width: -1 }], 'TranscoderInvalidResolution')
    await fails(source, [{ format: 'avi' as never }], 'TranscoderUnrecognizedFormat')
    await fails(source, [{ profile: 'high10' as never }], 'TranscoderUnrecognizedProfile')
    await fails(source, [{ encoder: 'av1' as never }], 'Encoder not found')
    for (const clip of [
      { fromMs: -1n, toMs: 0n },
      { fromMs: 2n, toMs: 1n },
    ]) {
      await assert.rejects(make(source, [{}], { clip }), { message: 'TranscoderInvalidClipConfig' })
    }
  })

  test('are cut to a clip with both ends kept', async () => {
    const clip = { fromMs: 500n, toMs: 1500n }
    const { decodedPixels, renditions } = await make(
      sources[1]!,
      [
        { ...SMALL, fps: 0 },
        { ...SMALL, fps: 30 },
      ],
      { clip },
    )
    assert.equal(decodedPixels, 120n * PIXELS)
    const kept = ptsOf(renditions[0]!.video)
    assert.deepEqual([kept.length, kept[0], kept.at(-1)], [61, 309000n + 45000n, 309000n + 135000n])
    assert.equal(renditions[1]!.video.length, 31)
    for (const { audio } of renditions) assert.ok(audio.length >= 46 && audio.length <= 48)
  })

  test('stop when they are cancelled', async () => {
    const abort = new AbortController()
    const running = transcode(
      {
        source: sources[0]!,
        profiles: [profileOf()],
        provider: PROVIDER,
        clip: null,
        calcPerceptualHash: false,
      },
      abort.signal,
    )
    abort.abort()
    await assert.rejects(running, { name: 'AbortError' })
  })
})

test('very short segments give at least a frame, and no more than their duration allows', async () => {
  const expected = {
    1: [1, 1, 1, 1, 1],
    2: [1, 2, 4, 1, 2],
    3: [2, 3, 6, 1, 3],
    5: [3, 5, 10, 1, 5],
    6: [3, 6, 12, 1, 6],
    10: [5, 10, 20, 1, 10],
  }
  for (const [count, counts] of Object.entries(expected)) {
    const source = await makeSegment({ fps: 60, frames: Number(count), startMs: 12_000, audio: false })
    assert.deepEqual(
      await frames(
        source,
        [30, 60, 120, 1, 0].map((fps) => ({ fps })),
      ),
      counts,
      `${count} frames`,
    )
  }
})

test('twelve seconds get a key frame every 250 frames, or as often as requested', async () => {
  const source = await makeSegment({ durationMs: 12_000, gop: 360, audio: false })
  const { renditions } = await make(source, [{ fps: 30 }, { fps: 30, gopMs: 2000 }])
  const [byDefault, everyTwo] = renditions.map(keyFrames)
  assert.equal(byDefault!.length, 2)
  assert.equal(byDefault![1]! - byDefault![0]!, 750_000n)
  assert.deepEqual(
    everyTwo,
    Array.from({ length: 6 }, (_, index) => everyTwo![0]! + 180_000n * BigInt(index)),
  )
})

test('segments that do not start on the output grid still share it', async () => {
  const sources = await makeSegments(6, { fps: 25, frames: 33, startMs: 1480, audio: false })
  const counts: number[] = []
  const joined: bigint[] = []
  for (const source of sources) {
    const { renditions } = await make(source, [{ fps: 30 }])
    counts.push(renditions[0]!.video.length)
    joined.push(...ptsOf(renditions[0]!.video))
  }
  assert.equal(
    counts.reduce((sum, count) => sum + count),
    238,
  )
  assert.ok(counts.every((count) => count === 39 || count === 40))
  assert.deepEqual(new Set(joined.slice(1).map((at, index) => at - joined[index]!)), new Set([3000n]))
})

test('B-frames at time zero move only the first segment', async () => {
  const sources = await makeSegments(2, { fps: 60, startMs: 0, audio: false })
  const starts: bigint[][] = []
  const dtsOf = async (profile: Profile['profile']) => {
    const dts: bigint[] = []
    for (const source of sources) {
      const { renditions } = await make(source, [{ fps: 15, profile }])
      assert.equal(renditions[0]!.video.length, 30)
      dts.push(...renditions[0]!.video.map((packet) => packet.dts))
      starts.push([ptsOf(renditions[0]!.video)[0]!, renditions[0]!.video[0]!.dts])
    }
    return dts.slice(1).map((at, index) => at - dts[index]!)
  }
  // No muxer writes negative times; peers show the same step back (transcoding.md §13, case 10).
  const steps = await dtsOf('main')
  assert.deepEqual(
    steps.filter((step) => step !== 6000n),
    [-6000n],
  )
  assert.equal(steps.length, 59)
  assert.deepEqual(await dtsOf('constrained-high'), Array(59).fill(6000n))
  const second = [180_000n, 180_000n]
  assert.deepEqual(starts, [[12_000n, 0n], [180_000n, 168_000n], [0n, 0n], second])
})

test('two seconds at any rate give two seconds at any other', async () => {
  for (const fps of [24, 25, 30, 50]) {
    const source = await makeSegment({ fps, audio: false, startMs: 10_000 })
    const rates = [24, 30, 60, 1].map((to) => ({ fps: to }))
    assert.deepEqual(await frames(source, rates), [48, 60, 120, 2], `from ${fps} fps`)
  }
})

test('the larger requested number becomes the longer side, for any shape of the source', async () => {
  const source = await makeSegment({ encoder: 'mpeg4', width: 123, height: 456, frames: 3, audio: false })
  const { renditions } = await make(source, [
    { width: 0, height: 426 },
    { width: 426, height: 240 },
  ])
  assert.deepEqual(
    renditions.map(({ width, height }) => [width, height]),
    [
      [146, 542],
      [146, 542],
    ],
  )
})

test('an MPEG-7 signature is made of each rendition on request', async () => {
  const hashes = async (frames: number, profile: Partial<Profile>) => {
    const source = await makeSegment({ frames, audio: false })
    const { renditions } = await transcode(
      { source, profiles: [profileOf(profile)], provider: PROVIDER, clip: null, calcPerceptualHash: true },
      AbortSignal.timeout(60_000),
    )
    return renditions[0]!.perceptualHash!
  }
  assert.equal((await hashes(1, { fps: 30 })).length, 289)
  assert.equal((await hashes(60, { fps: 0, format: 'mp4', width: 320 })).length, 5538)
})

/** The unit of a signature's times is in the 16 bits after the first of this byte. */
const UNIT_AT = 20

function unitOf(signature: Uint8Array): number {
  const [a, b, c] = signature.subarray(UNIT_AT)
  return ((a! & 0x7f) << 9) | (b! << 1) | (c! >> 7)
}

function withoutUnit(signature: Uint8Array): Uint8Array {
  const rest = Uint8Array.from(signature)
  rest[UNIT_AT]! &= 0x80
  rest[UNIT_AT + 1] = 0
  rest[UNIT_AT + 2]! &= 0x7f
  return rest
}

test('a signature equals FFmpeg’s own, except for the unit of its times', async () => {
  const source = await makeSegment({ width: 320, height: 180, audio: false })
  for (const [fps, filters] of [
    [0, 'scale=256:144'],
    [30, 'scale=256:144,fps=30'],
    [15, 'scale=256:144,fps=15'],
    [60, 'scale=256:144,fps=60'],
  ] as const) {
    const request = { source, profiles: [profileOf({ fps })], provider: PROVIDER, clip: null }
    const output = await transcode({ ...request, calcPerceptualHash: true }, AbortSignal.timeout(60_000))
    const [ours, theirs] = [output.renditions[0]!.perceptualHash!, await signatureOf(source, filters)]
    assert.deepEqual(unitOf(ours), 90_000 % 65_536, 'peers have that of the muxer there')
    assert.deepEqual(withoutUnit(ours), withoutUnit(theirs))
  }
})

test('a change of size within a segment succeeds, with a key frame at each change', async () => {
  const shapes = [
    { width: 100, height: 56, startMs: 10_000 },
    { width: 56, height: 100, startMs: 12_000 },
    { width: 100, height: 56, startMs: 14_000 },
  ]
  const parts = []
  for (const shape of shapes) parts.push(await makeSegment({ ...shape, fps: 60, audio: false }))
  const { renditions } = await make(Buffer.concat(parts), [
    { fps: 30 },
    { fps: 0 },
    { fps: 30, format: 'mp4' },
  ])
  const at30 = [180, 120n * 256n * 144n + 60n * 146n * 260n]
  assert.deepEqual(
    renditions.map(({ video, pixels }) => [video.length, pixels]),
    [at30, [360, 240n * 256n * 144n + 120n * 146n * 260n], at30],
  )
  const changes = [900_000n, 1_080_000n, 1_260_000n]
  const [at30s, kept] = renditions
  for (const [rendition, step] of [
    [at30s!, 3000n],
    [kept!, 1500n],
  ] as const) {
    assert.deepEqual(keyFrames(rendition), changes)
    const pts = ptsOf(rendition.video)
    assert.deepEqual(new Set(pts.slice(1).map((at, index) => at - pts[index]!)), new Set([step]))
  }
  assert.equal(keyFrames(renditions[2]!).length, 3)
})

test('a change of size by a few lines is charged and counted alike', async () => {
  const parts = [
    await makeSegment({ width: 130, height: 96, frames: 2, startMs: 10_000, audio: false, encoder: 'mpeg4' }),
    await makeSegment({ width: 128, height: 96, frames: 2, startMs: 11_000, audio: false, encoder: 'mpeg4' }),
  ]
  const small = { width: 146, height: 50 }
  const { renditions } = await make(Buffer.concat(parts), [small, { ...small, format: 'mp4' }])
  for (const { pixels } of renditions) assert.equal(pixels, 2n * 146n * 108n + 2n * 146n * 110n)
})

test('H.264 profiles are as requested, with and without B-frames', async () => {
  const source = await makeSegment({ frames: 30 })
  const { renditions } = await make(
    source,
    (['baseline', 'main', 'high', 'constrained-high', 'none'] as const).map((profile) => ({
      profile,
      fps: 30,
    })),
  )
  const constrained = 1 << 9
  assert.deepEqual(
    renditions.map(({ profile }) => profile),
    [66 | constrained, 77, 100, 100, 100],
  )
  const reordered = renditions.map(({ video }) => video.some(({ pts, dts }) => pts !== dts))
  assert.deepEqual(reordered, [false, true, true, false, true])
})

test('pictures of other chroma and depth become 8-bit 4:2:0', async () => {
  for (const pixelFormat of ['yuv422p', 'yuv444p', 'yuv420p10le']) {
    const source = await makeSegment({ pixelFormat, frames: 10, audio: false })
    assert.equal((await probe(source)).pixelFormat, pixelFormat)
    const { renditions } = await make(source, [{ fps: 0 }, { fps: 30, width: 200 }])
    for (const { bytes } of renditions) assert.equal((await probe(bytes)).pixelFormat, 'yuv420p')
  }
})

test('an MP4 source gives MPEG-TS and MP4 renditions with its audio', async () => {
  const source = await makeSegment({ format: 'mp4' })
  const { renditions } = await make(source, [{ fps: 30 }, { format: 'mp4' }])
  const digests = (await look(source)).audio.map(({ digest }) => digest)
  assert.deepEqual(
    renditions.map(({ video }) => video.length),
    [60, 60],
  )
  // MPEG-TS frames the same sound with its own headers.
  assert.equal(renditions[0]!.audio.length, digests.length)
  assert.deepEqual(
    renditions[1]!.audio.map(({ digest }) => digest),
    digests,
  )
})

test('the requested bitrate is kept', async () => {
  const source = await makeSegment({ width: 640, height: 360, durationMs: 4000, audio: false })
  const { renditions } = await make(source, [
    { width: 640, bitrate: 200_000, fps: 30 },
    { width: 640, bitrate: 800_000, fps: 30 },
  ])
  const rates = renditions.map(({ bytes }) => (bytes.length * 8) / 4)
  assert.ok(rates[0]! < 320_000 && rates[1]! > 1.5 * rates[0]! && rates[1]! < 1_100_000, String(rates))
})

test('frames far apart are filled, up to a limit', async () => {
  const source = await makeSegment({ fps: 1, fpsDen: 10, frames: 5, audio: false, encoder: 'mpeg4' })
  await fails(source, [{ fps: 5 }], 'Encoded frames runaway')
  assert.deepEqual(await frames(source, [{ fps: 0 }]), [5])
})

test('input without video is refused by name', async () => {
  const noise = new Uint8Array(50_000).map((_, index) => (index * 7919 + (index >> 3)) & 0xff)
  for (const source of [new Uint8Array(0), new Uint8Array(1000), noise]) {
    await fails(source, [{}], 'TranscoderInvalidVideo')
  }
  await fails(
    new TextEncoder().encode('#EXTM3U\n#EXTINF:2,\nfile:///etc/hosts\n'),
    [{}],
    'TranscoderInvalidVideo',
  )
})

test('a segment without a key frame is refused by name', async () => {
  await fails(await withoutKeyFrame(), [{ fps: 30 }], 'No keyframes in input')
})

test('a segment of a few small pictures is recognised', async () => {
  const source = makePictures({ times: [30n, 31n], unit: { num: 1, den: 30 }, source: 'color' })
  assert.ok(source.length < 2000, String(source.length))
  const small = { width: 146, height: 50, bitrate: 50_000 }
  const { renditions } = await make(source, [small, { ...small, fps: 30 }])
  assert.ok(renditions.every(({ bytes }) => bytes.length < 2244))
})

test('a truncated segment gives the frames that it has', async () => {
  const source = await makeSegment({ audio: false })
  const [kept, halved] = await frames(firstHalf(source), [{ fps: 0 }, { fps: 15 }])
  assert.ok(kept! > 20 && kept! < 40, String(kept))
  // Half as many at half the rate, give or take the last one.
  assert.ok(Math.abs(halved! - kept! / 2) <= 1, `${kept} ${halved}`)
})

test('the number of cores changes no frame, no time and no refusal', async () => {
  const whole = await makeSegment({ bFrames: 2 })
  const profiles = [{ fps: 30 }, { fps: 0, width: 128, height: 72 }]
  for (const source of [whole, firstHalf(whole), await withoutKeyFrame()]) {
    const [alone, ...others] = await Promise.all(
      [1, 2, 8].map(async (cores) => {
        try {
          const { decodedPixels, renditions } = await make(source, profiles, { cores })
          return {
            decodedPixels,
            renditions: renditions.map(({ pixels, video, audio }) => ({
              pixels,
              video: ptsOf(video),
              audio: audio.map(({ pts, digest }) => ({ pts, digest })),
            })),
          }
        } catch (error) {
          return (error as Error).message
        }
      }),
    )
    for (const other of others) assert.deepEqual(other, alone)
  }
})

test('a clip with 4:2:2 pictures and sound is transcoded', async () => {
  const { frames: count, width, height } = WIDE_CLIP
  const source = await wideClip()
  const seen = await look(source)
  const { decodedPixels, renditions } = await make(source, [{ fps: 0 }])
  assert.equal(decodedPixels, BigInt(count * width * height))
  assert.deepEqual([renditions[0]!.width, renditions[0]!.height], [256, 144])
  assert.equal(renditions[0]!.video.length, count)
  assert.ok(seen.audio.length > 0)
  assert.deepEqual(
    renditions[0]!.audio.map(({ digest }) => digest),
    seen.audio.map(({ digest }) => digest),
  )
})

test('an upright clip stays upright', async () => {
  const source = await uprightClip()
  const { renditions } = await make(source, [{ width: 426, height: 240 }, {}])
  assert.deepEqual(
    renditions.map(({ width, height, video }) => [width, height, video.length]),
    [
      [240, 426, 30],
      [146, 260, 30],
    ],
  )
  assert.deepEqual(ptsOf(renditions[0]!.video), ptsOf((await look(source)).video))
})

test('an MP4 of uneven timing keeps it', async () => {
  const { renditions } = await make(unevenClip(), [{ fps: 0, profile: 'baseline' }])
  const span = (pts: readonly bigint[]) => pts.map((at) => at - pts[0]!)
  // 90,000 ticks a second, of which the clip has 600.
  assert.deepEqual(
    span(ptsOf(renditions[0]!.video)),
    span(UNEVEN_TIMES).map((at) => at * 150n),
  )
})

test('a clip without a single picture is refused by name', async () => {
  const source = await pictureless()
  assert.equal((await probe(source)).zeroFrame, true)
  await fails(source, [{}], 'TranscoderInvalidVideo')
})

test('a shape that the encoder refuses fails with the encoder’s text', async () => {
  await fails(await narrowClip(), [{}], 'Generic error in an external library')
})

/** The packets of the first half of an MPEG-TS. */
function firstHalf(ts: Uint8Array): Uint8Array {
  return ts.subarray(0, Math.floor(ts.length / 2 / 188) * 188)
}

/** The second half of a stream whose only key frame is its first, with the parameter sets before every frame. */
async function withoutKeyFrame(): Promise<Uint8Array> {
  const whole = await makeSegment({ frames: 60, audio: false })
  await using input = await MemoryInput.open(whole)
  using output = new MemoryOutput('mpegts')
  const source = input.format.streams[0]!
  const stream = output.format.newStream()
  source.codecpar.copy(stream.codecpar)
  stream.timeBase = source.timeBase
  output.format.setOption('mpegts_copyts', '1')
  output.format.writeHeaderSync(null)
  const packet = new Packet()
  packet.alloc()
  let parameterSets = Buffer.alloc(0)
  for (let index = 0; input.format.readFrameSync(packet) >= 0; index++) {
    const data = Buffer.from(packet.data!)
    // The key frame's own data starts with the parameter sets; its slice is NAL type 5.
    if (index === 0) parameterSets = data.subarray(0, data.indexOf(Buffer.from([0, 0, 1, 0x65])))
    if (index >= 30) {
      packet.data = Buffer.concat([parameterSets, data])
      packet.streamIndex = 0
      output.format.interleavedWriteFrameSync(packet)
    }
    packet.unref()
  }
  packet.free()
  return output.finish()
}

test('cancelled work also ends while the encoders are being drained', async () => {
  const abort = new AbortController()
  let scaled = 0
  const device: Device = {
    ...cpu,
    scalerFor: (profile) => {
      const scaler = cpu.scalerFor(profile)
      return {
        scale: (frame, size) => {
          if (++scaled === 60) abort.abort()
          return scaler.scale(frame, size)
        },
        [Symbol.dispose]: () => scaler[Symbol.dispose](),
      }
    },
  }
  const source = await makeSegment({ audio: false })
  const request = { source, profiles: [profileOf({ width: 128, height: 72 })], provider: PROVIDER }
  await assert.rejects(
    transcode({ ...request, clip: null, calcPerceptualHash: false }, abort.signal, device),
    {
      name: 'AbortError',
    },
  )
  assert.equal(scaled, 60)
})
