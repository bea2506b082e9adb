import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  byUrgency,
  decideRedemption,
  expiryBlock,
  isExpired,
  isLastChance,
  meaningOfRevert,
  paramsAreLive,
  type RedemptionFacts,
} from './redemption.ts'

const clock = { currentRound: 100n, startL1Block: 50_000n, roundLength: 6_000n, l1Block: 51_000n }

test('a ticket can be redeemed in its round and the next', () => {
  const expired = [98n, 99n, 100n].map((round) => isExpired(round, clock))
  assert.deepEqual(expired, [true, false, false])
  assert.equal(expiryBlock(99n, clock), 56_000n)
  assert.equal(expiryBlock(100n, clock), 62_000n)
})

test('the last chance is the last hundred blocks, or the last third of a short round', () => {
  const at = (l1Block: bigint, roundLength = 6_000n) => ({ ...clock, l1Block, roundLength })
  assert.equal(isLastChance(99n, at(55_899n)), false)
  assert.equal(isLastChance(99n, at(55_900n)), true)
  assert.equal(isLastChance(99n, at(50_019n, 30n)), false)
  assert.equal(isLastChance(99n, at(50_020n, 30n)), true)
})

test('a ticket waits for its params to expire unless it would expire before', () => {
  const ticket = (paramsExpirationBlock: bigint, creationRound = 99n) => ({
    paramsExpirationBlock,
    expirationParams: { creationRound },
  })
  assert.equal(paramsAreLive(ticket(51_001n), clock), true)
  assert.equal(paramsAreLive(ticket(51_000n), clock), false)
  assert.equal(paramsAreLive(ticket(56_100n), { ...clock, l1Block: 55_900n }), false)
})

const facts: RedemptionFacts = {
  faceValue: 100n,
  pays: 100n,
  cost: 1n,
  lastChance: false,
  inFlight: 0n,
  funds: 0n,
}
const decisions: [string, Partial<RedemptionFacts>, ReturnType<typeof decideRedemption>][] = [
  ['pays in full', {}, 'redeem'],
  ['pays less', { pays: 99n }, 'underfunded'],
  ['pays less at the last chance', { pays: 99n, lastChance: true }, 'redeem'],
  ['pays less than its gas at the last chance', { pays: 1n, lastChance: true }, 'underfunded'],
  ['pays nothing at the last chance', { pays: 0n, cost: 0n, lastChance: true }, 'underfunded'],
  ['costs all it pays', { cost: 100n }, 'not-worth-gas'],
  ['costs all it pays at the last chance', { cost: 100n, lastChance: true }, 'not-worth-gas'],
  ['others on their way, funds cover all', { inFlight: 50n, funds: 150n }, 'redeem'],
  ['others on their way, funds do not cover all', { inFlight: 50n, funds: 149n }, 'after-others'],
]
for (const [name, change, decision] of decisions) {
  test(`a ticket that ${name}: ${decision}`, () => {
    assert.equal(decideRedemption({ ...facts, ...change }), decision)
  })
}

test('what expires first is redeemed first, and of that what pays most', () => {
  const tickets = [
    { faceValue: 1n, expirationParams: { creationRound: 100n } },
    { faceValue: 2n, expirationParams: { creationRound: 100n } },
    { faceValue: 1n, expirationParams: { creationRound: 99n } },
  ]
  assert.deepEqual(
    tickets.toSorted(byUrgency).map((ticket) => tickets.indexOf(ticket)),
    [2, 1, 0],
  )
})

test('a revert’s reason decides what becomes of the ticket', () => {
  const reverts = {
    'execution reverted: ticket is used': 'used',
    'ticket is expired': 'expired',
    'ticket did not win': 'invalid',
    "ECDSA: invalid signature 's' value": 'invalid',
    'invalid signature over ticket hash': 'invalid',
    'sender deposit and reserve are zero': 'underfunded',
    'current round is not initialized': 'chain-refuses',
    'system is paused': 'chain-refuses',
    'ticket creationRound does not have a block hash': 'chain-refuses',
    'something new': 'chain-refuses',
  }
  for (const [reason, meaning] of Object.entries(reverts))
    assert.equal(meaningOfRevert(reason), meaning, reason)
})
