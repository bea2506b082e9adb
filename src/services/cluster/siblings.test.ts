import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeMemberRecords } from '../../../test/fakes/member-records.ts'
import { NO_WORK } from '../../domain/member.ts'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Members } from './members.ts'
import { Siblings } from './siblings.ts'

const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(16)) as [string, string, string]
const FINGERPRINT = Array(32).fill('AB').join(':')

test('what a node that has just joined holds is found, and ids that nobody has cost one reading a second', async () => {
  const clock = new ManualClock()
  const records = new FakeMemberRecords(clock)
  const env = { clock, dice: seededDice('siblings'), log: silentLog, monotonic: () => clock.now() }
  const members = new Members(
    {
      ...{ node: A, account: '', roles: ['orchestrator'], version: '1' },
      address: async () => '10.0.0.5:8935',
    },
    { ...env, records },
  )
  await using supervisor = new Supervisor()
  await supervisor.start(members)
  const calls = { end: async () => {}, askToLook: async () => null }
  const siblings = new Siblings({ ...env, members, calls })
  let readings = 0
  records.reach = async () => void readings++
  const joins = (node: string) =>
    records.rows.set(node, {
      ...{ node, instance: node, account: '', roles: ['orchestrator'], version: '1', work: NO_WORK },
      ...{ address: '10.0.0.6:8935', fingerprint: FINGERPRINT, leaseEnd: clock.now() + 6_000 },
    })
  joins(B)
  assert.equal((await siblings.holder(B))?.node, B)
  assert.equal(readings, 1)
  assert.equal((await siblings.holder(B))?.node, B)
  joins(C)
  const answers = await Promise.all(['1', '2', '3'].map((digit) => siblings.holder(digit.repeat(16))))
  assert.deepEqual(answers, [null, null, null])
  assert.equal(await siblings.holder(A), null, 'itself')
  assert.equal(readings, 1)
  assert.equal(await siblings.holder(C), null)
  await clock.wind(1_000)
  assert.equal((await siblings.holder(C))?.node, C)
  siblings.failed((await siblings.holder(B))!, new Error('rubbish'))
  assert.equal(siblings.callable(B), null)
  const left = (await siblings.holder(B))!
  assert.equal(left.node, B, 'it is left out, but holds what it holds')
  await clock.wind(200)
  assert.equal(await siblings.anew(left), null, 'the same process')
  records.rows.set(B, { ...records.rows.get(B)!, instance: 'another' })
  assert.equal(await siblings.anew(left), null, 'read five times a second')
  await clock.wind(200)
  assert.equal((await siblings.anew(left))?.instance, 'another')
  assert.equal((await siblings.anew(left))?.instance, 'another')
})
