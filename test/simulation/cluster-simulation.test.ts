import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { NO_SENDER_MONEY, plusSender, unattributed } from '../../src/domain/ledger.ts'
import { Store } from '../../src/io/store/store.ts'
import { TicketBoard } from '../../src/io/store/ticket-board.ts'
import type { Hex } from '../../src/lib/bytes.ts'
import { memoryFolder } from '../tools/memory-folder.ts'
import { ClusterSimulation, type KeptTicket, type Report } from './cluster-simulation.ts'

/** CLUSTER_ROUNDS changes it. */
const ROUNDS = Number(process.env.CLUSTER_ROUNDS ?? 60)
/** The minimum; the number of paid tickets depends on the outages. */
const TICKETS = 90 * ROUNDS
/** Half as many on average, six times per round. */
const TICKETS_PER_PAYMENT = 42
/** The first round of the reward chain. */
const FIRST_ROUND = 100n

const folder = mkdtempSync(join(memoryFolder(), 'livepeer-cluster-'))
after(() => rmSync(folder, { recursive: true, force: true }))

async function run(seed: string, rounds: number): Promise<Report> {
  const own = mkdtempSync(join(folder, 'run-'))
  const report = await new ClusterSimulation({
    ...{ seed, rounds, folder: own, ticketsPerPayment: TICKETS_PER_PAYMENT },
  }).run()
  for (const { isRedeemer, name } of report.nodes) {
    if (!isRedeemer) await checkBook(join(own, `${name}.sqlite3`), report)
  }
  return report
}

/** The book by gateway is what the chain paid for the tickets of that store, and adds up to its money. */
async function checkBook(location: string, { chain }: Report): Promise<void> {
  const store = new Store({ location })
  await store.open()
  try {
    const board = new TicketBoard(store)
    const { byDay, rows } = await board.book(0, 1_000_000)
    assert.ok(rows.length > 0)
    for (const [day, money] of byDay) {
      const own = rows.filter((row) => row.day === day).map((row) => row.money)
      assert.equal(unattributed(money, own), null)
    }
    const tickets = await board.list({}, { after: null, most: 1_000_000 })
    const senders = new Set(tickets.map(({ ticket }) => ticket.sender))
    for (const sender of senders) {
      const of = tickets.filter(({ ticket }) => ticket.sender === sender)
      const money = rows
        .filter((row) => row.sender === sender)
        .reduce((sum, row) => plusSender(sum, row.money), NO_SENDER_MONEY)
      const paid = of.flatMap(({ id }) => chain.redemptions.get(id) ?? [])
      assert.equal(
        money.redeemed,
        paid.reduce((sum, wei) => sum + wei, 0n),
      )
      assert.equal(money.ticketsRedeemed, paid.length)
      assert.equal(
        money.won,
        of.reduce((sum, { ticket }) => sum + ticket.faceValue, 0n),
      )
      assert.ok(money.received > 0n && money.variance > 0n)
    }
  } finally {
    await store.close()
  }
}

/** What must hold after any history, because each round has enough time for its work. */
function check({ acknowledged, chain, nodes, rewards }: Report): Record<string, number> {
  const heldBy = new Map<Hex, KeptTicket[]>()
  for (const ticket of nodes.flatMap(({ tickets }) => tickets)) {
    heldBy.set(ticket.hash, [...(heldBy.get(ticket.hash) ?? []), ticket])
  }
  const won = new Set([...heldBy.keys(), ...acknowledged.keys()])
  const redeemed = new Set([...chain.redemptions].flatMap(([hash, paid]) => (paid.length > 0 ? [hash] : [])))
  const twice = [...chain.redemptions].filter(([, paid]) => paid.length > 1)
  const counts = { won: won.size, redeemed: redeemed.size, open: 0, refused: 0 }
  const lost: Hex[] = []
  for (const hash of won) {
    const held = heldBy.get(hash) ?? []
    if (redeemed.has(hash)) {
      assert.deepEqual(
        held.filter(({ state }) => state !== 'redeemed'),
        [],
        'every node that had it knows of the redemption',
      )
      for (const { paid } of held) assert.ok(paid === null || paid === chain.redemptions.get(hash)![0])
      assert.ok(held.filter(({ isOwn }) => isOwn).length <= 1, `${hash} was paid for by two accounts`)
    } else if (held.some(({ state }) => state === 'open' || state === 'submitted' || state === 'delivered')) {
      counts.open++
    } else if (held.some(({ reason, state }) => state === 'refused' && reason !== '')) counts.refused++
    else lost.push(hash)
  }
  assert.deepEqual(
    [...acknowledged.keys()].filter((hash) => !heldBy.has(hash)).concat(lost),
    [],
    'none is lost',
  )
  assert.deepEqual(twice, [], 'none is redeemed twice')
  assert.equal(counts.won, counts.redeemed + counts.open + counts.refused)
  assert.deepEqual({ open: counts.open, refused: counts.refused }, { open: 0, refused: 0 })
  assert.deepEqual(
    nodes.filter(({ pending }) => pending !== 0n).map(({ name }) => name),
    [],
    'no sender is believed to owe anything',
  )
  const rewarded = [...rewards.receipts.values()].flatMap(({ round, success }) => (success ? [round] : []))
  const rounds = new Set(rewarded)
  const missed: bigint[] = []
  for (let round = FIRST_ROUND; round <= rewards.round; round++) {
    if (!rounds.has(round)) missed.push(round)
  }
  assert.deepEqual(missed, [], 'no reward is missed')
  assert.equal(rounds.size, rewarded.length, 'no round is rewarded twice')
  return { ...counts, rewards: rewarded.length }
}

test(`${ROUNDS} rounds and ${TICKETS} tickets of an operator’s cluster with outages, deaths and reorganisations: no reward missed, no ticket lost, none redeemed twice`, async (t) => {
  const report = await run(process.env.LIVEPEER_TEST_SEED ?? 'cluster', ROUNDS)
  const { redeemed, rewards, ...rest } = check(report)
  const { acknowledgedTickets, deaths, longOutages, reorganisations } = report
  assert.ok(acknowledgedTickets >= TICKETS, `${acknowledgedTickets} tickets`)
  assert.ok(redeemed! > TICKETS / 25, `${redeemed} redeemed`)
  assert.ok(rewards! >= ROUNDS)
  assert.ok(2 * deaths > ROUNDS && 10 * reorganisations > 3 * ROUNDS && 10 * longOutages > ROUNDS)
  const { user, system } = process.cpuUsage()
  t.diagnostic(
    JSON.stringify({
      ...{ rounds: ROUNDS, tickets: acknowledgedTickets, ...rest, redeemed, rewards },
      ...{ deaths, reorganisations, longOutages, reverts: report.chain.reverts.length },
      cpuSeconds: Math.round((user + system) / 1e6),
    }),
  )
})

test('the same seed gives the same history of a cluster', async () => {
  const [first, second, another] = [await run('twice', 15), await run('twice', 15), await run('another', 15)]
  assert.deepEqual(second.trace, first.trace)
  assert.deepEqual(
    second.nodes.map(({ tickets }) => tickets),
    first.nodes.map(({ tickets }) => tickets),
  )
  assert.ok(first.trace.length > 400, `${first.trace.length} lines`)
  assert.notDeepEqual(another.trace, first.trace)
  check(first)
  check(another)
})
