import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { look, ptsOf } from '../../../../test/media/media.ts'
import { type ChosenPictures, evenly, makePictures, remade } from '../../../../test/media/remade.ts'
import { fails, make } from '../../../../test/media/renditions.ts'
import { MemoryInput } from './ffmpeg.ts'
import { bestStreams } from './probe.ts'
import { SegmentReader } from './segment-reader.ts'

async function frameRateOf(settings: ChosenPictures) {
  await using input = await MemoryInput.open(makePictures(settings))
  using reader = new SegmentReader(input, { video: bestStreams(input).video!, audio: null })
  for await (const _ of reader.parts(AbortSignal.timeout(10_000)));
  return reader.frameRate
}

test('the frame rate is the stated one, whatever the times of the pictures', async () => {
  const every = (step: bigint) => frameRateOf({ times: evenly(30, step), unit: { num: 1, den: 30 } })
  assert.deepEqual([await every(1n), await every(2n)], Array(2).fill({ num: 30, den: 1 }))
})

test('without a stated one it is the demuxer’s guess, unless that is absurd', async () => {
  const silent = (den: number, times = evenly(40)) =>
    frameRateOf({ ...{ times, unit: { num: 1, den } }, encoder: 'libvpx', container: 'webm' })
  assert.deepEqual(await silent(30), { num: 30, den: 1 })
  assert.deepEqual(await silent(200), { num: 200, den: 1 })
  assert.equal(await silent(500), null)
})

suite('a segment that does not begin with a key frame', () => {
  const THIRTIETH = { num: 1, den: 30 }
  const PARAMETERS = { 'x264-params': 'open-gop=1:scenecut=0:b-adapt=0' }

  /** A stream of two groups of pictures, cut in decoding order. */
  async function cut(bFrames: number, at: (keys: readonly number[]) => number): Promise<Uint8Array[]> {
    const whole = makePictures({
      times: evenly(60, 1n, 30n),
      unit: THIRTIETH,
      gop: 30,
      bFrames,
      encoderOptions: PARAMETERS,
    })
    const keys = (await look(whole)).video.flatMap(({ isKey }, index) => (isKey ? [index] : []))
    assert.equal(keys.length, 2)
    const place = at(keys)
    return [
      await remade(whole, ({ index }) => index < place),
      await remade(whole, ({ index }) => index >= place),
    ]
  }

  for (const [what, bFrames, lost, at] of [
    ['pictures before its key frame', 0, 3, ([, second]) => second! - 3],
    ['a picture that refers to the segment before', 3, 1, ([, second]) => second!],
  ] as [string, number, number, (keys: readonly number[]) => number][])
    test(`leaves no gap for ${what}`, async () => {
      const shown: bigint[][] = [[], []]
      let decoded = 0
      for (const source of await cut(bFrames, at)) {
        const { decodedPixels, renditions } = await make(source, [{ fps: 30 }, { fps: 0 }])
        decoded += Number(decodedPixels) / (256 * 144)
        for (const [index, { video }] of renditions.entries()) shown[index]!.push(...ptsOf(video))
      }
      assert.equal(decoded, 60 - lost)
      assert.deepEqual(shown[0], evenly(60, 3000n, shown[0]![0]))
      const steps = shown[1]!.slice(1).map((time, index) => time - shown[1]![index]!)
      assert.deepEqual(
        steps.filter((step) => step !== 3000n),
        [BigInt(lost + 1) * 3000n],
        'a kept rate shows the first picture longer',
      )
    })

  test('is refused if no key frame follows, even if pictures can be decoded', async () => {
    const whole = makePictures({ times: evenly(60), unit: THIRTIETH, encoder: 'mpeg4', container: 'mpegts' })
    const { video } = await look(whole)
    let header: Buffer = Buffer.alloc(0)
    assert.ok(video[0]!.isKey)
    const rest = await remade(whole, (packet) => {
      // The header comes only before its first picture.
      const start = packet.data.indexOf(Buffer.from([0, 0, 1, 0xb6]))
      if (packet.index === 0) header = packet.data.subarray(0, start)
      else if (packet.index === 1) packet.data = Buffer.concat([header, packet.data])
      return packet.index > 0 && !video[packet.index]!.isKey
    })
    await fails(rest, [{ fps: 30 }], 'No keyframes in input')
  })
})
