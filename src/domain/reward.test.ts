import assert from 'node:assert/strict'
import { test } from 'node:test'
import { callsLeft, expectedReward, missedRounds, type RewardFacts, rewardStand } from './reward.ts'

const FACTS: RewardFacts = {
  currentRound: 20n,
  roundInitialized: true,
  registered: true,
  active: true,
  activationRound: 5n,
  deactivationRound: 2n ** 256n - 1n,
  lastRewardRound: 19n,
}

const STANDS: [string, Partial<RewardFacts>, string][] = [
  ['active, not yet called', {}, 'due'],
  ['never called before', { lastRewardRound: 0n }, 'due'],
  ['called in this round', { lastRewardRound: 20n }, 'called'],
  ['round not initialised', { roundInitialized: false }, 'round-not-initialized'],
  ['not active yet', { active: false, activationRound: 21n }, 'not-active'],
  ['resigned, active until the end of the round', { registered: false, deactivationRound: 21n }, 'due'],
  ['resigned and called', { registered: false, lastRewardRound: 20n }, 'called'],
  ['unknown', { registered: false, active: false }, 'not-registered'],
]

for (const [situation, facts, stand] of STANDS) {
  test(`${situation}: ${stand}`, () => assert.equal(rewardStand({ ...FACTS, ...facts }), stand))
}

const MISSED: [string, Partial<RewardFacts>, bigint, [bigint, bigint] | null][] = [
  ['none while the round lasts', {}, 20n, null],
  ['the previous round', { lastRewardRound: 18n }, 19n, [19n, 19n]],
  ['several rounds', { lastRewardRound: 12n }, 15n, [15n, 19n]],
  ['only those after the last reward', { lastRewardRound: 17n }, 10n, [18n, 19n]],
  ['none before activation', { lastRewardRound: 0n, activationRound: 18n }, 10n, [18n, 19n]],
  ['none after deactivation', { lastRewardRound: 16n, deactivationRound: 18n }, 10n, [17n, 17n]],
  ['none if it was never active', { lastRewardRound: 0n, deactivationRound: 0n }, 10n, null],
]

for (const [claim, facts, from, rounds] of MISSED) {
  test(`missed rounds: ${claim}`, () => {
    const expected = rounds && { first: rounds[0], last: rounds[1] }
    assert.deepEqual(missedRounds({ ...FACTS, ...facts }, from), expected)
  })
}

test('a balance lasts for whole calls, or for an unknown number if the cost is unknown', () => {
  assert.equal(callsLeft(1_000n, 300n), 3n)
  assert.equal(callsLeft(299n, 300n), 0n)
  assert.equal(callsLeft(1_000n, 0n), null)
})

// The staking run of contracts.md §12.2.
test('the expected reward is what the contracts paid, less the treasury’s cut', () => {
  const first = {
    mintable: 1_502_192_150_000_000_000_000n,
    stake: 4_000n * 10n ** 18n,
    totalStake: 6_000n * 10n ** 18n,
    treasuryCut: 10n ** 26n,
  }
  assert.equal(expectedReward(first), 901_315_289_098_684_710_000n)
  assert.equal(expectedReward({ ...first, treasuryCut: 0n }), 1_001_461_432_331_871_900_000n)
  assert.equal(
    expectedReward({
      mintable: 1_505_834_321_515_113_011_818n,
      stake: 4_901_315_289_098_684_710_000n,
      totalStake: 6_901_315_289_098_684_710_000n,
      treasuryCut: 10n ** 26n,
    }),
    962_499_410_663_430_237_343n,
  )
  assert.equal(expectedReward({ ...first, totalStake: 0n }), 0n)
})
