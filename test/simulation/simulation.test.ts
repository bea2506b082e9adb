import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ticketHash } from '../../src/domain/ticket.ts'
import { formatHex } from '../../src/lib/bytes.ts'
import { memoryFolder } from '../tools/memory-folder.ts'
import { type Plan, type Report, ROUND, Simulation } from './simulation.ts'

const folder = mkdtempSync(join(memoryFolder(), 'livepeer-simulation-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let runs = 0

const LARGE: Omit<Plan, 'location'> = {
  seed: process.env.LIVEPEER_TEST_SEED ?? 'large',
  orchestrators: 2,
  steps: 300,
  ticketsPerPayment: 12,
  crashes: 0.15,
  outages: 0.02,
  reorganisations: 0.03,
  lostMessages: 0.05,
}

const SMALL: Omit<Plan, 'location'> = {
  ...LARGE,
  seed: 'small',
  orchestrators: 1,
  steps: 8,
  ticketsPerPayment: 2,
  crashes: 0,
  outages: 0,
  reorganisations: 0,
  lostMessages: 0,
}

const run = (plan: Omit<Plan, 'location'>) =>
  new Simulation({ ...plan, location: join(folder, `${runs++}.sqlite3`) }).run()

/** What must hold after any history. */
function check(report: Report): void {
  const rows = new Map(report.rows.map((row) => [row.hash, row]))
  const lost = [...report.acknowledgedWinners].filter((hash) => !rows.has(hash))
  assert.deepEqual(lost, [], 'every winning ticket that was acknowledged is on disk')
  const unfinished = report.rows.filter(({ state }) => state !== 'redeemed' && state !== 'refused')
  assert.deepEqual(unfinished, [], 'in the end every ticket is redeemed or refused')
  assert.deepEqual(
    report.rows.filter((row) => row.state === 'refused' && row.reason === 'expired' && row.couldBeRedeemed),
    [],
    'nothing that could be redeemed expires',
  )
  assert.deepEqual(
    report.rows.filter(({ state, reason }) => state === 'refused' && reason === ''),
    [],
    'nothing is refused without a reason',
  )
  for (const { hash, paid, state } of report.rows) {
    const payments = report.chain.redemptions.get(hash) ?? []
    assert.equal(payments.length, state === 'redeemed' ? 1 : 0, `${hash} is ${state}`)
    if (paid !== null) assert.equal(paid, payments[0])
  }
  assert.ok(!report.chain.reverts.includes('ticket is used'), 'no ticket is sent twice')
  for (const { ticket, l1Block } of report.chain.shortPayments) {
    const expiry = 1_000n + (ticket.expirationParams.creationRound - 10n + 2n) * ROUND
    assert.ok(l1Block >= expiry - ROUND / 3n, `${formatHex(ticketHash(ticket))} was paid short at ${l1Block}`)
  }
  for (const { found, least, most } of report.credit) {
    assert.ok(found.cmp(least) >= 0, `credit was lost: ${found} is left of at least ${least}`)
    assert.ok(found.cmp(most) <= 0, `credit was invented: ${found} is more than ${most}`)
  }
}

test('thousands of tickets with crashes, outages and reorganisations: none lost, none redeemed twice', async (t) => {
  const report = await run(LARGE)
  check(report)
  const count = (state: string) => report.rows.filter((row) => row.state === state).length
  assert.ok(report.tickets > 2_000, `${report.tickets} tickets`)
  assert.ok(report.crashes > 15, `${report.crashes} crashes`)
  assert.ok(count('redeemed') > 200)
  t.diagnostic(
    `${report.tickets} tickets, ${report.rows.length} won: ${count('redeemed')} redeemed, ${count('refused')} refused; ` +
      `${report.crashes} crashes in ${report.awaits} awaits, ${report.chain.reverts.length} reverts`,
  )
})

test('the same seed gives the same history', async () => {
  const plan = { ...LARGE, seed: 'twice', steps: 50 }
  const [first, second] = [await run(plan), await run(plan)]
  assert.deepEqual(first.trace, second.trace)
  assert.deepEqual(first.rows, second.rows)
  assert.ok(first.trace.length > 100)
})

test('a crash at any single await loses nothing', async (t) => {
  const calm = await run(SMALL)
  check(calm)
  const last = calm.trace.findIndex((line) => line.endsWith('calm'))
  assert.ok(last > 0)
  let crashAt = 1
  for (; ; crashAt++) {
    const report = await run({ ...SMALL, crashAt })
    if (report.crashes === 0) break
    check(report)
  }
  assert.ok(crashAt > 100)
  t.diagnostic(`${crashAt - 1} awaits`)
})
