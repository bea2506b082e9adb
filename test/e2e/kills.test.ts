import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runKills } from './kills.ts'

const FAULTS = Number(process.env.KILLS ?? 5)
const SEED = process.env.KILLS_SEED ?? 'kills'

test(`no accepted ticket is lost in ${FAULTS} kills of the orchestrator and cuts of its line to the chain`, async (t) => {
  const report = await runKills({ faults: FAULTS, seed: SEED, say: (line) => t.diagnostic(line) })
  t.diagnostic(JSON.stringify(report, (_, value) => (typeof value === 'bigint' ? value.toString() : value)))
  assert.equal(report.kills + report.cuts, FAULTS)
  assert.ok(report.kills > 0 && report.cuts > 0)
  assert.ok(report.accepted >= FAULTS, `${report.accepted} tickets were accepted: too few to prove anything`)
  // A ticket may be recorded although its answer was lost, but never the other way round.
  assert.ok(
    report.redeemed + report.open >= report.accepted,
    `${report.accepted - report.redeemed - report.open} lost`,
  )
  assert.equal(report.won, report.redeemed + report.open + report.refused)
  assert.equal(report.refused, 0)
  assert.equal(report.redeemedTwice, 0)
  assert.equal(report.creditLost, 0)
  assert.equal(report.shortPaid, 0n)
})
