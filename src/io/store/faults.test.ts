import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { Postgres } from '../../../devnet/postgres.ts'
import { TcpLink } from '../../../devnet/tcp-link.ts'
import { holdRequest } from '../../../test/suites/accounts.ts'
import { paymentRecord, wonTicket } from '../../../test/suites/store.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { ticketHash } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'
import { Rational } from '../../lib/rational.ts'
import { Store } from './store.ts'

const ALICE: Address = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
/** Every call is answered within this time, whatever the database does; most answers come within 5 s. */
const BOUND_MS = 25_000

let postgres: Postgres
before(async () => {
  postgres = await Postgres.start({ within: memoryFolder(), settings: { fsync: 'off' } })
})
after(() => postgres.stop())

/** A store whose connections pass a link that can fail. */
async function linked(t: TestContext, server = postgres) {
  const location = await server.newDatabase()
  const link = await TcpLink.open(server.port)
  const through = new URL(location)
  through.port = `${link.port}`
  const store = new Store({ location: through.href, node: 'one' })
  await store.open()
  const direct = new Store({ location, node: 'two' })
  await direct.open()
  t.after(async () => {
    link.restore()
    await Promise.all([store.close(), direct.close()])
    await link[Symbol.asyncDispose]()
  })
  return { store, direct, link, location }
}

/** Pays 10 wei for a segment of 4, with a winning ticket, and charges 3. */
async function segment(store: Store, nonce: number): Promise<void> {
  const hold = holdRequest({ pixels: 4n })
  const payment = paymentRecord({ nonces: [nonce], credit: Rational.of(10n), winners: [wonTicket(nonce)] })
  const started = await store.beginSegment({ payment, hold })
  assert.deepEqual(
    started.newWinners,
    payment.winners,
    'what was recorded is told as if nothing had happened',
  )
  assert.ok(started.hold)
  await store.endSegment({ ...hold, fee: Rational.of(3n) })
}

async function bounded<T>(work: Promise<T>): Promise<T> {
  const begun = performance.now()
  try {
    return await work
  } finally {
    const took = performance.now() - begun
    assert.ok(took < BOUND_MS, `answered after ${Math.round(took)} ms`)
  }
}

test('a connection cut at any statement loses nothing and does nothing twice', async (t) => {
  const { direct, link, store } = await linked(t)
  let nonce = 0
  let winners = 0
  let cuts = 0
  for (const when of ['before', 'after'] as const) {
    for (let piece = 1, isOver = false; !isOver; piece++) {
      link.cutAt(piece, when)
      await bounded(segment(store, ++nonce))
      const ticket = wonTicket(100_000 + nonce)
      const added = await bounded(store.addTickets([ticket], 0))
      assert.deepEqual(added, [ticket])
      await bounded(store.saveTicketState(ticketHash(ticket), { kind: 'delivered' }, 0))
      winners += 2
      isOver = link.pieces < piece
      if (!isOver) cuts++
      const balance = await direct.sessions.balance(ALICE, 'deadbeef')
      assert.deepEqual(balance, Rational.of(7n * BigInt(nonce)), `cut ${when} piece ${piece}`)
    }
  }
  assert.ok(cuts > 10, `${cuts} cuts`)
  t.diagnostic(`${cuts} cuts`)
  const counted = await direct.countTickets()
  assert.deepEqual(
    counted.map(({ count, state }) => [state, count]),
    [
      ['delivered', winners / 2],
      ['open', winners / 2],
    ],
  )
  const { ever } = await direct.money(0)
  assert.equal(ever.ticketsWon, winners)
  assert.equal(ever.ticketsReceived, winners)
  assert.equal((await direct.noncesOf(new Uint8Array(32).fill(1))).used.size, nonce)
  assert.equal(store.fault, null)
})

test('serialisation failures and deadlocks are tried again, and nothing is done twice', async (t) => {
  const { location, store } = await linked(t)
  await postgresRun(
    location,
    'create sequence livepeer.faults',
    `create function livepeer.fault() returns trigger language plpgsql as $$
      begin
        case nextval('livepeer.faults') % 4
          when 1 then raise exception 'injected' using errcode = 'serialization_failure';
          when 2 then raise exception 'injected' using errcode = 'deadlock_detected';
          else return new;
        end case;
      end $$`,
    'create trigger fault before insert or update on livepeer.balances for each row execute function livepeer.fault()',
    'create trigger fault before insert on livepeer.tickets for each row execute function livepeer.fault()',
  )
  for (let nonce = 1; nonce <= 10; nonce++) await bounded(segment(store, nonce))
  assert.equal((await bounded(store.addTickets([wonTicket(1_000)], 0))).length, 1)
  assert.deepEqual(await store.sessions.balance(ALICE, 'deadbeef'), Rational.of(70n))
  const [counted] = await store.countTickets()
  assert.equal(counted?.count, 11)
})

test('a slow database makes answers slow and nothing else', async (t) => {
  const { link, store } = await linked(t)
  link.slow(200)
  await bounded(segment(store, 1))
  await bounded(store.records.saveCursor('{}'))
  assert.equal(store.fault, null)
})

test('while the database is silent every call fails in time; what it did is found out when it answers again', async (t) => {
  const { direct, link, store } = await linked(t)
  await segment(store, 1)
  link.freeze()
  const asked = await bounded(
    Promise.allSettled([
      store.recordPayment(paymentRecord({ nonces: [2], credit: Rational.of(10n) })),
      store.recordPayment(paymentRecord({ nonces: [3], credit: Rational.of(10n), sessionId: 'two' })),
      store.records.saveCursor('{"block":"1"}'),
    ]),
  )
  for (const answer of asked) {
    assert.equal(answer.status, 'rejected')
    assert.match(String(answer.reason), /did not answer within|cannot be used|timeout/)
  }
  assert.match(store.fault ?? '', /^the database at .* cannot be used: /)
  link.restore()
  await eventually(async () => {
    await segment(store, 4)
    await store.records.saveCursor('{"block":"2"}')
    return true
  })
  assert.equal(store.fault, null)
  // Each of the two was recorded whole or not at all, and is recorded once if it is paid again.
  for (const [nonce, sessionId] of [
    [2, 'deadbeef'],
    [3, 'two'],
  ] as const) {
    await store.recordPayment(paymentRecord({ nonces: [nonce], credit: Rational.of(10n), sessionId }))
  }
  assert.deepEqual(await direct.sessions.balance(ALICE, 'deadbeef'), Rational.of(24n))
  assert.deepEqual(await direct.sessions.balance(ALICE, 'two'), Rational.of(10n))
})

test('a restart of the database is survived without one of the node', async (t) => {
  await using server = await Postgres.start({ within: memoryFolder(), settings: { fsync: 'off' } })
  const { direct, store } = await linked(t, server)
  for (let nonce = 1; nonce <= 3; nonce++) await segment(store, nonce)
  for (const how of ['fast', 'crash'] as const) {
    await server.end(how)
    await assert.rejects(bounded(store.recordPayment(paymentRecord({ nonces: [100] }))), {
      code: 'store-unavailable',
    })
    await server.startAgain()
    await eventually(async () => {
      await store.recordPayment(paymentRecord({ sessionId: 'other' }))
      return true
    })
    assert.equal(store.fault, null)
  }
  assert.deepEqual(
    await direct.sessions.balance(ALICE, 'deadbeef'),
    Rational.of(21n),
    'no acknowledged payment is lost',
  )
  await segment(store, 4)
})

test('a database that is read-only, without rights or out of connections is named, and used again afterwards', async () => {
  await using server = await Postgres.start({
    within: memoryFolder(),
    settings: { max_connections: '14', superuser_reserved_connections: '2' },
  })
  const location = await server.newDatabase()
  const admin = new Store({ location })
  await admin.open()
  await admin.close()
  await server.run(`create role node login password 'node'`)
  const database = new URL(location).pathname.slice(1)
  const own = new URL(location)
  own.username = 'node'
  own.password = 'node'
  await assert.rejects(new Store({ location: own.href }).open(), {
    code: 'store-unavailable',
    message:
      'the user node of the database may not use its schema livepeer: grant usage and create on that schema and all rights on its tables to this user, or give the node another user in -store',
  })
  await postgresRun(
    location,
    'grant usage, create on schema livepeer to node',
    'grant all on all tables in schema livepeer to node',
  )
  const store = new Store({ location: own.href })
  await store.open()
  const pay = (nonce: number) => store.recordPayment(paymentRecord({ nonces: [nonce], credit: Rational.one }))
  await pay(1)
  const end = `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'node'`
  const faults = [
    {
      begin: [`alter role node in database ${database} set default_transaction_read_only = on`, end],
      says: /read-only transaction/,
      // As after a failover, connections to the former primary stay open.
      over: [`alter role node in database ${database} reset default_transaction_read_only`],
    },
    {
      begin: [`alter role node connection limit 0`, end],
      says: /too many connections/,
      over: [`alter role node connection limit -1`],
    },
    {
      begin: [`alter role node nologin`, end],
      says: /not permitted to log in/,
      over: [`alter role node login`],
    },
  ]
  let nonce = 1
  for (const { begin, over, says } of faults) {
    await server.run(...begin)
    await assert.rejects(bounded(pay(++nonce)), { code: 'store-unavailable', message: says })
    assert.match(store.fault ?? '', says)
    await server.run(...over)
    await eventually(async () => (await pay(++nonce)) !== null)
    assert.equal(store.fault, null)
  }
  await postgresRun(location, 'revoke all on livepeer.nonces from node')
  await assert.rejects(bounded(pay(++nonce)), {
    code: 'store-unavailable',
    message: /permission denied for table nonces/,
  })
  await postgresRun(location, 'grant all on livepeer.nonces to node')
  await eventually(async () => (await pay(++nonce)) !== null)
  await store.close()
})

/** Tries again until it holds; the last failure counts. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + BOUND_MS
  for (;;) {
    try {
      if (await holds()) return
      throw new Error('it does not hold')
    } catch (error) {
      if (performance.now() > end) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

async function postgresRun(location: string, ...statements: string[]): Promise<void> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString: location })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
