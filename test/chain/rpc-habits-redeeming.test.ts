import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ticketHash } from '../../src/domain/ticket.ts'
import { FastClock } from '../fakes/fast-clock.ts'
import { RecordingLog } from '../fakes/recording-log.ts'
import { eventually } from '../tools/until.ts'
import { type ChainFixture, startChain } from './fixture.ts'
import { registerRecipient, startRedeeming, transactionsOf, winners } from './redeeming.ts'
import { HABITS, type Habit, startHabits } from './rpc-habits.ts'

const TICKETS = 12
/** Time passes faster for the node, and for providers that count by the second. */
const SPEED = 4
const BLOCK_MS = 200
const PATIENCE_MS = 120_000

let chain: ChainFixture

const stop = new AbortController()
let mining: Promise<void>

before(async () => {
  chain = await startChain({ parameters: { roundLength: 1_000n } })
  await registerRecipient(chain)
  await chain.anvil.mineOnDemand()
  // Blocks come fast, because a redemption is confirmed a dozen blocks later.
  mining = (async () => {
    for (; !stop.signal.aborted; await sleep(BLOCK_MS)) await chain.anvil.mine()
  })()
})
after(async () => {
  stop.abort()
  await mining
  await chain[Symbol.asyncDispose]()
})

/** Provider behaviours, and how many requests redeeming all tickets takes at most with each. */
const ROWS: readonly (readonly [Habit, number])[] = [
  [HABITS.none, 150],
  [HABITS.rateRetryAfter, 300],
  [HABITS.rateJson429, 300],
  [HABITS.rateJson200, 300],
  [HABITS.credits200, 300],
  [HABITS.credits429, 300],
  [HABITS.headerNotFound, 300],
  [HABITS.trieNode, 300],
  [HABITS.json503, 300],
  [HABITS.json500Revert, 300],
  [HABITS.html502, 300],
  [HABITS.unknownWords, 300],
  [HABITS.lostAnswers, 300],
  [HABITS.cutAfterTaking, 300],
  [HABITS.clockAhead, 150],
  [HABITS.ranges100, 150],
  [HABITS.rangesUnknownWords, 150],
  [HABITS.rangesOfOne, 300],
  [HABITS.ranges400, 150],
  [HABITS.batchHttp400, 150],
  [HABITS.batchOneError, 150],
  [HABITS.batchItemErrors, 150],
  [HABITS.noCallsWithoutTarget, 300],
  [HABITS.saysUsed, 300],
  [HABITS.saysLaterRound, 300],
  [HABITS.saysLaterInitialized, 300],
  [HABITS.falseNonceTooLow, 300],
  [HABITS.laggingReplicas, 300],
]

/** Redeems tickets behind a behaviour; returns the number of requests and of transactions. */
async function redeemAll(
  habit: Habit,
  others: readonly string[] = [],
): Promise<{ requests: number; transactions: number }> {
  const clock = new FastClock(SPEED)
  const name = `${habit.name}, ${others.length}`
  const tickets = await winners(chain, { name: `sender, ${name}`, count: TICKETS })
  await using shim = await startHabits(chain.anvil.url, [habit], { now: () => clock.now() })
  const from = await chain.client.blockNumber()
  const log = new RecordingLog()
  await using redeeming = await startRedeeming(chain, {
    ...{ name: `redeemer, ${name}`, urls: [shim.url, ...others], clock, log, pollMs: 2_000 },
  })
  const asked = shim.requests
  await Promise.all(tickets.map((ticket) => redeeming.redeemer.queue(ticket)))
  await eventually('settled', () => redeeming.redeemer.openTickets === 0, PATIENCE_MS)
  const requests = shim.requests - asked
  assert.deepEqual(redeeming.happened, Array(TICKETS).fill('redeemed'))
  const used = await Promise.all(tickets.map((ticket) => chain.client.isTicketUsed(ticketHash(ticket))))
  assert.deepEqual(used, Array(TICKETS).fill(true))
  const paid = (await redeeming.store.countTickets()).reduce((sum, row) => sum + row.paid, 0n)
  assert.equal(paid, (await chain.protocol.redemptions(tickets[0]!.sender)).paid)
  const { count, failed } = await transactionsOf(chain, redeeming.account, from)
  assert.equal(failed, 0)
  assert.deepEqual(log.of('error'), [])
  return { requests, transactions: count }
}

// Side by side, since most of a row's time is spent waiting for blocks.
describe('every won ticket is redeemed and nothing reverted', { concurrency: 6 }, () => {
  for (const [habit, most] of ROWS) {
    test(habit.name, async (t) => {
      const { requests, transactions } = await redeemAll(habit)
      t.diagnostic(`${requests} requests, ${transactions} transactions`)
      assert.ok(requests <= most, `${requests} requests`)
    })
  }

  for (const habit of [HABITS.neverWithinLimits, HABITS.clockAhead, HABITS.absurdFees]) {
    test(`the first of three endpoints: ${habit.name}`, async () => {
      // Three, because what only one endpoint reports is believed much later.
      await redeemAll(habit, [chain.anvil.url, chain.anvil.url.replace('127.0.0.1', 'localhost')])
    })
  }
})
