import assert from 'node:assert/strict'
import { test } from 'node:test'
import { read } from './figures.ts'
import { REWARDS, rewardRows, rewardsByRound } from './rewards.ts'

test('rewards are shown by round, with those that were not called', () => {
  const called = { rewardLptu: `${25n * 10n ** 17n}`, feeWei: '21000', txHash: '0xaa', atMs: 5 }
  const missed = { rewardLptu: null, feeWei: null, txHash: null, atMs: 5 }
  const sent = {
    rounds: [
      { round: '4000', ...called },
      { round: '3999', ...missed },
    ],
  }
  const figures = read(REWARDS, { httpStatus: 200, body: JSON.stringify(sent) })
  assert.ok('value' in figures)
  assert.deepEqual(rewardRows(figures.value), [
    { round: '4000', wasCalled: true, reward: '2.5 LPT', gas: '21000 wei', txHash: '0xaa' },
    { round: '3999', wasCalled: false, reward: 'not called', gas: '', txHash: '' },
  ])
  assert.deepEqual(rewardsByRound(figures.value), {
    places: [3999, 4000],
    lines: [{ label: 'reward', values: [0, 2.5] }],
  })
})
