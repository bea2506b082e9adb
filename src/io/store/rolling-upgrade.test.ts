import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Postgres } from '../../../devnet/postgres.ts'
import { accountsSuite } from '../../../test/suites/accounts.ts'
import { moneySuite } from '../../../test/suites/money.ts'
import { storeSuite } from '../../../test/suites/store.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { migrate } from './migrate.ts'
import { MIGRATIONS, type Migration } from './migrations.ts'
import { DEFAULT_SCHEMA } from './open.ts'
import { openPostgres } from './postgres.ts'
import { Store } from './store.ts'

const NOW = MIGRATIONS.at(-1)!.version
const TABLES = [
  ...['kv', 'secrets', 'tickets', 'ticket_totals', 'nonces', 'revealed_rands', 'balances', 'transactions'],
  ...['money', 'holds', 'writers', 'members', 'leases', 'migrations'],
]
/** What a later release may do to every table. */
const LATER: Migration = {
  version: NOW + 1,
  oldest: NOW,
  statements: TABLES.flatMap((table) => [
    `alter table ${table} add column added_later text not null default 'x'`,
    `create index ${table}_by_what_was_added on ${table} (added_later)`,
  ]),
  postgres: [
    `create table added_later (id integer primary key)`,
    `create function settle_segments_of_later_1() returns integer language sql return 1`,
  ],
}
const LAST: Migration = { version: NOW + 2, oldest: NOW + 1, statements: [] }

let postgres: Postgres
before(async () => {
  postgres = await Postgres.start({ within: memoryFolder(), settings: { fsync: 'off' } })
})
after(() => postgres.stop())

async function upgrade(location: string, migrations: readonly Migration[]): Promise<void> {
  const database = openPostgres(location, DEFAULT_SCHEMA)
  await migrate(database, migrations)
  await database.close()
}

const onLaterSchema = async () => {
  const location = await postgres.newDatabase()
  await upgrade(location, [...MIGRATIONS, LATER])
  return location
}
for (const suite of [storeSuite, moneySuite, accountsSuite]) {
  suite('the schema of the next release', onLaterSchema, { shared: true })
}

test('a node goes on while the schema is upgraded, starts again beside it, and two releases older is refused', async () => {
  const location = await postgres.newDatabase()
  const running = new Store({ location })
  await running.open()
  await running.records.saveCursor('{"block":"1"}')
  await upgrade(location, [...MIGRATIONS, LATER])
  await running.records.saveCursor('{"block":"2"}')
  await running.close()
  const again = new Store({ location })
  await again.open()
  assert.equal(await again.records.loadCursor(), '{"block":"2"}')
  await again.close()
  await upgrade(location, [...MIGRATIONS, LATER, LAST])
  await assert.rejects(new Store({ location }).open(), {
    code: 'store-too-new',
    message: `the database was written by a newer version (schema ${NOW + 2}, this version knows ${NOW}): upgrade this node`,
  })
})

/** The first version after which an older release must go on working. */
const RULE_FROM = 6
const ADDITIONS = [
  /^\s*create (unique )?index \w+ on /,
  /^\s*create table \w+ /,
  /^\s*create function \w+_\d+\(/,
  /^\s*alter table \w+ add column \w+ \w+( not null default \S+| default \S+)?\s*$/,
]

test('from the first shared release on the schema only grows', () => {
  for (const { version, oldest = version, postgres: own = [], statements } of MIGRATIONS) {
    if (version < RULE_FROM) continue
    assert.ok(oldest <= version && oldest >= RULE_FROM)
    for (const statement of [...statements, ...own]) {
      assert.ok(
        ADDITIONS.some((addition) => addition.test(statement)),
        `version ${version} does more than add: ${statement.slice(0, 80)}`,
      )
    }
  }
  assert.ok(!ADDITIONS.some((addition) => addition.test('alter table kv add column a text not null')))
  assert.ok(!ADDITIONS.some((addition) => addition.test('drop table kv')))
})
