import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChaos } from './chaos.ts'

const FAULTS = Number(process.env.CHAOS ?? 6)
const SEED = process.env.CHAOS_SEED ?? 'chaos'
const logFolder = process.env.CHAOS_LOGS

test(`no ticket is lost, no reward missed and no stream dropped in ${FAULTS} kills and cuts of an operator’s whole setup`, async (t) => {
  const report = await runChaos({
    ...{ faults: FAULTS, seed: SEED, say: (line) => t.diagnostic(line) },
    ...(logFolder ? { logFolder } : {}),
  })
  t.diagnostic(JSON.stringify(report, (_, value) => (typeof value === 'bigint' ? value.toString() : value)))
  assert.deepEqual(report.crashes, [])
  assert.ok(report.accepted >= FAULTS, `${report.accepted} tickets were accepted: too few to prove anything`)
  // A ticket may be recorded although its answer was lost, but never the other way round.
  assert.ok(report.redeemed + report.pending >= report.accepted, 'accepted tickets are lost')
  assert.deepEqual(
    {
      lost: report.lost,
      refused: report.refused,
      redeemedTwice: report.redeemedTwice,
      shortPaid: report.shortPaid,
    },
    { lost: 0, refused: 0, redeemedTwice: 0, shortPaid: 0n },
  )
  assert.equal(report.rewards, report.rounds)
  const kills = Object.entries(report.faults).filter(([name]) => /^orchestrator.*killed/.test(name))
  const inFlight = kills.reduce((sum, [, count]) => sum + count, 0)
  assert.ok(
    report.segmentsFailed <= inFlight,
    `${report.segmentsFailed} segments failed at ${inFlight} kills: ${JSON.stringify(report.failures)}`,
  )
})
