import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  byUrgency,
  costLimit,
  decideRedemption,
  expiryBlock,
  isExpired,
  isLastChance,
  isOver,
  isSurelyLastChance,
  leftToAnotherUntil,
  meaningOfRevert,
  paramsAreLive,
  type RedemptionFacts,
  roundClockAt,
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

test('a watchtower leaves a ticket to another redeemer until it has waited, or its deadline is as near', () => {
  // Expires in L1 block 62,000: after 11,000 blocks, which take 132,000 seconds.
  const ticket = { receivedAtMs: 1_000, creationRound: 100n }
  const left = (afterMs: number, nowMs: number, l1Block = 51_000n) =>
    leftToAnotherUntil(ticket, afterMs, { clock: { ...clock, l1Block }, nowMs })
  assert.equal(left(600_000, 1_000), 601_000)
  assert.equal(left(600_000, 600_999), 601_000)
  assert.equal(left(600_000, 601_000), null)
  // Written by a node whose clock is ahead.
  assert.equal(left(0, 0), null)
  assert.equal(left(600_000, 1_000, 61_949n), 601_000)
  assert.equal(left(600_000, 1_000, 61_950n), null)
  assert.equal(left(600_000, 1_000, 70_000n), null)
})

test('by a confirmed clock the last chance starts earlier, by as many blocks as the clock is behind', () => {
  assert.equal(isSurelyLastChance(99n, null), false)
  assert.equal(isSurelyLastChance(99n, { ...clock, l1Block: 55_887n }), false)
  assert.equal(isSurelyLastChance(99n, { ...clock, l1Block: 55_888n }), true)
})

test('a ticket is over some blocks after it expired, and only by a confirmed clock', () => {
  const at = (l1Block: bigint) => ({ ...clock, currentRound: 101n, startL1Block: 56_000n, l1Block })
  assert.equal(isOver(99n, null), false)
  assert.deepEqual(
    [56_000n, 56_002n, 56_003n].map((block) => isOver(99n, at(block))),
    [false, false, true],
  )
  assert.equal(isOver(100n, at(56_003n)), false)
})

test('rounds are computed from any block to any other, in both directions', () => {
  const known = { current: 100n, startL1Block: 50_000n, length: 6_000n }
  const cases: [bigint, bigint, bigint][] = [
    [50_000n, 100n, 50_000n],
    [55_999n, 100n, 50_000n],
    [56_000n, 101n, 56_000n],
    [49_999n, 99n, 44_000n],
    [44_000n, 99n, 44_000n],
    [43_999n, 98n, 38_000n],
  ]
  for (const [l1Block, currentRound, startL1Block] of cases) {
    assert.deepEqual(roundClockAt(known, l1Block), {
      ...{ currentRound, startL1Block, l1Block },
      roundLength: 6_000n,
    })
  }
  assert.equal(roundClockAt({ ...known, length: 0n }, 60_000n).currentRound, 100n)
})

test('gas may cost half of what a ticket pays, or all of it at the last chance', () => {
  assert.equal(costLimit({ pays: 101n, lastChance: false }), 50n)
  assert.equal(costLimit({ pays: 101n, lastChance: true }), 101n)
})

test('a ticket waits for its params to expire unless it would expire first', () => {
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
  ['costs half of what it pays', { cost: 50n }, 'redeem'],
  ['costs more than half of what it pays', { cost: 51n }, 'not-worth-gas'],
  ['costs nearly all it pays at the last chance', { cost: 99n, lastChance: true }, 'redeem'],
  ['costs all it pays', { cost: 100n }, 'not-worth-gas'],
  ['costs all it pays at the last chance', { cost: 100n, lastChance: true }, 'not-worth-gas'],
  ['with others in flight, funds cover all', { inFlight: 50n, funds: 150n }, 'redeem'],
  ['with others in flight, funds do not cover all', { inFlight: 50n, funds: 149n }, 'after-others'],
]
for (const [name, change, decision] of decisions) {
  test(`a ticket that ${name}: ${decision}`, () => {
    assert.equal(decideRedemption({ ...facts, ...change }), decision)
  })
}

test('the ticket that expires first is redeemed first, and then the one that pays most', () => {
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

test('the revert reason decides what happens to the ticket', () => {
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
