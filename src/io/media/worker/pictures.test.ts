import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { differencesInSteps, ladder } from '../../../../test/media/ladder.ts'
import { lastFrameOf, makeSegment } from '../../../../test/media/media.ts'
import { evenly, makePictures } from '../../../../test/media/remade.ts'
import type { Profile } from '../../../domain/rendition.ts'
import { cpu, type Device } from './device.ts'
import { cloned } from './ffmpeg.ts'
import { Pictures, scaleSteps } from './pictures.ts'
import { transcode } from './transcode.ts'

const [p240, p360, p720] = ladder
const p576 = profileOf({ width: 1024, height: 576 })
/** Mean difference of brightness, of 255, between pictures scaled in steps and at once. */
const MAX_DIFFERENCE = 1

const cases = [
  { claim: 'a ladder, each from the next larger one', profiles: ladder, from: [1, 2, null] },
  { claim: 'the order of the renditions is free', profiles: [p720, p240, p360], from: [null, 2, 0] },
  {
    claim: 'a size slightly below is not scaled from the larger one',
    profiles: [p576, p720],
    from: [null, null],
  },
  { claim: 'the same size twice is scaled once', profiles: [p360, p360], from: [null, 0] },
  {
    claim: 'other frame rates show other frames',
    profiles: [
      { ...p240, fps: 30 },
      { ...p360, fps: 15 },
      { ...p720, fps: 30 },
    ],
    from: [2, null, null],
  },
  {
    claim: 'a size above the source’s is not a source for others',
    profiles: ladder,
    source: { width: 854, height: 480 },
    from: [1, null, null],
  },
  {
    claim: 'a portrait source keeps its orientation',
    profiles: ladder,
    source: { width: 1080, height: 1920 },
    from: [1, 2, null],
  },
]

suite('pictures are scaled in steps', () => {
  for (const { claim, profiles, source = { width: 1920, height: 1080 }, from } of cases) {
    test(claim, () => {
      const steps = scaleSteps(profiles, source, { inSteps: true })
      assert.deepEqual(
        steps.map((step) => step.from),
        from,
      )
      const atOnce = scaleSteps(profiles, source, { inSteps: false })
      assert.ok(atOnce.every((step) => step.from === null))
      assert.deepEqual(
        steps.map(({ size }) => size),
        atOnce.map(({ size }) => size),
      )
    })
  }

  const sources = {
    'a test picture': () => makeSegment({ width: 1280, height: 720, frames: 5 }),
    'a picture full of detail': () =>
      makePictures({
        times: evenly(5),
        unit: { num: 1, den: 30 },
        width: 1280,
        height: 720,
        source: 'mandelbrot',
        pixelFormat: 'yuv422p',
      }),
  }
  for (const [what, make] of Object.entries(sources)) {
    test(`look the same as when scaled at once: ${what}`, async (t) => {
      const differences = await differencesInSteps(await make())
      for (const [index, difference] of differences.entries()) {
        t.diagnostic(`${ladder[index]!.width}: ${difference.toFixed(3)} of 255`)
        assert.ok(difference < MAX_DIFFERENCE)
      }
      assert.ok(differences[0]! > 0)
    })
  }

  test('each is scaled once, whichever rendition asks first, one at a time', async () => {
    const made: string[] = []
    const busy = new Set<number>()
    const device: Device = {
      ...cpu,
      scalerFor: ({ width: id }) => ({
        scale: async (source, size) => {
          assert.ok(!busy.has(id), 'a scaler processes one frame at a time')
          busy.add(id)
          await new Promise(setImmediate)
          busy.delete(id)
          made.push(`${source.width} to ${size.width}`)
          const scaled = cloned(source)
          scaled.width = size.width
          return scaled
        },
        [Symbol.dispose]: () => void made.push('disposed'),
      }),
    }
    using frame = await lastFrameOf(await makeSegment({ width: 1280, height: 720, frames: 2 }))
    {
      using pictures = new Pictures(ladder, device, { inSteps: true })
      using first = pictures.of(frame)
      using second = pictures.of(frame)
      await Promise.all(
        [first, second].flatMap((picture) =>
          ladder.map(async ({ width }, index) => {
            using shown = picture.forRendition(index)
            using scaled = await shown.scaled()
            assert.equal(scaled.width, width)
          }),
        ),
      )
    }
    const expected = ['1280 to 1280', '1280 to 640', '640 to 426']
    assert.deepEqual(made.toSorted(), [...expected, ...expected, ...ladder.map(() => 'disposed')].toSorted())
  })

  test('but not if signatures are requested, which peers compare', async () => {
    const source = await makeSegment({ width: 1280, height: 720, frames: 10 })
    const hashes = async (profiles: readonly Profile[]) =>
      (
        await transcode(
          { source, profiles, provider: 'x', clip: null, calcPerceptualHash: true },
          AbortSignal.timeout(60_000),
        )
      ).renditions.map(({ perceptualHash }) => perceptualHash)
    const together = await hashes(ladder)
    for (const [index, profile] of ladder.entries())
      assert.deepEqual([together[index]], await hashes([profile]))
  })
})
