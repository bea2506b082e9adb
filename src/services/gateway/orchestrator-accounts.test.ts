import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { OrchestratorAccounts } from './orchestrator-accounts.ts'

function setUp() {
  const clock = new ManualClock(0)
  const warnings: [string, object][] = []
  const log: Log = { ...silentLog, warn: (message, fields = {}) => void warnings.push([message, fields]) }
  const accounts = new OrchestratorAccounts({ clock, log })
  /** A payment of 10 wei for nothing, so often. */
  const lose = (orchestrator: string, times: number) => {
    for (let i = 0; i < times; i++) accounts.settle(orchestrator, { earned: 0n, lost: 10n })
  }
  return { accounts, clock, lose, warnings }
}

test('an orchestrator that takes more than twice its price is left out for a while, and named', async () => {
  const { accounts, clock, lose, warnings } = setUp()
  accounts.settle('a', { earned: 100n, lost: 0n })
  lose('a', 10)
  assert.equal(accounts.isLeftOut('a'), false)
  assert.deepEqual(accounts.overpaid, [])
  lose('a', 1)
  assert.equal(accounts.isLeftOut('a'), true)
  assert.equal(accounts.isLeftOut('b'), false)
  const ban = { orchestrator: 'a', chargedWei: 210n, earnedWei: 100n, untilMs: 5_000, times: 1 }
  assert.deepEqual(accounts.overpaid, [ban])
  const fields = { orchestrator: 'a', chargedWei: 210n, earnedWei: 100n, forMs: 5_000 }
  assert.deepEqual(warnings, [['orchestrator suspended: paid more than twice its price', fields]])
  await clock.wind(5_000)
  assert.equal(accounts.isLeftOut('a'), false)
  assert.deepEqual(accounts.overpaid, [ban], 'it is still named')
  await clock.wind(60 * 60_000 + 1)
  assert.deepEqual(accounts.overpaid, [])
})

test('it begins anew, and the next ban is twice as long; a day later it counts as one that never had any', async () => {
  const { accounts, clock, lose } = setUp()
  const untilMs = () => accounts.overpaid[0]!.untilMs - clock.now()
  lose('a', 9)
  assert.equal(untilMs(), 5_000)
  await clock.wind(5_000)
  lose('a', 8)
  assert.equal(accounts.isLeftOut('a'), false)
  lose('a', 1)
  assert.equal(untilMs(), 10_000)
  await clock.wind(10_000 + 24 * 60 * 60_000 + 1)
  lose('a', 9)
  assert.equal(untilMs(), 5_000)
})

test('what is still on its way when it is left out lengthens nothing', async () => {
  const { accounts, clock, lose, warnings } = setUp()
  lose('a', 60)
  assert.equal(warnings.length, 1)
  assert.equal(accounts.overpaid[0]!.untilMs, 5_000)
  await clock.wind(5_000)
  lose('a', 1)
  assert.equal(accounts.isLeftOut('a'), false)
})

test('a limited number of orchestrators is remembered', () => {
  const { accounts, lose } = setUp()
  lose('first', 9)
  for (let i = 0; i < 10_000; i++) accounts.settle(`o${i}`, { earned: 1n, lost: 0n })
  assert.equal(accounts.isLeftOut('first'), false)
})
