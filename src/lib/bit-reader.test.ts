import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BitReader } from './bit-reader.ts'

test('reads bits and Exp-Golomb codes from the highest bit on, and zeros past the end', () => {
  // 1 010 011 00100 | 00101 1111 …
  const reader = new BitReader(Uint8Array.of(0b1010_0110, 0b0100_0010, 0b1111_1100))
  assert.deepEqual(
    [1, 2, 3, 4].map(() => reader.golomb()),
    [0, 1, 2, 3],
  )
  assert.equal(reader.signedGolomb(), -2)
  assert.equal(reader.bits(5), 0b11111)
  assert.equal(reader.isPastEnd, false)
  reader.skip(3)
  assert.equal(reader.flag(), false)
  assert.equal(reader.isPastEnd, true)
  assert.equal(reader.golomb(), 2 ** 32 - 1)
  assert.equal(new BitReader(Uint8Array.of(255, 255, 255, 255)).bits(32), 2 ** 32 - 1)
})
