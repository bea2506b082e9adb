import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { Postgres } from '../../../devnet/postgres.ts'
import { holdRequest } from '../../../test/suites/accounts.ts'
import type { WorkerReport } from '../../../test/suites/accounts-worker.ts'
import { paymentRecord } from '../../../test/suites/store.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { partsOf, weiOfParts } from '../../domain/money.ts'
import { Rational } from '../../lib/rational.ts'
import { HoldRows } from './hold-rows.ts'
import { Store } from './store.ts'

const WORKER = fileURLToPath(new URL('../../../test/suites/accounts-worker.ts', import.meta.url))
const PROCESSES = 8
const STEPS = Number(process.env.STORE_STEPS ?? 80)

let postgres: Postgres
before(async () => {
  postgres = await Postgres.start({ within: memoryFolder(), settings: { fsync: 'off' } })
})
after(() => postgres.stop())

test('what eight processes pay, hold, charge and spend of the same sessions adds up exactly', async (t) => {
  const location = await postgres.newDatabase()
  const reports = await Promise.all(
    Array.from({ length: PROCESSES }, async (_, i) => {
      const { stdout } = await promisify(execFile)(process.execPath, [
        WORKER,
        location,
        `node ${i}`,
        `${STEPS}`,
      ])
      return JSON.parse(stdout) as WorkerReport
    }),
  )
  const all = <Key extends keyof WorkerReport>(key: Key) => reports.map((report) => report[key])
  assert.deepEqual(all('errors').flat(), [])
  const paid = all('paid').flat()
  const charged = all('charged').flat()
  const left = all('left').flat()

  // Every nonce was accepted once in the whole cluster, and every accepted one is in the store.
  const spent = paid.flatMap(({ rand, nonces }) => nonces.map((nonce) => `${rand}/${nonce}`))
  assert.equal(new Set(spent).size, spent.length)
  const store = new Store({ location })
  await store.open()
  const used = []
  for (let rand = 0; rand < 6; rand++) {
    const nonces = await store.noncesOf(new Uint8Array(32).fill(rand))
    used.push(...[...nonces.used].map((nonce) => `${rand}/${nonce}`))
  }
  assert.deepEqual(used.sort(), spent.sort())

  // The model of each session: what was paid less what was charged, and never less than what is still set aside.
  const sum = (amounts: readonly string[]) =>
    amounts.reduce((total, amount) => total.add(Rational.parse(amount)), Rational.zero)
  const accounts = new Map(paid.map((each) => [`${each.sender}/${each.sessionId}`, each]))
  for (const { sender, sessionId } of accounts.values()) {
    const own = (each: { sender: string; sessionId: string }) =>
      each.sender === sender && each.sessionId === sessionId
    const credit = sum(paid.filter(own).map((each) => each.credit))
    const fees = sum(charged.filter(own).map(({ fee }) => fee))
    const balance = await store.sessions.balance(sender, sessionId)
    assert.deepEqual(balance, credit.sub(fees), `${sender} ${sessionId}`)
    const held = sum(left.filter(own).map(({ fee }) => fee))
    assert.ok(balance.cmp(held) >= 0, 'no fee was set aside that the balance did not cover')
  }
  const holds = await rowsOf(location, 'select fee from livepeer.holds')
  assert.deepEqual(sum(holds.map(({ fee }) => String(fee))), sum(left.map(({ fee }) => fee)))

  // Winners, totals and money.
  const winners = all('winners').flat()
  assert.equal(new Set(winners).size, winners.length, 'each winner was new once')
  const [counted] = await store.countTickets()
  assert.equal(counted?.count, winners.length)
  const { ever } = await store.money(1_700_000_000_000)
  assert.equal(ever.ticketsReceived, spent.length)
  assert.equal(ever.ticketsWon, winners.length)
  assert.equal(ever.won, counted?.faceValue)
  assert.equal(
    ever.received,
    paid.reduce((total, { credit }) => total + partsOf(Rational.parse(credit)), 0n),
  )
  const refused = all('refused').reduce((total, count) => total + count, 0)
  const heldNot = all('heldNot').reduce((total, count) => total + count, 0)
  assert.ok(refused > 0 && heldNot > 0 && left.length > 0 && charged.length > 0, 'the history has everything')
  t.diagnostic(
    `${paid.length} payments of ${weiOfParts(ever.received)} wei, ${refused} refused, ${charged.length} charges, ${heldNot} not covered`,
  )
  await store.close()
})

test('fees that a crashed node left set aside are removed once their time is over', async () => {
  const location = await postgres.newDatabase()
  const store = new Store({ location })
  await store.open()
  await store.recordPayment(paymentRecord({ nonces: [1], credit: Rational.of(30n) }))
  for (const lifeMs of [1, 600_000]) {
    const { hold } = await store.beginSegment({ payment: null, hold: holdRequest({ lifeMs }) })
    assert.ok(hold)
  }
  await new Promise((resolve) => setTimeout(resolve, 20))
  await store.sessions.forgetSessions(0)
  assert.equal((await rowsOf(location, 'select holder from livepeer.holds')).length, 1)
  await store.close()
})

test('what a node set aside is free again once its lease has run out, long before the time of its segments', async () => {
  const location = await postgres.newDatabase()
  const store = new Store({ location })
  await store.open()
  await store.recordPayment(paymentRecord({ nonces: [1], credit: Rational.of(50n) }))
  const holders = ['a/1/x', 'a/2/x', 'b/1/x', 'c/1/x', '0xold'] as const
  for (const holder of holders) {
    assert.ok(
      (await store.beginSegment({ payment: null, hold: holdRequest({ holder, lifeMs: 88_000 }) })).hold,
    )
  }
  const member = (node: string, instance: string, endsIn: string) =>
    `insert into livepeer.members values ('${node}', '${instance}', '', '', '', '', '', '{}',
      (extract(epoch from clock_timestamp()) * 1000)::bigint + ${endsIn})`
  // The process 2 of a is alive, that of b has just run out, that of c long ago; the last holder is of an older version.
  for (const row of [member('a', '2', '6000'), member('b', '1', '-1000'), member('c', '1', '-9000')]) {
    await postgres.runIn(location, row)
  }
  const holds = new HoldRows(store)
  assert.equal(await holds.freeLapsed(6_000), 2)
  const left = await rowsOf(location, 'select holder from livepeer.holds order by holder')
  assert.deepEqual(left.map(({ holder }) => holder).sort(), ['0xold', 'a/2/x', 'b/1/x'])
  assert.ok((await store.beginSegment({ payment: null, hold: holdRequest({ pixels: 20n }) })).hold)
  await store.close()
  await assert.rejects(holds.freeLapsed(6_000), { code: 'store-unavailable' })
})

async function rowsOf(location: string, query: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: location })
  await client.connect()
  try {
    return (await client.query(query)).rows
  } finally {
    await client.end()
  }
}
