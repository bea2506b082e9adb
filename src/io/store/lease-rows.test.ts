import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { Postgres } from '../../../devnet/postgres.ts'
import { NOTHING_KNOWN } from '../../../test/fakes/alert-facts.ts'
import { wonTicket } from '../../../test/suites/store.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import type { AlertFacts } from '../../domain/alerts.ts'
import type { LeaseWish } from '../../domain/lease.ts'
import { ticketHash } from '../../domain/ticket.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import { ManualClock, systemClock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Alerts } from '../../services/alerts/alerts.ts'
import { storedValue } from './kv-rows.ts'
import { LeaderRecords } from './leader-records.ts'
import { checkFence, LeaseRows } from './lease-rows.ts'
import { Store } from './store.ts'
import { StoreSession } from './store-session.ts'

const ACCOUNT: Address = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const LEASE = 'redeem'
const NOW = 1_700_000_000_000

let postgres: Postgres
before(async () => {
  postgres = await Postgres.start({ within: memoryFolder() })
})
after(() => postgres.stop())

/** Two processes with the same store. */
async function world(schema = 'livepeer') {
  const url = await postgres.newDatabase()
  const open = async () => {
    const store = new Store({ location: url, schema })
    await store.open()
    return { store, leases: new LeaseRows(store) }
  }
  const [a, b] = [await open(), await open()]
  return { url, a, b, close: () => Promise.all([a.store.close(), b.store.close()]) }
}

function wish(instance: string, more: Partial<LeaseWish> = {}): LeaseWish {
  return { lease: LEASE, instance, node: `node of ${instance}`, rank: 1, isWatched: false, ...more }
}

function transaction(data: `0x${string}`): StoredTransaction {
  const attempt = { hash: data, maxFeePerGas: 2n, maxPriorityFeePerGas: 1n, sentAtMs: NOW }
  return {
    ...{ account: ACCOUNT, nonce: 7, purpose: 'redeem 0x01', to: ACCOUNT, data, value: 0n, gas: 1n },
    ...{ attempts: [attempt], state: 'open' },
  }
}

test('a lease has one holder, who keeps it by renewing, until it runs out', async () => {
  const { a, b, close } = await world()
  assert.deepEqual(await a.leases.take(wish('a'), 60_000), {
    ...{ instance: 'a', node: 'node of a', rank: 1, epoch: 1n },
  })
  assert.equal((await b.leases.take(wish('b'), 60_000))?.instance, 'a')
  assert.equal((await a.leases.take(wish('a'), 300))?.epoch, 1n)
  await sleep(350)
  assert.deepEqual(await b.leases.take(wish('b'), 60_000), {
    ...{ instance: 'b', node: 'node of b', rank: 1, epoch: 2n },
  })
  assert.equal((await a.leases.take(wish('a'), 60_000))?.instance, 'b')
  // Other leases are held by others.
  assert.equal((await a.leases.take(wish('a', { lease: 'other' }), 60_000))?.instance, 'a')
  await close()
})

test('a lease that was given back is taken at once; only its holder can give it back', async () => {
  const { a, b, close } = await world()
  await a.leases.take(wish('a'), 60_000)
  await b.leases.release(LEASE, 'b')
  assert.equal((await b.leases.take(wish('b'), 60_000))?.instance, 'a')
  await a.leases.release(LEASE, 'a')
  assert.equal((await b.leases.take(wish('b'), 60_000))?.instance, 'b')
  await close()
})

test('a higher rank takes the lease from a living holder, and keeps it', async () => {
  const { a, b, close } = await world()
  await a.leases.take(wish('a', { rank: 1 }), 60_000)
  assert.deepEqual(await b.leases.take(wish('b', { rank: 2 }), 60_000), {
    ...{ instance: 'b', node: 'node of b', rank: 2, epoch: 2n },
  })
  assert.equal((await a.leases.take(wish('a', { rank: 1 }), 60_000))?.instance, 'b')
  assert.equal((await a.leases.take(wish('a', { rank: 2 }), 60_000))?.instance, 'b')
  await close()
})

test('of many that find a lease free, one takes it', async () => {
  const { a, b, close } = await world()
  for (const ms of [1, 60_000]) {
    const names = ['p', 'q', 'r', 's', 't', 'u']
    const seen = await Promise.all(
      names.map((name, i) => (i % 2 ? a : b).leases.take(wish(`${name}${ms}`), ms)),
    )
    // Calls of the same moment may not have seen which was first.
    const winners = names.filter((name, i) => seen[i]?.instance === `${name}${ms}`)
    if (ms > 1) assert.equal(winners.length, 1, String(winners))
    await sleep(10)
  }
  await close()
})

test('the writes of a leader are refused once another one leads, and change nothing', async () => {
  const { a, b, close, url } = await world()
  const lost: bigint[] = []
  const under = (store: Store, instance: string, epoch: bigint) =>
    new LeaderRecords({ store, fence: { lease: LEASE, epoch, instance }, lost: (of) => void lost.push(of) })
  const ticket = wonTicket(1)
  const hash = ticketHash(ticket)
  await a.store.addTickets([ticket], NOW)
  await a.leases.take(wish('a'), 100)
  const first = under(a.store, 'a', 1n)
  await first.saveTransaction(transaction('0x0a'), NOW)
  await first.saveTicketState(hash, { kind: 'submitted', txHash: '0x0a' }, NOW)
  // The process is paused until after its lease has run out.
  await sleep(150)
  assert.equal((await b.leases.take(wish('b'), 60_000))?.epoch, 2n)
  const fault = {
    code: 'lease-lost',
    message: "another node leads redeem now (epoch 2, this node's was 1): nothing was written",
  }
  await assert.rejects(first.saveTransaction(transaction('0x0b'), NOW), fault)
  await assert.rejects(first.saveTicketState(hash, { kind: 'open', reason: 'no-ether' }, NOW), fault)
  await assert.rejects(first.reveal(new Uint8Array(32), 1n), fault)
  assert.deepEqual(lost, [1n, 1n, 1n])
  const second = under(b.store, 'b', 2n)
  assert.deepEqual(
    (await second.openTransactions(ACCOUNT)).map(({ data }) => data),
    ['0x0a'],
  )
  const [stored] = (await Array.fromAsync(second.unfinishedTickets())).flat()
  assert.deepEqual(stored?.state, { kind: 'submitted', txHash: '0x0a' })
  assert.equal((await b.store.noncesOf(new Uint8Array(32))).revealed, false)
  await second.saveTransaction(transaction('0x0c'), NOW)
  assert.equal(b.store.fault, null)
  // A standby that takes over without the last commits gives the same number to a third one.
  await postgres.runIn(url, `update livepeer.leases set instance = 'a', epoch = 1, lease_end = 0`)
  assert.equal((await a.leases.take(wish('c'), 60_000))?.epoch, 2n)
  await assert.rejects(second.saveTransaction(transaction('0x0d'), NOW), { code: 'lease-lost' })
  await under(a.store, 'c', 2n).saveTransaction(transaction('0x0e'), NOW)
  await close()
})

test('of two leaders with different accounts neither undoes the end of a ticket that the other one has found', async () => {
  const { a, b, close } = await world()
  const tickets = [wonTicket(1), wonTicket(2)]
  const [redeemed, refused] = tickets.map(ticketHash) as [Uint8Array, Uint8Array]
  await a.store.addTickets(tickets, NOW)
  await a.leases.take(wish('a'), 60_000)
  await b.leases.take(wish('b', { lease: 'redeem late' }), 60_000)
  const lost = () => assert.fail('both lead')
  const primary = new LeaderRecords({
    store: a.store,
    fence: { lease: LEASE, epoch: 1n, instance: 'a' },
    lost,
  })
  const late = { lease: 'redeem late', epoch: 1n, instance: 'b' }
  const other = new LeaderRecords({ store: b.store, fence: late, lost })
  const end = { kind: 'redeemed', txHash: '0x0a', paid: 5n, fee: 3n, block: 9n } as const
  await primary.saveTicketState(redeemed, end, NOW)
  await primary.saveTicketState(refused, { kind: 'refused', reason: 'expired' }, NOW)
  for (const hash of [redeemed, refused]) {
    await other.saveTicketState(hash, { kind: 'submitted', txHash: null }, NOW)
    await other.saveTicketState(hash, { kind: 'open', reason: 'chain-refuses' }, NOW)
  }
  assert.deepEqual(
    (await other.redeemedSince(0n)).map(({ state }) => state),
    [end],
  )
  // One that sees the redemption of another account does not know what it cost.
  await other.saveTicketState(redeemed, { ...end, fee: null, block: 10n }, NOW)
  await other.saveTicketState(refused, end, NOW)
  assert.deepEqual(
    (await other.redeemedSince(0n)).map(({ state }) => state),
    [{ ...end, block: 10n }],
  )
  assert.equal((await a.store.money(NOW)).ever.redeemed, 5n)
  await other.saveTicketState(redeemed, { kind: 'open', reason: 'reorganised' }, NOW)
  assert.deepEqual(
    (await a.store.countTickets()).filter(({ count }) => count > 0).map(({ reason }) => reason),
    ['reorganised', 'expired'],
  )
  await close()
})

test('nobody takes the lease between the check of a write and its commit', async () => {
  const { a, b, close, url } = await world()
  await a.leases.take(wish('a'), 1)
  const writer = await connected(url)
  await writer.query('begin')
  await writer.query(`select epoch from livepeer.leases where name = '${LEASE}' for share`)
  await sleep(10)
  let isTaken = false
  const taking = b.leases.take(wish('b'), 60_000).then((holder) => {
    isTaken = true
    return holder
  })
  await sleep(300)
  assert.equal(isTaken, false)
  await writer.query('commit')
  assert.equal((await taking)?.epoch, 2n)
  await writer.end()
  await close()
})

test('a leader paused in the middle of a write holds the lease up for some seconds only', async () => {
  const { a, b, close } = await world()
  await a.leases.take(wish('a'), 1)
  const paused = Promise.withResolvers<void>()
  const inside = Promise.withResolvers<void>()
  const write = a.store.database.db.transaction().execute(async (tx) => {
    await checkFence(tx, { lease: LEASE, epoch: 1n, instance: 'a' })
    inside.resolve()
    await paused.promise
    await tx.insertInto('kv').values({ key: 'late', value: '' }).execute()
  })
  write.catch(() => {})
  await inside.promise
  const startedMs = performance.now()
  assert.equal((await b.leases.take(wish('b'), 60_000))?.epoch, 2n)
  assert.ok(performance.now() - startedMs < 6_000)
  paused.resolve()
  await assert.rejects(write)
  assert.equal(await storedValue(b.store.database.db, 'late'), null)
  await close()
})

test('the end of a process is seen by its session; without a session its lease must run out', async () => {
  const { a, b, close, url } = await world()
  const supervisor = new Supervisor()
  const needs = { store: a.store, clock: systemClock, log: silentLog }
  const session = new StoreSession({ url, instance: 'a' }, needs)
  await supervisor.start(session)
  await until(() => session.isHeld)
  await a.leases.take(wish('a', { isWatched: true }), 60_000)
  assert.equal((await b.leases.take(wish('b'), 60_000))?.instance, 'a')
  // The server drops the session, as it does when the process is gone.
  await postgres.run(
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 2`,
  )
  assert.equal((await b.leases.take(wish('b'), 60_000))?.epoch, 2n)
  // Nothing was said of a session.
  assert.equal((await a.leases.take(wish('a'), 60_000))?.instance, 'b')
  await until(() => session.isHeld)
  await supervisor.stop()
  assert.equal(session.isHeld, false)
  await close()
})

async function connected(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  return client
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 200, 'waited for 20 s')
    await sleep(100)
  }
}

test('one node of a cluster tells what concerns all of it; another takes over and tells nothing again', async (t) => {
  const { a, b, close } = await world()
  const clock = new ManualClock()
  const told: string[] = []
  const members = [{ node: 'c', address: 'c:1', isAlive: false, silentMs: 1 }]
  const facts: AlertFacts = { ...NOTHING_KNOWN, members }
  const nodes = { a, b }
  const start = async (name: 'a' | 'b') => {
    const { leases, store } = nodes[name]
    const target = { id: 't', name: 't', form: 'webhook', url: 'http://t' } as const
    const alerts = new Alerts(
      { node: name, targets: [target] },
      {
        ...{ clock, log: silentLog, look: async () => facts },
        send: async (_, { alerts: all, node }) => void told.push(...all.map(({ code }) => `${node} ${code}`)),
        records: {
          load: (of) => store.records.loadAlerts(of),
          save: (of, kept) => store.records.saveAlerts(of, kept),
        },
        leave: () => leases.release('alerts', name),
        leads: async () => (await leases.take(wish(name, { lease: 'alerts' }), 60_000))?.instance === name,
      },
    )
    const supervisor = new Supervisor()
    await supervisor.start(alerts)
    return supervisor
  }
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 15_000) {
      await sleep(50)
      await clock.wind(15_000)
    }
    await sleep(50)
  }
  const nodesOf = { a: await start('a'), b: await start('b') }
  t.after(() => Promise.all([nodesOf.a.stop(), nodesOf.b.stop()]))
  await pass(150_000)
  assert.equal(told.length, 1)
  const teller = told[0]![0] as 'a' | 'b'
  const kept = await nodes[teller].store.records.loadAlerts('cluster')
  assert.deepEqual(
    kept.map(({ code, told: to }) => [code, to]),
    [['node-lost', { t: 'firing' }]],
  )
  const other = teller === 'a' ? 'b' : 'a'
  await nodesOf[teller].stop()
  await pass(120_000)
  assert.equal(told.length, 1, 'the other knows that it was told')
  members.length = 0
  await pass(120_000)
  assert.deepEqual(told, [`${teller} node-lost`, `${other} node-lost`], 'and tells that it is over')
  await nodesOf[other].stop()
  await close()
})
