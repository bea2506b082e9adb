import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatHex } from '../lib/bytes.ts'
import { hmacSha256 } from '../lib/crypto.ts'
import { checkAuthToken, isAuthentic, isTokenEnding, makeAuthToken, tokenPreimage } from './auth-token.ts'

const key = new TextEncoder().encode('foo')

test("a token's preimage names its use and includes the length of the session id", () => {
  const message = tokenPreimage('bar', 1_700_000_000n)!
  const name = Buffer.from('livepeer-ts auth token 1').toString('hex')
  assert.equal(formatHex(message), `0x${name}00000003626172000000006553f100`)
  assert.deepEqual(makeAuthToken(key, 'bar', 1_700_000_000n).token, hmacSha256(key, message))
})

const expirations = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), fc.bigInt({ min: 0n, max: 300n }))
const ids = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-9a-f]{0,9}$/))

test('two tokens have the same preimage only if session id and expiration are equal', () => {
  fc.assert(
    fc.property(ids, expirations, ids, expirations, (id, expiration, otherId, otherExpiration) => {
      const one = formatHex(tokenPreimage(id, expiration)!)
      const other = formatHex(tokenPreimage(otherId, otherExpiration)!)
      assert.equal(one === other, id === otherId && expiration === otherExpiration)
    }),
  )
})

test('moving bytes between session id and expiration changes the token', () => {
  fc.assert(
    fc.property(ids, expirations, fc.integer({ min: 1, max: 8 }), (id, expiration, count) => {
      const token = makeAuthToken(key, id, expiration)
      const bytes = [...new TextEncoder().encode(id)]
      if (bytes.length < count || bytes.some((byte) => byte > 127)) return
      const moved = BigInt(formatHex(Uint8Array.from(bytes.slice(-count))))
      const wider = (moved << BigInt(8 * (8 - count))) | (expiration >> BigInt(8 * count))
      const changed = { ...token, sessionId: id.slice(0, -count), expiration: BigInt.asIntN(63, wider) }
      assert.equal(isAuthentic([key], token), true)
      assert.equal(isAuthentic([key], changed), false)
    }),
  )
})

test("a token with an expiration beyond the wire's range is neither made nor accepted", () => {
  const token = makeAuthToken(key, 'bar', 2n ** 63n - 1n)
  assert.equal(isAuthentic([key], token), true)
  for (const expiration of [-1n, 2n ** 63n, 2n ** 64n + 5n]) {
    assert.equal(isAuthentic([key], { ...token, expiration }), false)
    assert.throws(() => makeAuthToken(key, 'bar', expiration), { code: 'bad-expiration' })
  }
})

test('tokens are checked in the order missing, invalid, expired', () => {
  const token = makeAuthToken(key, 'bar', 1_700_000_000n)
  const cases = [
    { token: null, now: 0n, text: 'missing auth token' },
    { token: { ...token, sessionId: 'baz' }, now: 1_800_000_000n, text: 'invalid auth token' },
    { token: { ...token, expiration: 1_700_000_001n }, now: 0n, text: 'invalid auth token' },
    { token: { ...token, expiration: -1n }, now: 0n, text: 'invalid auth token' },
    { token: { ...token, token: token.token.subarray(1) }, now: 0n, text: 'invalid auth token' },
    { token, now: 1_700_000_001n, text: 'expired auth token' },
  ]
  for (const { token, now, text } of cases) {
    assert.throws(() => checkAuthToken([key], token, now), { message: text })
  }
  assert.equal(checkAuthToken([key], token, 1_700_000_000n), token)
})

test('a token of an older key is valid while that key is kept', () => {
  const token = makeAuthToken(key, 'bar', 1_700_000_000n)
  const newer = new TextEncoder().encode('newer')
  assert.equal(isAuthentic([newer, key], token), true)
  assert.equal(isAuthentic([newer], token), false)
})

test('a token is renewed in its last three minutes', () => {
  const endingAt = (expiration: bigint) => makeAuthToken(key, 'bar', expiration)
  const came = 0
  assert.equal(isTokenEnding(endingAt(1181n), came, 1_000_999), false)
  assert.equal(isTokenEnding(endingAt(1180n), came, 999_999), false)
  assert.equal(isTokenEnding(endingAt(1180n), came, 1_000_000), true)
  assert.equal(isTokenEnding(endingAt(1180n), came, 2_000_000), true)
})

test('a token that arrived with less than ten minutes to live is not renewed for its age', () => {
  const token = makeAuthToken(key, 'bar', 1600n)
  assert.equal(isTokenEnding(token, 1_000_000, 1_420_000), true)
  assert.equal(isTokenEnding(token, 1_000_001, 1_420_000), false)
  assert.equal(isTokenEnding(token, 1_600_000, 1_600_000), false)
  assert.equal(isTokenEnding(makeAuthToken(key, 'bar', 0n), 1_000_000, 9_000_000), false)
})
