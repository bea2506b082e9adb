import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingLog } from '../../test/fakes/recording-log.ts'
import { Store } from '../io/store/store.ts'
import { ManualClock, settle } from '../lib/clock.ts'
import { seededDice } from '../lib/dice.ts'
import { silentLog } from '../lib/log.ts'
import { RewardHistory } from './reward-history.ts'

test('rewards are kept by round, missed rounds too, in bounds, and what was called stays called', async (t) => {
  const clock = new ManualClock(5_000)
  const store = new Store({ location: ':memory:' }, { dice: seededDice('rewards'), log: silentLog })
  await store.open()
  t.after(() => store.close())
  const history = new RewardHistory({ records: store.records, clock, log: silentLog })
  const called = (round: bigint, reward: bigint) =>
    history.hear({ kind: 'reward-called', round, reward, fee: 7n, txHash: '0xaa' })
  called(10n, 3n)
  called(12n, 4n)
  history.hear({ kind: 'rewards-missed', first: 11n, last: 12n })
  history.hear({ kind: 'round-begun', round: 13n })
  await settle()
  await store.records.addMissedRewards({ first: 1n, last: 0n, atMs: 0 })
  const kept = { fee: 7n, txHash: '0xaa', atMs: 5_000 }
  assert.deepEqual(await store.records.lastRewards(10), [
    { round: 12n, reward: 4n, ...kept },
    { round: 11n, reward: null, fee: null, txHash: null, atMs: 5_000 },
    { round: 10n, reward: 3n, ...kept },
  ])
  called(11n, 5n)
  await settle()
  const rewards = await store.records.lastRewards(2)
  assert.deepEqual(
    rewards.map(({ reward, round }) => [round, reward]),
    [
      [12n, 4n],
      [11n, 5n],
    ],
    'a reward that was seen late counts',
  )
  await store.records.addMissedRewards({ first: 1_000n, last: 1_000_000n, atMs: 0 })
  assert.equal((await store.records.lastRewards(1_000)).length, 103)
})

test('a reward that cannot be kept harms nobody', async () => {
  const log = new RecordingLog()
  const full = async () => Promise.reject(new Error('the disk is full'))
  const records = { addReward: full, addMissedRewards: full }
  const history = new RewardHistory({ records, clock: new ManualClock(), log })
  history.hear({ kind: 'reward-called', round: 1n, reward: 1n, fee: 1n, txHash: '0xaa' })
  await settle()
  assert.deepEqual(log.of('debug'), ['reward not kept for the history'])
})
