import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeMemberRecords } from '../../../test/fakes/member-records.ts'
import type { CauseCode } from '../../domain/cause-facts.ts'
import type { Causes } from '../../domain/causes.ts'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Members } from './members.ts'

const PORT = { fingerprint: Array(32).fill('AB').join(':') }
const WORK = { takesSegments: true, maxSessions: 10, sessions: 2, segments: 1 }
const [A, B] = ['a'.repeat(16), 'b'.repeat(16)]

/** A cluster on one clock; each node may have a clock of its own that is wrong by so much. */
function cluster() {
  const clock = new ManualClock()
  const records = new FakeMemberRecords(clock)
  let processes = 0
  const node = (id: string, { address = '10.0.0.5:8935', roles = ['orchestrator'], wrongByMs = 0 } = {}) => {
    const causes = new Map<CauseCode, unknown>()
    const noted: Causes = {
      met: ({ code, facts }) => void causes.set(code, facts),
      over: (code) => void causes.delete(code),
    }
    const supervisor = new Supervisor()
    const members = new Members(
      {
        ...{ node: id, account: '0xA', roles, version: '1' },
        address: async () => address,
      },
      {
        records,
        clock: { now: () => clock.now() + wrongByMs, sleep: (ms, signal) => clock.sleep(ms, signal) },
        ...{ dice: seededDice(`process ${processes++}`), log: silentLog, causes: noted },
        monotonic: () => clock.now(),
      },
    )
    return { members, causes, supervisor, start: () => supervisor.start(members) }
  }
  return { clock, records, node }
}

test('a member keeps its row while it runs, shows its work to its siblings, and gives the row back at its end', async () => {
  const { clock, node, records } = cluster()
  const [a, b] = [node(A), node(B, { address: '10.0.0.6:8935' })]
  await a.start()
  await b.start()
  assert.deepEqual(
    b.members.siblings.map(({ work }) => work.takesSegments),
    [false],
  )
  await a.members.open(PORT, () => WORK)
  for (let n = 0; n < 30; n++) {
    await clock.wind(2_000)
    assert.equal(a.members.isIn && b.members.isIn, true)
  }
  const [sibling, ...others] = b.members.siblings
  assert.deepEqual(others, [])
  assert.deepEqual([sibling?.node, sibling?.fingerprint, sibling?.work], [A, PORT.fingerprint, WORK])
  assert.equal(b.members.all.length, 2)
  await a.supervisor.stop()
  assert.deepEqual([...records.rows.keys()], [B])
  await clock.wind(2_000)
  assert.deepEqual(b.members.siblings, [])
  await b.supervisor.stop()
})

test('a node counts itself out before its siblings do, whether the database fails or hangs, and says so', async () => {
  for (const reach of [
    () => Promise.reject(new Error('connection refused')),
    () => new Promise<void>(() => {}),
  ]) {
    const { clock, node, records } = cluster()
    const [a, b] = [node(A), node(B)]
    await a.start()
    await b.start()
    await clock.wind(2_000)
    records.reach = reach
    for (let waited = 0; waited < 6_000; waited += 500) {
      assert.equal(a.members.isIn, true, `after ${waited} ms`)
      await clock.wind(500)
    }
    assert.equal(a.members.isIn, false)
    assert.ok(records.rows.get(A)!.leaseEnd >= clock.now(), 'others do not count it out earlier')
    await clock.wind(1_000)
    assert.deepEqual(
      b.members.siblings.map(({ node }) => node),
      [A],
      'the store says nothing about its siblings then',
    )
    const { silentMs, reason } = a.causes.get('membership-lapsed') as { silentMs: number; reason: string }
    assert.ok(silentMs >= 6_000 && silentMs <= 7_000, `${silentMs}`)
    assert.match(reason, /connection refused|it does not answer/)
  }
})

test('siblings see what a node leads, and a node says so if one of them has its account in another role', async () => {
  const { clock, node } = cluster()
  const [redeemer, reward] = [
    node(A, { roles: ['redeemer'] }),
    node(B, { address: '10.0.0.6:7935', roles: ['reward'] }),
  ]
  for (const { start } of [redeemer, reward]) await start()
  redeemer.members.showLeads(() => [{ duty: 'redeem', forMs: clock.now() }])
  await clock.wind(2_000)
  const [sibling] = reward.members.siblings
  assert.deepEqual(sibling?.leads, [{ duty: 'redeem', forMs: clock.now() }])
  assert.equal(redeemer.members.siblings[0]?.leads, undefined)
  assert.deepEqual(redeemer.causes.get('account-in-two-roles'), {
    ...{ account: '0xA', roles: ['redeemer'], sibling: '10.0.0.6:7935', others: ['reward'] },
  })
  assert.equal(reward.causes.has('account-in-two-roles'), true)
  await reward.supervisor.stop()
  await clock.wind(2_000)
  assert.equal(redeemer.causes.has('account-in-two-roles'), false)
  await redeemer.supervisor.stop()
})

test('a node that has the database again is a member again', async () => {
  const { clock, node, records } = cluster()
  const a = node(A)
  await a.start()
  records.reach = () => Promise.reject(new Error('connection refused'))
  await clock.wind(20_000)
  assert.equal(a.members.isIn, false)
  assert.equal(a.causes.has('membership-lapsed'), true)
  records.reach = async () => {}
  await clock.wind(2_000)
  assert.equal(a.members.isIn, true)
  assert.equal(a.causes.has('membership-lapsed'), false)
  await a.supervisor.stop()
})

test('an answer of the database that took long does not take the place of a later one', async () => {
  const { clock, node, records } = cluster()
  const [a, b] = [node(A), node(B, { address: '10.0.0.6:8935' })]
  await a.start()
  await b.start()
  const late = Promise.withResolvers<void>()
  records.reach = () => late.promise
  const looked = a.members.look()
  records.reach = async () => {}
  await clock.wind(5_000)
  late.resolve()
  await looked
  const [sibling] = a.members.siblings
  assert.equal(sibling?.node, B)
  assert.ok(sibling!.leftMs >= 2_000, `${sibling!.leftMs} ms of its lease are left`)
  await a.supervisor.stop()
  await b.supervisor.stop()
})

test('a restart at the same address takes its place at once, and the process before it stops', async () => {
  const { clock, node, records } = cluster()
  const [before, after] = [node(A), node(A)]
  await before.start()
  await after.start()
  assert.equal(records.rows.get(A)?.instance, after.members.instance)
  const failed = assert.rejects(before.supervisor.failed, {
    code: 'taken-over',
    message: `another process at 10.0.0.5:8935 has taken the place of this node, ${A}, in the cluster, so this one stops`,
  })
  await clock.wind(2_000)
  await failed
  assert.equal(before.members.isIn, false)
  await before.supervisor.stop()
  assert.equal(records.rows.get(A)?.instance, after.members.instance, 'its end takes nothing from the other')
  await after.supervisor.stop()
})

test('a node with the id of a living one at another address is refused, and the living one goes on', async () => {
  const { clock, node } = cluster()
  const [first, copy] = [node(A), node(A, { address: '10.0.0.6:8935' })]
  await first.start()
  const refused = assert.rejects(copy.start(), {
    code: 'node-id-in-use',
    message: `the node id ${A} of this data folder belongs to a running node at 10.0.0.5:8935: give each node its own -dataDir, or remove the file node-id from a copied one`,
  })
  await clock.wind(3_000)
  await refused
  assert.equal(first.members.isIn, true)
  await first.supervisor.stop()
})

test('a node that moved to another address waits for the lease of its dead process, and no longer', async () => {
  const { clock, node, records } = cluster()
  const [dead, moved] = [node(A), node(A, { address: '10.0.0.6:8935' })]
  await dead.start()
  records.reach = () => Promise.reject(new Error('killed'))
  await dead.supervisor.stop()
  records.reach = async () => {}
  let hasStarted = false
  const started = moved.start().then(() => {
    hasStarted = true
  })
  await clock.wind(5_000)
  assert.equal(hasStarted, false)
  await clock.wind(1_500)
  await started
  assert.equal(records.rows.get(A)?.address, '10.0.0.6:8935')
  await moved.supervisor.stop()
})

test('a clock that differs from the database’s by more than 2 s is told, and siblings still agree on the time', async () => {
  const { clock, node } = cluster()
  const [right, fast, slow] = [
    node(A),
    node(B, { wrongByMs: 5_000 }),
    node('c'.repeat(16), { wrongByMs: -1_900 }),
  ]
  for (const { start } of [right, fast, slow]) await start()
  assert.deepEqual(
    [right, fast, slow].map(({ causes }) => causes.has('clock-differs')),
    [false, true, false],
  )
  assert.deepEqual(fast.causes.get('clock-differs'), { aheadMs: -5_000 })
  for (const { members } of [right, fast, slow]) assert.equal(members.nowMs, clock.now())
  assert.equal(fast.members.isIn, true)
  for (const { supervisor } of [right, fast, slow]) await supervisor.stop()
})
