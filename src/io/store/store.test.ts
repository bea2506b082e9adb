import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { Postgres } from '../../../devnet/postgres.ts'
import { accountsSuite } from '../../../test/suites/accounts.ts'
import { moneySuite } from '../../../test/suites/money.ts'
import { paymentRecord, storeSuite, wonTicket } from '../../../test/suites/store.ts'
import { ticketsSuite } from '../../../test/suites/tickets.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { weiOfParts } from '../../domain/money.ts'
import { ticketHash } from '../../domain/ticket.ts'
import { formatHex } from '../../lib/bytes.ts'
import { seededDice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import { Rational } from '../../lib/rational.ts'
import { CommitQueue } from './commit-queue.ts'
import { IN_MEMORY, openDatabase } from './open.ts'
import { Store } from './store.ts'
import { TicketBoard } from './ticket-board.ts'

const folder = mkdtempSync(join(tmpdir(), 'livepeer-store-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let places = 0
const newFile = () => join(folder, `${places++}`, 'node.sqlite3')

const suites = [storeSuite, moneySuite, accountsSuite]
for (const suite of suites) {
  suite('SQLite', async () => newFile(), { shared: false })
  suite('SQLite, synced by a thread', async () => newFile(), { shared: false, sqliteSync: 'thread' })
}

let postgres: Postgres
before(async () => {
  postgres = await Postgres.start({ within: memoryFolder() })
})
after(() => postgres.stop())
for (const suite of suites) suite('PostgreSQL', () => postgres.newDatabase(), { shared: true })
ticketsSuite('SQLite', async () => newFile(), { shared: false })
ticketsSuite('PostgreSQL', () => postgres.newDatabase(), { shared: true })

test('PostgreSQL: a store belongs to one chain and one cluster; clusters may share a database', async () => {
  const location = await postgres.newDatabase()
  const at = `127.0.0.1:${postgres.port}`
  const cluster = { controller: '0xC1', recipient: '0xX1' }
  const open = async (schema: string) => {
    const store = new Store({ location, schema })
    await store.open()
    return store
  }
  const first = await open('east')
  await first.bindChain(42161n)
  await first.bindCluster(cluster)
  const second = await open('east')
  await second.bindChain(42161n)
  await second.bindCluster(cluster)
  const place = `the schema east of the database at postgres://${at}`
  await assert.rejects(second.bindChain(1n), {
    code: 'wrong-chain',
    message: `expecting chainID of 42161, but got 1: the data in ${place} belongs to another chain: give this node another -storeSchema`,
  })
  await assert.rejects(second.bindCluster({ ...cluster, recipient: '0xX2' }), {
    code: 'wrong-cluster',
    message: `${place} belongs to a cluster with the orchestrator 0xX1, and this node's is 0xX2: give this node another -storeSchema, or correct -ethOrchAddr`,
  })
  await assert.rejects(second.bindCluster({ ...cluster, controller: '0xC2' }), {
    code: 'wrong-cluster',
    message: `${place} belongs to a cluster with the controller 0xC1, and this node's is 0xC2: give this node another -storeSchema, or correct -ethController`,
  })
  const third = await open('west')
  await third.bindChain(1n)
  await third.bindCluster({ ...cluster, recipient: '0xX2' })
  await third.recordPayment(paymentRecord({ nonces: [1] }))
  assert.notEqual(await second.recordPayment(paymentRecord({ nonces: [1] })), null)
  assert.equal(await first.recordPayment(paymentRecord({ nonces: [1] })), null)
  await Promise.all([first, second, third].map((store) => store.close()))
})

test('SQLite: a second process is refused with an explanation until the first has closed', async () => {
  const location = newFile()
  const first = new Store({ location })
  await first.open()
  const second = new Store({ location })
  await assert.rejects(
    second.open(),
    (error) =>
      error instanceof NodeError &&
      error.code === 'store-in-use' &&
      error.message ===
        `another process is using ${location}: stop it first, or give this one its own -dataDir`,
  )
  await first.close()
  await second.open()
  await second.close()
})

test('SQLite: only the owner can read the file, because it contains secrets', async () => {
  const location = newFile()
  const store = new Store({ location })
  await store.open()
  await store.secrets('ticket')
  for (const file of [location, `${location}-wal`, `${location}.lock`]) {
    assert.equal(statSync(file).mode & 0o777, 0o600, file)
  }
  await store.close()
})

test('SQLite: a database of a newer version is refused with an explanation', async () => {
  const location = newFile()
  const store = new Store({ location })
  await store.open()
  await store.close()
  const { DatabaseSync } = await import('node:sqlite')
  const file = new DatabaseSync(location)
  file.exec('insert into migrations (version) values (999)')
  file.close()
  await assert.rejects(
    store.open(),
    /the database was written by a newer version \(schema 999, this version knows \d+\): upgrade this node/,
  )
})

test('SQLite: a database of the first version is brought up to date when it is opened', async () => {
  const location = newFile()
  const store = new Store({ location })
  await store.open()
  await store.addTickets([wonTicket(1), wonTicket(2), wonTicket(3)], 0)
  await store.saveTicketState(
    ticketHash(wonTicket(2)),
    { kind: 'redeemed', txHash: null, paid: 10n ** 30n, fee: 1n, block: 5n },
    0,
  )
  const id = formatHex(ticketHash(wonTicket(2)))
  const account = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
  await store.saveTransaction(
    {
      ...{ account, nonce: 4, purpose: `redeem ${id}`, to: account, data: '0x', value: 0n, gas: 1n },
      ...{ attempts: [], state: 'mined' },
    },
    0,
  )
  const counted = await store.countTickets()
  await store.close()
  const { DatabaseSync } = await import('node:sqlite')
  const file = new DatabaseSync(location)
  file.exec(
    `drop index balances_owing; drop index balances_left; drop index transactions_by_day; drop index tickets_by_time; drop index tickets_by_state_and_time;
     drop index tickets_by_sender_and_time; drop table ticket_story; drop table ticket_transactions;
     drop table ledger; drop table rewards; alter table tickets drop column session_id; alter table tickets drop column source;
     alter table tickets drop column received_by;
     drop table ticket_totals; drop index tickets_by_state_and_hash; create table orchestrators (address text);
     drop table money; drop table members; alter table tickets drop column booked_day; alter table tickets drop column booked_round;
     alter table transactions drop column fee; alter table transactions drop column booked_day;
     alter table transactions drop column booked_round; drop table leases;
     drop table control_settings; drop table control_changes;
     alter table migrations drop column oldest;
     delete from migrations where version >= 2`,
  )
  file.close()
  await store.open()
  assert.deepEqual(await store.countTickets(), counted)
  const story = await new TicketBoard(store).story(id)
  assert.deepEqual([story?.facts.length, story?.transactions.map(({ nonce }) => nonce)], [0, [4]])
  await store.close()
  const upgraded = new DatabaseSync(location)
  const unused = upgraded.prepare("select count(*) as tables from sqlite_master where name = 'orchestrators'")
  assert.equal(unused.get()?.tables, 0)
  upgraded.close()
})

test('SQLite: calls to a closed store fail at once, and running ones finish', async () => {
  const store = new Store({ location: newFile() })
  await assert.rejects(
    store.sessions.balance('0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf', ''),
    /is not open/,
  )
  await store.open()
  const writing = store.recordPayment(
    paymentRecord({ nonces: [1], credit: Rational.one, winners: [wonTicket(1)] }),
  )
  await store.close()
  assert.ok(await writing)
})

test('SQLite: a debit that may wait is written with the next payment, or when the store is closed', async () => {
  const alice = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
  const store = new Store({ location: newFile(), debitPatienceMs: 3_600_000 })
  await store.open()
  const first = store.sessions.debit(alice, 'deadbeef', Rational.of(2n), 0)
  await store.recordPayment(paymentRecord({ nonces: [1], credit: Rational.of(5n) }))
  assert.deepEqual(await first, Rational.of(-2n), 'it came first')
  assert.deepEqual(await store.sessions.balance(alice, 'deadbeef'), Rational.of(3n))
  const last = store.sessions.debit(alice, 'deadbeef', Rational.of(7n), 0)
  await store.close()
  assert.deepEqual(await last, Rational.of(-4n))
})

const WRITER = fileURLToPath(new URL('../../../test/suites/store-writer.ts', import.meta.url))
const KILLS = 6

test('SQLite: acknowledged payments survive kill -9, and payments are never stored partly', async (t) => {
  const location = newFile()
  const dice = seededDice('kill')
  const acknowledged = new Set<number>()
  for (let round = 0; round < KILLS; round++) {
    await killedWriter(location, round * 1_000_000, 5 + Math.floor(dice.fraction() * 150), acknowledged)
  }
  const store = new Store({ location })
  await store.open()
  const { used } = await store.noncesOf(new Uint8Array(32).fill(1))
  const tickets = new Set(
    (await Array.fromAsync(store.unfinishedTickets())).flat().map(({ ticket }) => ticket.senderNonce),
  )
  const balance = await store.sessions.balance('0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf', 'deadbeef')
  const [counted] = await store.countTickets()
  const { ever } = await store.money(0)
  await store.close()
  assert.equal(counted?.count, tickets.size)
  assert.equal(weiOfParts(ever.received), BigInt(used.size))
  assert.equal(ever.won, counted?.faceValue)
  const missing = [...acknowledged].filter((nonce) => !used.has(nonce) || !tickets.has(nonce))
  assert.deepEqual(missing, [])
  assert.deepEqual(used, tickets)
  assert.deepEqual(balance, Rational.of(BigInt(used.size)))
  assert.ok(acknowledged.size > KILLS * 5, `${acknowledged.size} acknowledged`)
  t.diagnostic(`${acknowledged.size} payments acknowledged over ${KILLS} kills, ${used.size} found`)
})

/** Lets a child process write payments and kills it once it has acknowledged some. */
function killedWriter(
  location: string,
  from: number,
  count: number,
  acknowledged: Set<number>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WRITER, location, String(from)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let seen = 0
    createInterface({ input: child.stdout }).on('line', (line) => {
      acknowledged.add(Number(line))
      if (++seen === count) child.kill('SIGKILL')
    })
    child.on('error', reject)
    child.on('close', (_code, signal) =>
      signal === 'SIGKILL' ? resolve() : reject(new Error(`the writer ended by itself after ${seen}`)),
    )
  })
}

test('SQLite: a file that is not a database is refused with what to do', async () => {
  const location = newFile()
  mkdirSync(dirname(location))
  writeFileSync(location, 'x'.repeat(4_096))
  await assert.rejects(new Store({ location }).open(), {
    code: 'store-unwritable',
    message: `the database ${location} cannot be used, it is not a database: move it away with the files of the same name beside it, and start without it or with a backup`,
  })
  const folder = join(dirname(location), 'folder')
  mkdirSync(folder)
  await assert.rejects(new Store({ location: folder }).open(), {
    code: 'store-unwritable',
    message: `the database ${folder} cannot be used, there is a folder where a file should be: fix that, or give the node another -dataDir`,
  })
})

test('SQLite: on a full disk every write fails with that reason, none is stored partly, the fault is shown, and writes succeed again afterwards', async () => {
  const database = await openDatabase({ location: newFile() })
  const told: (string | null)[] = []
  const commits = new CommitQueue(database, (fault) => told.push(fault))
  const write = (key: string, value: string) =>
    commits.run((tx) => tx.insertInto('kv').values({ key, value }).execute())
  await write('first', '')
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(database.db)
  await sql.raw(`pragma max_page_count = ${rows[0]!.page_count}`).execute(database.db)
  const outcomes = await Promise.allSettled([
    write('small', ''),
    write('large', 'x'.repeat(100_000)),
    write('last', ''),
  ])
  for (const outcome of outcomes) {
    assert.equal(outcome.status, 'rejected')
    assert.match(outcome.reason.message, /^database or disk is full$/)
  }
  assert.match(commits.fault!, /^the database .* cannot be used, the disk is full: fix that, or give/)
  const kept = await database.db.selectFrom('kv').select('key').execute()
  assert.deepEqual(
    kept.map(({ key }) => key),
    ['first'],
  )
  await sql.raw('pragma max_page_count = 100000').execute(database.db)
  await write('large', 'x'.repeat(100_000))
  assert.equal(commits.fault, null)
  assert.equal(told.length, 2, 'told once when it begins and once when it ends')
  assert.equal(told[1], null)
  await database.close()
})

test('SQLite: a database in memory writes no file', async () => {
  const store = new Store({ location: IN_MEMORY, sqliteSync: 'thread' })
  await store.open()
  await store.records.saveCursor('{}')
  assert.equal(await store.records.loadCursor(), '{}')
  await store.close()
  assert.equal(existsSync(IN_MEMORY), false)
})

test('a disk that fails to store a commit is detected, and nothing is acknowledged', async () => {
  const database = await openDatabase({ location: newFile() })
  let fails = true
  const commits = new CommitQueue({
    db: database.db,
    sync: async () => {
      if (fails) throw new Error('EIO: i/o error, fdatasync')
    },
    explain: (error) => error,
  })
  const write = () => commits.run((tx) => tx.insertInto('kv').values({ key: 'a', value: 'b' }).execute())
  await assert.rejects(write(), /EIO/)
  await assert.rejects(commits.broken, /EIO/)
  fails = false
  await assert.rejects(write(), /EIO/, 'the system reports a failed sync only once')
  await database.close()
})
