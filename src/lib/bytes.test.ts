import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  bytesToInt,
  compareBytes,
  concatBytes,
  equalBytes,
  formatHex,
  intToBytes,
  intToFixedBytes,
  leftPad,
  parseHex,
  writeUint256,
} from './bytes.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)
const uint256 = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n })

test('hexadecimal is read in either case, with or without 0x, and written in lower case with 0x', () => {
  assert.deepEqual(parseHex('0xAbcD'), bytes(0xab, 0xcd))
  assert.deepEqual(parseHex('abcd'), bytes(0xab, 0xcd))
  assert.deepEqual(parseHex('0x'), bytes())
  assert.equal(formatHex(bytes(0, 0xab)), '0x00ab')
  fc.assert(fc.property(fc.uint8Array(), (value) => equalBytes(parseHex(formatHex(value)), value)))
})

for (const text of ['0xabc', '0xzz', '0x0x00', ' 00', '00 ', '0X00', 'é0']) {
  test(`${JSON.stringify(text)} is not hexadecimal`, () => {
    assert.throws(() => parseHex(text), { code: 'bad-hex' })
  })
}

test('formatting part of a buffer formats only that part', () => {
  assert.equal(formatHex(bytes(1, 2, 3, 4).subarray(1, 3)), '0x0203')
})

const MINIMAL: [bigint, Uint8Array][] = [
  [0n, bytes()],
  [1n, bytes(1)],
  [255n, bytes(255)],
  [256n, bytes(1, 0)],
  [2n ** 64n - 1n, bytes(...Array(8).fill(255))],
  [2n ** 64n, bytes(1, ...Array(8).fill(0))],
]

for (const [value, expected] of MINIMAL) {
  test(`${value} is written in ${expected.length} bytes`, () => {
    assert.deepEqual(intToBytes(value), expected)
    assert.equal(bytesToInt(expected), value)
  })
}

test('leading zeros are ignored', () => {
  assert.equal(bytesToInt(bytes(0, 0, 5)), 5n)
  assert.equal(bytesToInt(concatBytes(new Uint8Array(31), bytes(5))), 5n)
})

test('every 256-bit integer survives a round trip through each encoding', () => {
  fc.assert(
    fc.property(uint256, fc.nat(9), (value, offset) => {
      const target = new Uint8Array(42)
      writeUint256(target, offset, value)
      assert.equal(bytesToInt(target.subarray(offset, offset + 32)), value)
      assert.deepEqual(intToFixedBytes(value, 32), target.subarray(offset, offset + 32))
      assert.equal(bytesToInt(intToBytes(value)), value)
    }),
  )
})

test('writing a small integer overwrites all bytes of a larger one', () => {
  const target = new Uint8Array(32)
  writeUint256(target, 0, 2n ** 256n - 1n)
  writeUint256(target, 0, 1n)
  assert.deepEqual(target, concatBytes(new Uint8Array(31), bytes(1)))
})

test('negative integers and integers that are too wide are refused', () => {
  const target = new Uint8Array(32)
  for (const write of [
    () => intToBytes(-1n),
    () => intToFixedBytes(-1n, 8),
    () => intToFixedBytes(-1n, 32),
    () => writeUint256(target, 0, -1n),
  ]) {
    assert.throws(write, { code: 'negative-integer' })
  }
  for (const write of [
    () => intToFixedBytes(256n, 1),
    () => intToFixedBytes(2n ** 256n, 32),
    () => writeUint256(target, 0, 2n ** 256n),
    () => writeUint256(target, 0, 2n ** 512n),
  ]) {
    assert.throws(write, { code: 'integer-too-wide' })
  }
  assert.deepEqual(intToFixedBytes(255n, 1), bytes(255))
  assert.deepEqual(intToFixedBytes(1n, 4), bytes(0, 0, 0, 1))
})

test('short hashes are padded on the left, long ones keep their last bytes', () => {
  assert.deepEqual(leftPad(bytes(1, 2), 4), bytes(0, 0, 1, 2))
  assert.deepEqual(leftPad(bytes(1, 2, 3, 4, 5), 4), bytes(2, 3, 4, 5))
  assert.deepEqual(leftPad(bytes(), 2), bytes(0, 0))
})

test('byte strings are compared by content, and in the order of their integers', () => {
  assert.equal(equalBytes(bytes(1, 2), bytes(1, 2)), true)
  assert.equal(equalBytes(bytes(1, 2), bytes(1, 2, 0)), false)
  fc.assert(
    fc.property(uint256, uint256, (a, b) => {
      const sign = Math.sign(compareBytes(intToFixedBytes(a, 32), intToFixedBytes(b, 32)))
      assert.equal(sign, a < b ? -1 : a > b ? 1 : 0)
    }),
  )
})
