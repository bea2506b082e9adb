import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signatureOf } from '../../test/fakes/signature.ts'
import { differenceOf, type Fingerprint, isComparedAgain } from './result-comparison.ts'

const sounds = (from: number, count: number) => {
  const bytes = Buffer.alloc(count * 8)
  for (let packet = 0; packet < count; packet++) bytes.writeBigUInt64BE(BigInt(from + packet), packet * 8)
  return new Uint8Array(bytes)
}
const found = (changes: Partial<Fingerprint> = {}): Fingerprint => ({
  ...{ width: 256, height: 144, signature: signatureOf(), sound: sounds(0, 94) },
  ...changes,
})

test('results differ in size, in sound and in pictures, in this order', () => {
  const cases: readonly [string | null, Partial<Fingerprint>][] = [
    [null, {}],
    ['size', { width: 254 }],
    ['size', { height: 146, signature: signatureOf(242, 242) }],
    [null, { sound: sounds(9, 94) }],
    ['sound', { sound: sounds(10, 94) }],
    [null, { sound: sounds(0, 104) }],
    ['sound', { sound: sounds(0, 105) }],
    ['sound', { sound: new Uint8Array(0) }],
    ['sound', { sound: Buffer.concat(Array.from({ length: 94 }, () => sounds(0, 1))) }],
    ['pictures', { signature: signatureOf(242, 242, 242, 242) }],
  ]
  for (const [fault, changes] of cases) {
    assert.equal(differenceOf(found(), found(changes)), fault, JSON.stringify(Object.keys(changes)))
  }
})

test('a session that passed is compared again once in as many segments as it says', () => {
  assert.equal(isComparedAgain(1, 0.999), true)
  assert.equal(isComparedAgain(4, 0.249), true)
  assert.equal(isComparedAgain(4, 0.25), false)
})
