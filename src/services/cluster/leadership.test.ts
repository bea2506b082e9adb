import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { FakeLeases } from '../../../test/fakes/leases.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Leadership } from './leadership.ts'

function world(t: TestContext) {
  const clock = new ManualClock()
  const leases = new FakeLeases(clock)
  const supervisors: Supervisor[] = []
  t.after(() => Promise.all(supervisors.map((supervisor) => supervisor.stop())))
  const join = async (instance: string, rank: () => number | null = () => 1, isHeld = true) => {
    const supervisor = new Supervisor()
    supervisors.push(supervisor)
    const leadership = new Leadership(
      { lease: 'redeem', instance, node: instance, rank },
      { leases, session: { isHeld }, clock, log: silentLog, monotonic: () => clock.now() },
    )
    const told: (bigint | null)[] = []
    leadership.onChange(() => told.push(leadership.epoch), new AbortController().signal)
    await supervisor.start(leadership)
    await clock.wind(0)
    return { leadership, told, stop: () => supervisor.stop() }
  }
  return { clock, leases, join }
}

test('the first leads and goes on leading; the next one leads once it has stopped', async (t) => {
  const w = world(t)
  const a = await w.join('a')
  const b = await w.join('b')
  await w.clock.wind(60_000)
  assert.deepEqual([a.leadership.epoch, b.leadership.epoch], [1n, null])
  assert.deepEqual([a.leadership.holder?.node, b.leadership.holder?.node], ['a', 'a'])
  await a.stop()
  assert.equal(a.leadership.epoch, null)
  await w.clock.wind(1_000)
  assert.equal(b.leadership.epoch, 2n)
  assert.deepEqual([a.told, b.told], [[1n, null], [2n]])
})

test('a leader that the store does not answer ends before another one may begin', async (t) => {
  for (const mood of ['away', 'held'] as const) {
    const w = world(t)
    const a = await w.join('a')
    w.leases.mood = mood
    await w.clock.wind(3_000)
    assert.equal(a.leadership.epoch, 1n, mood)
    await w.clock.wind(3_001)
    assert.equal(a.leadership.epoch, null, mood)
    assert.deepEqual(a.told, [1n, null], mood)
    w.leases.answer()
    await w.clock.wind(2_000)
    assert.equal(a.leadership.epoch, 1n, 'nobody else led meanwhile')
  }
})

test('an answer that comes too late does not make a leader', async (t) => {
  const w = world(t)
  w.leases.mood = 'held'
  const a = await w.join('a')
  await w.clock.wind(6_500)
  w.leases.answer()
  await w.clock.wind(0)
  assert.deepEqual(a.told, [])
  await w.clock.wind(1_000)
  assert.deepEqual(a.told, [1n])
})

test('a leader whose process is gone is followed within a second, another one once its lease has run out', async (t) => {
  for (const [isWatched, ms] of [
    [true, 1_000],
    [false, 7_000],
  ] as const) {
    const w = world(t)
    let isPaused = false
    await w.join(
      'a',
      () => {
        if (isPaused) throw new Error('a paused process asks nothing')
        return 1
      },
      isWatched,
    )
    const b = await w.join('b')
    await w.clock.wind(10_000)
    isPaused = true
    w.leases.die('a')
    if (!isWatched) {
      await w.clock.wind(3_000)
      assert.equal(b.leadership.epoch, null)
    }
    await w.clock.wind(ms)
    assert.equal(b.leadership.epoch, 2n)
  }
})

test('a refused write ends leadership at once; one of an earlier time says nothing', async (t) => {
  const w = world(t)
  const a = await w.join('a')
  a.leadership.lost(7n)
  assert.equal(a.leadership.epoch, 1n)
  a.leadership.lost(1n)
  assert.equal(a.leadership.epoch, null)
  assert.deepEqual(a.told, [1n, null])
})

test('a process that no longer wants to lead gives the lease back; a higher rank takes it', async (t) => {
  const w = world(t)
  let rank: number | null = 1
  const a = await w.join('a', () => rank)
  const b = await w.join('b', () => 1)
  rank = null
  a.leadership.look()
  await w.clock.wind(1_000)
  assert.deepEqual([a.leadership.epoch, b.leadership.epoch], [null, 2n])
  rank = 2
  await w.clock.wind(2_000)
  assert.deepEqual([a.leadership.epoch, b.leadership.epoch], [3n, null])
})
