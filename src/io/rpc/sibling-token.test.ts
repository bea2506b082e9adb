import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeSiblingToken, senderOfToken } from './sibling-token.ts'

const [A, B] = ['a'.repeat(16), 'b'.repeat(16)]
const SECRET = new Uint8Array(32).fill(7)
const OTHER = new Uint8Array(32).fill(8)
const NOW_MS = 1_800_000_000_000
const CALL = { to: B, method: 'POST', path: '/sibling/segment' }
const TOKEN = makeSiblingToken(SECRET, { ...CALL, from: A }, NOW_MS)

test('a token shows who made it, to the node and for the request that it was made for', () => {
  assert.equal(senderOfToken([SECRET], TOKEN, CALL, NOW_MS), A)
  assert.equal(senderOfToken([OTHER, SECRET], TOKEN, CALL, NOW_MS + 29_000), A, 'after a new secret too')
})

const [from, at, mac] = TOKEN.split(' ') as [string, string, string]
const flipped = `${mac[0] === '0' ? '1' : '0'}${mac.slice(1)}`
for (const [what, text, call = CALL, nowMs = NOW_MS, secrets = [SECRET]] of [
  ['none', undefined],
  ['an empty one', ''],
  ['two of them', [TOKEN, TOKEN]],
  ['one of another node’s name', `${B} ${at} ${mac}`],
  ['one of another time', `${from} ${Number(at) + 1} ${mac}`],
  ['a forged one', `${from} ${at} ${flipped}`],
  ['a short one', `${from} ${at} ${mac.slice(2)}`],
  ['one with more behind it', `${TOKEN} `],
  ['one for another node', TOKEN, { ...CALL, to: A }],
  ['one for another path', TOKEN, { ...CALL, path: '/sibling/end' }],
  ['one for another method', TOKEN, { ...CALL, method: 'GET' }],
  ['one that is too old', TOKEN, CALL, NOW_MS + 30_001],
  ['one of the future', TOKEN, CALL, NOW_MS - 30_001],
  ['one of another cluster', TOKEN, CALL, NOW_MS, [OTHER]],
  ['any while there is no secret', TOKEN, CALL, NOW_MS, []],
] as const) {
  test(`a sibling’s token is refused: ${what}`, () => {
    assert.equal(senderOfToken(secrets, text, call, nowMs), null)
  })
}
