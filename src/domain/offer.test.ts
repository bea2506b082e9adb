import assert from 'node:assert/strict'
import { test } from 'node:test'
import { afterRenewal, afterResult } from './offer.ts'
import type { OrchestratorInfo } from './segment.ts'

const RECIPIENT = '0x00000000000000000000000000000000000000aa'
const OTHER = '0x00000000000000000000000000000000000000bb'

function offer(
  change: Partial<OrchestratorInfo> = {},
  params: Partial<NonNullable<OrchestratorInfo['ticketParams']>> = {},
): OrchestratorInfo {
  return {
    transcoder: 'https://o:8935',
    address: RECIPIENT,
    ticketParams: {
      recipient: RECIPIENT,
      faceValue: 1000n,
      winProb: 1n,
      recipientRandHash: new Uint8Array(32),
      seed: 1n,
      expirationBlock: 100n,
      expirationParams: { creationRound: 1n, creationRoundBlockHash: new Uint8Array(32) },
      ...params,
    },
    priceInfo: { pricePerUnit: 3n, pixelsPerUnit: 2n },
    capabilities: null,
    authToken: { token: new Uint8Array(32), sessionId: 'aaaaaaaa', expiration: 1n },
    storage: [],
    nodes: [],
    ...change,
  }
}

const token = (sessionId: string) => ({ token: new Uint8Array(1), sessionId, expiration: 2n })
const FRESH = { seed: 2n, faceValue: 900n, expirationBlock: 101n }

test('a result updates the params and their price, and nothing else', () => {
  const current = offer()
  const told = offer(
    {
      transcoder: 'https://elsewhere:1',
      address: OTHER,
      authToken: token('bbbbbbbb'),
      priceInfo: { pricePerUnit: 6n, pixelsPerUnit: 4n },
      nodes: ['https://more:1'],
    },
    FRESH,
  )
  assert.deepEqual(afterResult(current, told), {
    ...current,
    ticketParams: told.ticketParams,
    priceInfo: { pricePerUnit: 6n, pixelsPerUnit: 4n },
  })
})

const ignored: readonly [claim: string, told: OrchestratorInfo][] = [
  ['a higher price', offer({ priceInfo: { pricePerUnit: 4n, pixelsPerUnit: 2n } }, FRESH)],
  ['a lower price', offer({ priceInfo: { pricePerUnit: 2n, pixelsPerUnit: 2n } }, FRESH)],
  ['an invalid price', offer({ priceInfo: { pricePerUnit: 3n, pixelsPerUnit: 0n } }, FRESH)],
  ['no price', offer({ priceInfo: null }, FRESH)],
  ['no params', offer({ ticketParams: null })],
  ['another recipient', offer({}, { ...FRESH, recipient: OTHER })],
  ['params that end sooner', offer({}, { ...FRESH, expirationBlock: 99n })],
]

for (const [claim, told] of ignored) {
  test(`a result with ${claim} leaves the offer unchanged`, () => {
    const current = offer()
    assert.equal(afterResult(current, told), current)
  })
}

test('offchain a result changes nothing', () => {
  const current = offer({ ticketParams: null, priceInfo: null })
  assert.equal(afterResult(current, offer({ authToken: token('bbbbbbbb') })), current)
})

const renewals: readonly [claim: string, answer: OrchestratorInfo, tokenEnds: boolean, sessionId: string][] =
  [
    ['params alone', offer({ authToken: token('bbbbbbbb') }, FRESH), false, 'aaaaaaaa'],
    [
      'params, without accepting new sessions',
      offer({ authToken: token('b'), transcoder: '' }, FRESH),
      false,
      'aaaaaaaa',
    ],
    ['an expiring token', offer({ authToken: token('bbbbbbbb') }, FRESH), true, 'bbbbbbbb'],
    [
      'another price',
      offer({ authToken: token('b'), priceInfo: { pricePerUnit: 2n, pixelsPerUnit: 1n } }, FRESH),
      false,
      'b',
    ],
    ['another recipient', offer({ authToken: token('b') }, { ...FRESH, recipient: OTHER }), false, 'b'],
    ['another node', offer({ authToken: token('b'), address: OTHER }, FRESH), false, 'b'],
    ['another address', offer({ authToken: token('b'), transcoder: 'https://p:1' }, FRESH), false, 'b'],
  ]

for (const [claim, answer, tokenEnds, sessionId] of renewals) {
  test(`a renewal of ${claim} ${sessionId === 'aaaaaaaa' ? 'keeps' : 'replaces'} the auth session`, () => {
    const renewed = afterRenewal(offer(), answer, { tokenEnds, isShared: false })
    assert.equal(renewed.authToken?.sessionId, sessionId)
    assert.deepEqual(renewed.ticketParams, answer.ticketParams)
    assert.deepEqual(renewed.priceInfo, answer.priceInfo)
    assert.equal(renewed.transcoder, answer.transcoder || 'https://o:8935')
  })
}

test('nodes that share their sessions go on with the auth session, whichever of them answers', () => {
  const answer = offer({ address: OTHER, authToken: token('b') })
  for (const [change, tokenEnds, isShared, sessionId] of [
    [{}, false, true, 'aaaaaaaa'],
    [{}, false, false, 'b'],
    [{}, true, true, 'b'],
    [{ transcoder: 'https://other:8935' }, false, true, 'b'],
    [{ priceInfo: { pricePerUnit: 4n, pixelsPerUnit: 2n } }, false, true, 'b'],
  ] as const) {
    const renewed = afterRenewal(offer(), { ...answer, ...change }, { tokenEnds, isShared })
    assert.equal(renewed.authToken?.sessionId, sessionId)
    assert.equal(renewed.address, OTHER)
  }
})

test('a renewal without params keeps the last ones and the price they are bound to', () => {
  const answer = offer({
    ticketParams: null,
    priceInfo: { pricePerUnit: 9n, pixelsPerUnit: 1n },
    authToken: token('b'),
  })
  const renewed = afterRenewal(offer(), answer, { tokenEnds: true, isShared: false })
  assert.deepEqual(renewed.ticketParams, offer().ticketParams)
  assert.deepEqual(renewed.priceInfo, offer().priceInfo)
  assert.equal(renewed.authToken?.sessionId, 'b')
})
