import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signatureOf } from '../../test/fakes/signature.ts'
import { readSignature, showSame } from './perceptual-hash.ts'

const pictures = (...frames: number[]) => readSignature(signatureOf(...frames))
/** Frames that differ from one another by 760, 152, or, between 0 and 1, by 76. */
const [A, B, FAR] = [0, 1, 242]
const cycle = (count: number, ...frames: number[]) =>
  Array.from({ length: count }, (_, index) => frames[index % frames.length]!)

test('a signature is read frame by frame, and nothing but a whole one', () => {
  const { count, values } = pictures(5, 242, 7)
  assert.equal(count, 3)
  assert.deepEqual(
    [0, 1, 2].map((frame) => [...new Set(values.subarray(frame * 76, frame * 76 + 76))]),
    [[5], [242], [7]],
  )
  const whole = signatureOf(1, 2, 3)
  const claimed = (frames: number) => {
    const bytes = Uint8Array.from(whole)
    // The number of frames begins at bit 129.
    new DataView(bytes.buffer).setUint32(16, frames >>> 1)
    return bytes
  }
  for (const bytes of [
    new Uint8Array(0),
    whole.subarray(0, 34),
    whole.subarray(0, -1),
    Buffer.concat([whole, Buffer.alloc(1)]),
    claimed(0),
    claimed(2 ** 32 - 1),
    signatureOf(243),
    Buffer.alloc(200, 0xff),
  ]) {
    assert.throws(() => readSignature(bytes), { code: 'bad-signature', message: /^InvalidSignData/ })
  }
})

test('frames are the same if their values differ by 150 at most', () => {
  assert.ok(showSame(pictures(A, A, A), pictures(B, B, B)))
  assert.ok(!showSame(pictures(A, A, A), pictures(2, 2, 2)), '2 for each of 76 bytes')
})

test('half of the frames must be the same, of the longer one', () => {
  assert.ok(showSame(pictures(A, A, FAR, FAR), pictures(A, A, A, A)))
  assert.ok(!showSame(pictures(A, FAR, FAR, FAR), pictures(A, A, A, A)))
  assert.ok(showSame(pictures(A, A), pictures(A, A, A, A)))
  assert.ok(!showSame(pictures(A), pictures(A, A, A, A)))
  assert.ok(!showSame(pictures(A, A, A, A), pictures(A)))
})

test('a few frames that are missing at the start do no harm', () => {
  const frames = [...cycle(10, FAR), ...cycle(10, A), ...cycle(20, FAR, A, A)]
  assert.ok(showSame(pictures(...frames), pictures(...frames.slice(7))))
  assert.ok(showSame(pictures(...frames.slice(7)), pictures(...frames)))
  const alternating = cycle(60, A, FAR)
  assert.ok(!showSame(pictures(...alternating), pictures(...cycle(60, 100, 121))))
})

test('the longest segments are compared in a fraction of a second', () => {
  const long = cycle(36_000, A, FAR, 100)
  const [one, other] = [pictures(...long), pictures(...cycle(36_000, 121))]
  const sinceMs = performance.now()
  assert.ok(showSame(one, pictures(...long)))
  showSame(one, other)
  assert.ok(performance.now() - sinceMs < 5_000)
})
