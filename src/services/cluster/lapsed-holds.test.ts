import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { LapsedHolds } from './lapsed-holds.ts'

test('what lapsed nodes set aside is freed while this node is in, but not right after an outage', async () => {
  const clock = new ManualClock()
  const start = clock.now()
  const members = { isIn: true }
  const freed: [atMs: number, graceMs: number][] = []
  let fails = false
  const holds = {
    freeLapsed: async (graceMs: number) => {
      if (fails) throw new Error('away')
      return freed.push([clock.now() - start, graceMs])
    },
  }
  await using supervisor = new Supervisor()
  await supervisor.start(new LapsedHolds({ members, holds, clock, log: silentLog }))
  await clock.wind(18_000)
  assert.deepEqual(freed, [
    [12_000, 6_000],
    [18_000, 6_000],
  ])
  members.isIn = false
  await clock.wind(60_000)
  members.isIn = true
  await clock.wind(11_000)
  assert.equal(freed.length, 2, 'the others may not have renewed their leases yet')
  await clock.wind(1_000)
  assert.equal(freed.length, 3)
  fails = true
  await clock.wind(6_000)
  fails = false
  await clock.wind(6_000)
  assert.equal(freed.length, 4, 'it is tried again')
})
