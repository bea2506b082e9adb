import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rational } from '../../src/lib/rational.ts'
import { GRACE } from './store-nodes.ts'
import { type StoreReport, StoreSimulation } from './store-simulation.ts'

// Nothing that is thrown on purpose needs to say where.
Error.stackTraceLimit = 0

/** STORE_ROUNDS changes it. */
const ROUNDS = Number(process.env.STORE_ROUNDS ?? 100)
/** Rounds of one history; each has a seed of its own. */
const HISTORY = 50
const SEED = process.env.LIVEPEER_TEST_SEED ?? 'store'
/** The first round of the reward chain. */
const FIRST_ROUND = 100n

/** What must hold after any history. Gives what the hostile gateway owes. */
function check(report: StoreReport): Rational {
  const { acknowledged, chain, charged, counts, hostile, model, rewards, violations, worth } = report
  assert.deepEqual(violations, [])

  // Payments: what a gateway was told is in the store, and each nonce counts once.
  // One that a node took while it did not reach the store is void if its number was revealed before the store had it.
  const lost = acknowledged.nonces.filter(
    ([rand, nonce]) => !model.nonces.get(rand)?.has(nonce) && !model.revealed.has(rand),
  )
  assert.deepEqual(lost, [], 'no payment that was taken is lost')
  const recorded = [...model.nonces].reduce((sum, [, used]) => sum + used.size, 0)
  const credited = [...model.credited.values()].reduce((sum, each) => sum.add(each), Rational.zero)
  assert.equal(credited.cmp(worth.mul(Rational.of(BigInt(recorded)))), 0, 'each nonce is credited once')

  // Charges: what a node knows to be taken is, and none is taken twice.
  for (const [sender, { known, unknown }] of charged) {
    const taken = model.charged.get(sender) ?? Rational.zero
    assert.ok(taken.cmp(known) >= 0 && taken.cmp(known.add(unknown)) <= 0, `${sender}: ${taken} of ${known}`)
  }

  // Tickets: none is lost, none redeemed twice.
  const missing = [...acknowledged.winners].filter((hash) => !model.tickets.has(hash))
  assert.deepEqual(missing, [], 'no winning ticket is lost')
  const states = Map.groupBy(model.tickets.values(), ({ state }) => state.kind)
  assert.deepEqual([...states.keys()], ['redeemed'], 'all are redeemed')
  for (const [hash] of model.tickets) {
    assert.equal(chain.redemptions.get(hash)?.length, 1, `${hash} is redeemed once`)
  }
  assert.deepEqual(chain.reverts, [], 'nothing is sent twice')
  const spent = [...model.transactions.values()]
  assert.equal(new Set(spent).size, spent.length, 'no ticket is sent under two nonces')

  // Rewards.
  const rewarded = [...rewards.receipts.values()].map(({ round, success }) => (success ? round : -1n))
  const rounds = Array.from(
    { length: Number(rewards.round - FIRST_ROUND) },
    (_, i) => FIRST_ROUND + BigInt(i),
  )
  assert.deepEqual(
    rounds.filter((round) => rewarded.filter((each) => each === round).length !== 1),
    [],
    'one reward in each round',
  )
  assert.ok(!rewarded.includes(-1n), 'no call of reward fails')

  // The hostile gateway.
  const paid = model.credited.get(hostile) ?? Rational.zero
  const owes = (model.charged.get(hostile) ?? Rational.zero).sub(paid)
  const most = Rational.of(GRACE.valueWei).mul(Rational.of(BigInt(counts.away ?? 0)))
  assert.ok(owes.cmp(most) <= 0, `it owes ${owes} wei`)
  return owes
}

test(`${ROUNDS} rounds of a cluster on one store, cut off, paused and killed: no payment, charge, ticket or reward lost or counted twice`, async (t) => {
  const sums: Record<string, number> = {}
  let redeemed = 0
  let rounds = 0
  for (let history = 0; rounds < ROUNDS; history++) {
    const length = Math.min(HISTORY, ROUNDS - rounds)
    const report = await new StoreSimulation({ seed: `${SEED} ${history}`, rounds: length }).run()
    try {
      check(report)
    } catch (error) {
      t.diagnostic(`seed ${SEED} ${history}`)
      throw error
    }
    rounds += length
    redeemed += report.model.tickets.size
    for (const [what, count] of Object.entries(report.counts)) sums[what] = (sums[what] ?? 0) + count
  }
  const { user, system } = process.cpuUsage()
  const cpuSeconds = Math.round((user + system) / 1e6)
  t.diagnostic(JSON.stringify({ rounds, redeemed, ...sums, cpuSeconds }))
  const happened = (what: string, perRound: number) =>
    assert.ok((sums[what] ?? 0) > rounds * perRound, `${what}: ${sums[what]}`)
  happened('segments', 5)
  happened('away', 0.5)
  happened('pauses', 1)
  happened('deaths', 1)
  happened('terms', 0.5)
  happened('fenced', 0.05)
  happened('shown to all', 0.1)
  happened('shown twice', 0.02)
  assert.ok(redeemed > rounds / 2)
})

test('the same seed gives the same history of a cluster on one store', async () => {
  const run = (seed: string) => new StoreSimulation({ seed, rounds: 8 }).run()
  const [first, second, another] = [await run('twice'), await run('twice'), await run('another')]
  assert.deepEqual(second.trace, first.trace)
  const tickets = ({ model }: StoreReport) =>
    [...model.tickets].map(([hash, { state }]) => `${hash} ${JSON.stringify(state, (_, v) => String(v))}`)
  assert.deepEqual(tickets(second), tickets(first))
  assert.notDeepEqual(another.trace, first.trace)
  assert.ok(first.trace.length > 200, `${first.trace.length} lines`)
})
