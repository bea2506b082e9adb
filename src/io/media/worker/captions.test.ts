import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { AV_FRAME_DATA_A53_CC } from 'node-av/constants'
import type { Frame } from 'node-av/lib'
import { framesOf } from '../../../../test/media/media.ts'
import { evenly, makePictures } from '../../../../test/media/remade.ts'
import { make } from '../../../../test/media/renditions.ts'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWX'
const PADDING = [0xf8, 0, 0]

/** A letter per picture, at 30 pictures a second. */
function captioned(before = 0): Uint8Array {
  const caption = (frame: Frame, index: number) => {
    const padding = Array.from({ length: before }, () => PADDING).flat()
    const bytes = [...padding, 0xfc, LETTERS.charCodeAt(index), 0x80]
    frame.newSideData(AV_FRAME_DATA_A53_CC, bytes.length).set(bytes)
  }
  return makePictures({
    times: evenly(LETTERS.length, 1n, 30n),
    ...{ unit: { num: 1, den: 30 }, edit: caption, bFrames: 2 },
  })
}

/** The letters of each picture's captions, in presentation order. */
async function lettersOf(bytes: Uint8Array): Promise<string[]> {
  const said: string[] = []
  for await (const frame of framesOf(bytes)) {
    const captions = frame.getSideData(AV_FRAME_DATA_A53_CC) ?? Buffer.alloc(0)
    const triples = Array.from({ length: captions.length / 3 }, (_, index) => captions.subarray(3 * index))
    said.push(triples.map(([head, letter]) => (head! & 4 ? String.fromCharCode(letter!) : '')).join(''))
  }
  return said
}

suite('captions', () => {
  for (const before of [0, 20])
    test(`are read once and in order at any frame rate, with ${before} triples of padding`, async () => {
      const source = captioned(before)
      assert.deepEqual(await lettersOf(source), [...LETTERS])
      const rates = [0, 30, 60, 15, 10]
      const { renditions } = await make(
        source,
        rates.map((fps) => ({ fps })),
      )
      const [kept, same, doubled, halved, thirds] = await Promise.all(
        renditions.map(({ bytes }) => lettersOf(bytes)),
      )
      assert.deepEqual(kept, [...LETTERS])
      assert.deepEqual(same, [...LETTERS])
      assert.deepEqual(doubled!.join(''), LETTERS)
      assert.equal(doubled!.filter((said) => said === '').length, LETTERS.length)
      for (const said of [halved!, thirds!]) {
        assert.equal(said.join(''), LETTERS)
        assert.ok(said.every((letters) => letters.length <= 4))
      }
    })

  test('are those of a clip’s own pictures', async () => {
    for (const [fps, expected] of [
      [0, 'GHIJKLM'],
      [30, 'GHIJKLM'],
      [60, 'GHIJKLM'],
    ] as const) {
      const clip = { fromMs: 200n, toMs: 400n }
      const { renditions } = await make(captioned(), [{ fps }], { clip })
      assert.equal((await lettersOf(renditions[0]!.bytes)).join(''), expected, `at ${fps}`)
    }
  })

  test('that do not fit in a picture continue in the next ones', async () => {
    // Captions of two pictures do not fit in one.
    const said = (frame: Frame, index: number) => {
      const bytes = Array.from({ length: 20 }, (_, at) => [
        0xfc,
        0x41 + ((index * 20 + at) % 26),
        0x80,
      ]).flat()
      frame.newSideData(AV_FRAME_DATA_A53_CC, bytes.length).set(bytes)
    }
    const source = makePictures({ times: evenly(12, 1n, 30n), unit: { num: 1, den: 30 }, edit: said })
    const whole = (await lettersOf(source)).join('')
    assert.equal(whole.length, 240)
    const { renditions } = await make(source, [{ fps: 20 }])
    const got = (await lettersOf(renditions[0]!.bytes)).join('')
    assert.equal(whole.startsWith(got), true)
    assert.equal(got.length, 240)
  })
})
