import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { Postgres } from '../../../devnet/postgres.ts'
import { holdRequest } from '../../../test/suites/accounts.ts'
import { paymentRecord, wonTicket } from '../../../test/suites/store.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { SmallDisk } from '../../../test/tools/small-disk.ts'
import { until } from '../../../test/tools/until.ts'
import type { Address } from '../../lib/crypto.ts'
import { systemDice } from '../../lib/dice.ts'
import { Rational } from '../../lib/rational.ts'
import { Store } from './store.ts'

/** What a node does while the database's server itself misbehaves. */

const ALICE: Address = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
/** STORE_FROZEN_MS changes it; longer than a payment waits for its answer. */
const FROZEN_MS = Number(process.env.STORE_FROZEN_MS ?? 6_000)
/** A payment is answered within this time, whatever the database does; most answers come within 5 s. */
const BOUND_MS = 15_000
const DISK_BYTES = 24 * 1024 * 1024

const folder = mkdtempSync(join(tmpdir(), 'livepeer-server-faults-'))
let postgres: Postgres
before(async () => {
  const settings = { fsync: 'off', max_connections: '24', superuser_reserved_connections: '3' }
  postgres = await Postgres.start({ within: memoryFolder(), settings })
})
after(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function opened(
  t: TestContext,
  location: string,
  { node = 'one', hasGrace = false } = {},
): Promise<{ store: Store; causes: string[] }> {
  const causes: string[] = []
  const path = join(folder, `${new URL(location).pathname.slice(1)}-${node}`)
  const grace = { path, graceMs: 60_000, valueWei: 10n ** 9n }
  const store = new Store(
    { location, node, ...(hasGrace && { grace }) },
    {
      dice: systemDice,
      causes: {
        met: ({ code }) => void causes.push(code),
        over: (code) => void causes.push(`${code} over`),
      },
    },
  )
  await store.open()
  t.after(() => store.close())
  return { store, causes }
}

/** Pays 10 wei for a segment of 4, with a winning ticket, and charges 3. */
async function segment(store: Store, nonce: number, sessionId = 'deadbeef'): Promise<void> {
  const begun = performance.now()
  try {
    const hold = holdRequest({ pixels: 4n, sessionId })
    const winners = [wonTicket(nonce)]
    const payment = paymentRecord({ nonces: [nonce], credit: Rational.of(10n), winners, sessionId })
    const started = await store.beginSegment({ payment, hold })
    assert.deepEqual(started.newWinners, winners)
    assert.ok(started.hold)
    await store.endSegment({ ...hold, fee: Rational.of(3n) })
  } finally {
    const took = performance.now() - begun
    assert.ok(took < BOUND_MS, `answered after ${Math.round(took)} ms`)
  }
}

/** A segment whose answer may be lost: paid for again until it is known to be recorded. */
async function recorded(store: Store, nonce: number, sessionId = 'deadbeef'): Promise<void> {
  await until(async () => {
    try {
      const winners = [wonTicket(nonce)]
      const payment = paymentRecord({ nonces: [nonce], credit: Rational.of(10n), winners, sessionId })
      await store.recordPayment(payment)
      return true
    } catch {
      return null
    }
  }, `payment ${nonce}`)
}

async function wonIn(store: Store): Promise<number> {
  return (await store.countTickets()).reduce((sum, { count }) => sum + count, 0)
}

test('a server frozen for longer than a payment waits refuses in time, loses nothing and does nothing twice', async (t) => {
  const location = await postgres.newDatabase()
  const { store } = await opened(t, location)
  const { causes, store: patient } = await opened(t, location, { node: 'two', hasGrace: true })
  await segment(store, 1)
  await segment(patient, 2, 'known')
  postgres.freeze()
  let asked: PromiseSettledResult<unknown>[] = []
  let served = 0
  try {
    const thawed = sleep(FROZEN_MS)
    const refused = Promise.allSettled([3, 4].map((nonce) => segment(store, nonce)))
    for (const nonce of [5, 6, 7]) {
      await segment(patient, nonce, 'known')
      served++
    }
    assert.deepEqual(causes, ['store-away'])
    asked = await refused
    await thawed
  } finally {
    postgres.thaw()
  }
  for (const answer of asked) {
    assert.equal(answer.status, 'rejected')
    assert.match(String(answer.reason), /did not answer within|cannot be used/)
  }
  assert.equal(served, 3, 'a node with a journal goes on')
  for (const nonce of [3, 4, 8]) await recorded(store, nonce)
  await until(async () => (causes.at(-1) === 'store-away over' ? true : null), 'the journal to be played in')
  await segment(patient, 9, 'known')
  assert.equal(store.fault, null)
  assert.equal(patient.fault, null)
  assert.equal((await store.noncesOf(new Uint8Array(32).fill(1))).used.size, 9)
  assert.equal(await wonIn(store), 9)
  // Payments of 1, 3, 4 and 8 less the fee of 1; those that were refused were charged nothing.
  assert.deepEqual(await store.sessions.balance(ALICE, 'deadbeef'), Rational.of(37n))
  assert.deepEqual(await store.sessions.balance(ALICE, 'known'), Rational.of(35n))
})

test('a full disk of the database refuses payments in time, and is used again once there is room', async (t) => {
  using disk = SmallDisk.mount(DISK_BYTES)
  if (!disk) return t.skip('no tmpfs can be mounted here: this requires root')
  const location = await postgres.newDatabase(disk.path)
  const { store } = await opened(t, location)
  const { causes, store: patient } = await opened(t, location, { node: 'two', hasGrace: true })
  await segment(patient, 1, 'known')
  disk.fill()
  let nonce = 1
  let acknowledged = 1
  // Pages that are there have room for some.
  const refusal = await until(async () => {
    try {
      await segment(store, ++nonce)
      acknowledged++
      return null
    } catch (error) {
      return error as Error
    }
  }, 'the disk to be full')
  assert.match(
    refusal.message,
    /^the database at .* cannot be used: could not extend file .*No space left.*: give the database more room$/,
  )
  assert.match(store.fault ?? '', /No space left/)
  await until(async () => {
    await segment(patient, ++nonce, 'known')
    acknowledged++
    return causes.includes('store-away') ? true : null
  }, 'the other node to notice')
  disk.free()
  await until(async () => (causes.at(-1) === 'store-away over' ? true : null), 'the journal to be played in')
  await segment(store, ++nonce)
  assert.equal(store.fault, null)
  assert.ok((await wonIn(store)) >= acknowledged + 1, 'no acknowledged winner is lost')
  await postgres.runIn(postgres.url(), `drop database ${new URL(location).pathname.slice(1)} with (force)`)
})

test('a server of a version that is too old is named when a node starts, and nothing is written there', async () => {
  const location = await postgres.newDatabase()
  const name = new URL(location).pathname.slice(1)
  // Before the server's own function of that name.
  await postgres.runIn(
    location,
    'create schema older',
    `create function older.current_setting(text) returns text language sql as
       $$ select case $1 when 'server_version' then '13.23' else '130023' end $$`,
    `alter database ${name} set search_path = older, pg_catalog, public`,
  )
  await assert.rejects(new Store({ location }).open(), {
    code: 'store-unavailable',
    message:
      'the database is PostgreSQL 13.23, and the store of a cluster needs version 14 or newer: upgrade it, or give -store another',
  })
  const found = await postgres.runIn(location, `select 1 from pg_namespace where nspname = 'livepeer'`)
  assert.deepEqual(found, [])
})

test('a read-only database is named when a node starts, with what to do', async (t) => {
  const location = await postgres.newDatabase()
  const { store } = await opened(t, location)
  await segment(store, 1)
  const name = new URL(location).pathname.slice(1)
  await postgres.run(`alter database ${name} set default_transaction_read_only = on`)
  await assert.rejects(new Store({ location }).open(), {
    code: 'store-unavailable',
    message:
      /^the database at postgres:\/\/127\.0\.0\.1:\d+ cannot be used: cannot execute [A-Z ]+ in a read-only transaction: give -store the primary of the database, not a standby, and a user that may write$/,
  })
  await postgres.run(`alter database ${name} reset default_transaction_read_only`)
  await opened(t, location, { node: 'two' })
})

test('a server without a free connection refuses in time, and is used again once it has one', async (t) => {
  const location = await postgres.newDatabase()
  const own = new URL(location)
  await postgres.run(`create role node login password 'node'`)
  own.username = own.password = 'node'
  await postgres.runIn(location, `grant create on database ${own.pathname.slice(1)} to node`)
  const { store } = await opened(t, own.href)
  await segment(store, 1)
  const others: pg.Client[] = []
  const takeAll = async () => {
    for (;;) {
      const client = new pg.Client({ connectionString: own.href })
      client.on('error', () => {})
      try {
        await client.connect()
        others.push(client)
      } catch (error) {
        return (error as { code?: string }).code
      }
    }
  }
  assert.equal(await takeAll(), '53300')
  const kept = await postgres.run(`select pg_backend_pid() as pid`)
  const ids = await Promise.all(
    others.map(async (each) => (await each.query('select pg_backend_pid() as id')).rows[0].id),
  )
  await postgres.run(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where usename = 'node' and pid <> all ('{${[...ids, kept[0]!.pid].join(',')}}')`,
  )
  assert.equal(await takeAll(), '53300')
  const says =
    /^the database at .* cannot be used: .*(too many clients|connection slots).*: raise its max_connections, or put a pooler between it and the nodes$/
  await assert.rejects(segment(store, 2), { code: 'store-unavailable', message: says })
  assert.match(store.fault ?? '', says)
  await assert.rejects(new Store({ location: own.href }).open(), { code: 'store-unavailable', message: says })
  await Promise.all(others.map((client) => client.end()))
  await recorded(store, 2)
  await segment(store, 3)
  assert.equal(store.fault, null)
  assert.equal(await wonIn(store), 3)
  assert.deepEqual(await store.sessions.balance(ALICE, 'deadbeef'), Rational.of(24n))
})

test('statements that take 200 ms make answers slow and nothing else; one longer than an attempt counts once', async (t) => {
  const location = await postgres.newDatabase()
  const { store: one } = await opened(t, location)
  const { store: two } = await opened(t, location, { node: 'two' })
  const { causes, store: patient } = await opened(t, location, { node: 'three', hasGrace: true })
  await segment(patient, 0, 'known')
  const slow = (ms: number) => `
    create or replace function livepeer.slow() returns trigger language plpgsql as $$
      begin perform pg_sleep(${ms / 1_000}); return null; end $$`
  // Each statement that a node sends writes this table once.
  const trigger =
    'create trigger slow before insert on livepeer.writers for each statement execute function livepeer.slow()'
  await postgres.runIn(location, slow(200), trigger)
  const sessions = ['a', 'b', 'c', 'd']
  await Promise.all(
    Array.from({ length: 16 }, (_, i) => segment(i % 2 ? one : two, 1 + i, sessions[i % sessions.length])),
  )
  assert.deepEqual([one.fault, two.fault], [null, null])
  await postgres.runIn(location, slow(3_000))
  await segment(one, 17, 'a')
  await segment(patient, 18, 'known')
  assert.deepEqual(causes, ['store-away'])
  await postgres.runIn(location, slow(0))
  await until(async () => (causes.at(-1) === 'store-away over' ? true : null), 'the journal to be played in')
  await segment(one, 19, 'b')
  await segment(patient, 20, 'known')
  assert.equal(await wonIn(one), 21)
  const balances = await Promise.all(
    [...sessions, 'known'].map((session) => two.sessions.balance(ALICE, session)),
  )
  assert.deepEqual(
    balances.map((balance) => balance.toString()),
    [35, 35, 28, 28, 21].map(String),
  )
})
