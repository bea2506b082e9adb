import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { MediaEngine } from '../../src/io/media/engine/engine.ts'
import { segmentsOfFile } from '../../src/io/media/engine/pattern.ts'
import { probe } from '../../src/io/media/worker/probe.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { profileOf } from '../fakes/profile.ts'
import { differencesInSteps } from './ladder.ts'
import { look, ptsOf, RECORDINGS, recording } from './media.ts'
import { fails, make, PROVIDER } from './renditions.ts'

/** Real recordings, where LIVEPEER_TEST_MEDIA names a folder of them; tests with clips made in code say the same of theirs. */

const names = [
  'bunny-720p.ts',
  'portrait.ts',
  'vertical-sample.ts',
  'videotest.mp4',
  'zero-frame.ts',
  'jittery-pts.ts',
] as const

suite('real recordings', { skip: RECORDINGS ? false : 'LIVEPEER_TEST_MEDIA names no folder' }, () => {
  let engine: MediaEngine
  const supervisor = new Supervisor()
  const clip = (name: (typeof names)[number]) => {
    const bytes = recording(name)
    assert.ok(bytes, `${name} is not in ${RECORDINGS}`)
    return bytes
  }
  before(async () => {
    engine = new MediaEngine({ clock: systemClock, log: silentLog, workers: 2 })
    await supervisor.start(engine)
  })
  after(() => supervisor.stop())

  for (const [name, expected] of [
    ['bunny-720p.ts', [260, 217, 217]],
    ['portrait.ts', [31, 30, 30]],
    ['vertical-sample.ts', 'Generic error in an external library'],
    ['videotest.mp4', [53, 42, 42]],
    ['zero-frame.ts', 'TranscoderInvalidVideo'],
  ] as const) {
    test(`${name} gives renditions that decode, or the right words`, async () => {
      const profiles = [{ fps: 30 }, { fps: 0, width: 426 }, { fps: 0, format: 'mp4' } as const]
      const asked = engine.transcode(
        {
          sessionId: 'one',
          source: clip(name),
          profiles: profiles.map(profileOf),
          durationMs: 2000,
          deadlineMs: 60_000,
          provider: PROVIDER,
          clip: null,
          calcPerceptualHash: false,
        },
        AbortSignal.timeout(60_000),
      )
      if (typeof expected === 'string') return assert.rejects(asked, { message: expected })
      const { renditions } = await asked
      for (const { bytes, pixels } of renditions)
        assert.equal(await engine.countPixels(bytes, AbortSignal.timeout(60_000)), pixels)
      const seen = await Promise.all(renditions.map(({ bytes }) => look(bytes)))
      assert.deepEqual(
        seen.map(({ video }) => video.length),
        expected,
      )
    })
  }

  test('4:2:2 pictures and sound are transcoded', async () => {
    const source = clip('bunny-720p.ts')
    const seen = await look(source)
    const { decodedPixels, renditions } = await make(source, [{ fps: 0 }])
    assert.equal(decodedPixels, 217n * 1280n * 720n)
    assert.deepEqual([renditions[0]!.width, renditions[0]!.height], [256, 144])
    assert.equal(renditions[0]!.video.length, 217)
    assert.deepEqual(
      renditions[0]!.audio.map(({ digest }) => digest),
      seen.audio.map(({ digest }) => digest),
    )
  })

  test('a portrait stays upright', async () => {
    const source = clip('portrait.ts')
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
    const source = clip('videotest.mp4')
    const seen = await look(source)
    const { renditions } = await make(source, [{ fps: 0, profile: 'baseline' }])
    const span = (pts: bigint[]) => pts.map((at) => at - pts[0]!)
    assert.deepEqual(
      span(ptsOf(renditions[0]!.video)),
      span(ptsOf(seen.video)).map((at) => at * 150n),
    )
  })

  test('one without a single frame is refused by name', async () => {
    const source = clip('zero-frame.ts')
    assert.equal((await probe(source)).zeroFrame, true)
    await fails(source, [{}], 'TranscoderInvalidVideo')
  })

  test('a shape that the encoder refuses fails with the encoder’s words', async () => {
    await fails(clip('vertical-sample.ts'), [{}], 'Generic error in an external library')
  })

  test('pictures whose times belong to the next one are all shown, in even steps', async () => {
    const { renditions } = await make(clip('jittery-pts.ts'), [
      { fps: 0 },
      { fps: 30 },
      { fps: 30_000, fpsDen: 1001 },
    ])
    assert.deepEqual(
      renditions.map(({ video }) => video.length),
      [171, 172, 171],
    )
    const pts = ptsOf(renditions[0]!.video)
    assert.deepEqual(new Set(pts.slice(1).map((at, index) => at - pts[index]!)), new Set([3003n]))
  })

  test('pictures scaled in steps are as when scaled at once, to the eye', async () => {
    const differences = await differencesInSteps(clip('bunny-720p.ts'))
    assert.ok(
      differences.every((difference) => difference < 1),
      String(differences),
    )
    assert.ok(differences[0]! > 0)
  })

  test('one loops with every frame of it', async () => {
    const frames: number[] = []
    const pts: bigint[] = []
    const path = join(RECORDINGS!, 'bunny-720p.ts')
    for await (const { bytes } of segmentsOfFile(path, new AbortController().signal, { isPaced: false })) {
      const { video } = await look(bytes)
      frames.push(video.length)
      pts.push(...ptsOf(video))
      if (frames.length === 8) break
    }
    assert.deepEqual(frames, [31, 62, 62, 62, 31, 62, 62, 62])
    assert.ok(pts.every((at, index) => index === 0 || at > pts[index - 1]!))
  })
})
