import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatHex } from '../lib/bytes.ts'
import { checkAuthToken, isAuthentic, isTokenEnding, makeAuthToken } from './auth-token.ts'

const key = new TextEncoder().encode('foo')

test('the token is the HMAC that the network expects', () => {
  const token = makeAuthToken(key, 'bar', 1_700_000_000n)
  assert.equal(formatHex(token.token), '0xce8345743be2a55a8556feb94e9b05715edd89c7cc0fc70e98bb706ba511380e')
})

test('a token is refused in the order missing, invalid, expired', () => {
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

test('a token of an older key stays good while that key is kept', () => {
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

test('a token that came with less than ten minutes to live is not renewed for its age', () => {
  const token = makeAuthToken(key, 'bar', 1600n)
  assert.equal(isTokenEnding(token, 1_000_000, 1_420_000), true)
  assert.equal(isTokenEnding(token, 1_000_001, 1_420_000), false)
  assert.equal(isTokenEnding(token, 1_600_000, 1_600_000), false)
  assert.equal(isTokenEnding(makeAuthToken(key, 'bar', 0n), 1_000_000, 9_000_000), false)
})
