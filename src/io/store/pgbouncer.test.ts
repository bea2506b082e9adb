import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Postgres } from '../../../devnet/postgres.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { hasPgbouncer, Pgbouncer } from '../../../test/net/pgbouncer.ts'
import { accountsSuite } from '../../../test/suites/accounts.ts'
import { moneySuite } from '../../../test/suites/money.ts'
import { storeSuite } from '../../../test/suites/store.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { until } from '../../../test/tools/until.ts'
import { ManualClock, systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { LeaseRows } from './lease-rows.ts'
import { MemberRows } from './member-rows.ts'
import { Store } from './store.ts'
import { StoreSession } from './store-session.ts'

/** A cluster's store behind the real PgBouncer, which gives each transaction another connection. */

if (!hasPgbouncer()) {
  test('a store works through PgBouncer in transaction mode', (t) => t.skip('pgbouncer is not installed'))
} else {
  let postgres: Postgres
  let pooler: Pgbouncer
  before(async () => {
    postgres = await Postgres.start({ within: memoryFolder(), settings: { fsync: 'off' } })
    pooler = await Pgbouncer.start(postgres.url())
  })
  after(async () => {
    await pooler[Symbol.asyncDispose]()
    await postgres.stop()
  })

  const newPlace = async () => pooler.through(await postgres.newDatabase())
  const suites = process.env.POOLED_SUITES ? [storeSuite, moneySuite, accountsSuite] : [accountsSuite]
  for (const suite of suites) suite('PgBouncer', newPlace, { shared: true })

  test('members and leases work through PgBouncer; its connections are shared', async () => {
    const location = await newPlace()
    const stores = ['a', 'b', 'c'].map((node) => new Store({ location, node }))
    await Promise.all(stores.map((store) => store.open()))
    const wish = (instance: string) => ({ lease: 'l', instance, node: instance, rank: 1, isWatched: false })
    const [a, b] = stores.map((store) => new LeaseRows(store))
    assert.equal((await a!.take(wish('a'), 60_000))?.epoch, 1n)
    assert.equal((await b!.take(wish('b'), 60_000))?.instance, 'a')
    await a!.release('l', 'a')
    assert.equal((await b!.take(wish('b'), 60_000))?.epoch, 2n)
    const members = new MemberRows(stores[0]!)
    const member = {
      ...{
        node: '0'.repeat(16),
        instance: '1'.repeat(16),
        account: '',
        roles: ['orchestrator'],
        version: '1',
      },
      ...{ address: 'host:1', fingerprint: '' },
      work: { takesSegments: true, maxSessions: 1, sessions: 0, segments: 0 },
    }
    assert.notEqual(await members.renew(member, { ms: 6_000, takesOver: true }), null)
    assert.equal((await members.members()).length, 1)
    const [{ count }] = (await postgres.run(
      `select count(*)::int as count from pg_stat_activity where datname = '${new URL(location).pathname.slice(1)}'`,
    )) as [{ count: number }]
    assert.ok(count <= 3, `${count} connections`)
    await Promise.all(stores.map((store) => store.close()))
  })

  test('a session through PgBouncer in transaction mode is not held, and the log says which flag to change', async () => {
    const direct = await postgres.newDatabase()
    const store = new Store({ location: pooler.through(direct) })
    await store.open()
    const clock = new ManualClock()
    const log = new RecordingLog()
    const needs = { store, clock, log }
    const session = new StoreSession({ url: pooler.through(direct), instance: 'a' }, needs)
    await using supervisor = new Supervisor()
    await supervisor.start(session)
    await until(async () => {
      await clock.wind(30_000)
      await sleep(50)
      assert.equal(session.isHeld, false)
      return log.lines.some(({ level }) => level === 'warn') ? true : null
    }, 'the warning')
    const warning = log.lines.find(({ level }) => level === 'warn')!
    assert.equal(
      warning.message,
      'no session with the database, so that the end of this process is noticed later: -storeSessionUrl must reach PostgreSQL itself, or a pooler in session mode',
    )
    assert.equal(warning.fields.reason, 'its statements reach several sessions')
    await store.close()
  })

  test('a session directly, or through PgBouncer in session mode, is held', async () => {
    await using sessions = await Pgbouncer.start(postgres.url(), 'session')
    const direct = await postgres.newDatabase()
    const store = new Store({ location: pooler.through(direct) })
    await store.open()
    for (const url of [direct, sessions.through(direct)]) {
      await using supervisor = new Supervisor()
      const session = new StoreSession({ url, instance: url }, { store, clock: systemClock, log: silentLog })
      await supervisor.start(session)
      await until(async () => (session.isHeld ? true : null), 'the session')
      await supervisor.stop()
    }
    await store.close()
  })
}
