import { type Kysely, sql } from 'kysely'
import { type Database, StoreError } from './database.ts'
import { MIGRATIONS } from './migrations.ts'
import type { Tables } from './tables.ts'

/** An arbitrary number that other programs in the same database are unlikely to lock. */
const MIGRATION_LOCK = 7_239_114

/** The oldest PostgreSQL whose SQL the schema is written in, as the server tells its version in a number. */
const OLDEST_SERVER = 140_000

/** The first version that says which older ones work on it. */
const FIRST_WITH_OLDEST = 6

/**
 * Brings the schema of a database up to date, in one transaction; processes that start at the same moment wait for one
 * another. A newer schema is used as it is if it says that this version's code works on it. Throws StoreError
 * `store-too-new` if it does not.
 */
export async function migrate({ db, schema }: Database, migrations = MIGRATIONS): Promise<void> {
  await db.transaction().execute(async (tx) => {
    if (schema !== null) await enterSchema(tx, schema)
    await sql`create table if not exists migrations (version integer primary key)`.execute(tx)
    const done = await sql<{
      version: number
    }>`select coalesce(max(version), 0) as version from migrations`.execute(tx)
    const version = Number(done.rows[0]!.version)
    const known = migrations.at(-1)!.version
    if (version > known) {
      const oldest = await oldestFor(tx, version)
      if (oldest <= known) return
      throw new StoreError(
        'store-too-new',
        `the database was written by a newer version (schema ${version}, this version knows ${known}): upgrade this node`,
      )
    }
    for (const migration of migrations.filter((step) => step.version > version)) {
      const own = schema === null ? migration.sqlite : migration.postgres
      for (const statement of [...migration.statements, ...(own ?? [])]) await sql.raw(statement).execute(tx)
      await migration.fill?.(tx)
      await sql`insert into migrations (version) values (${migration.version})`.execute(tx)
      if (migration.version < FIRST_WITH_OLDEST) continue
      const oldest = migration.oldest ?? migration.version
      await sql`update migrations set oldest = ${oldest} where version = ${migration.version}`.execute(tx)
    }
  })
}

/** The oldest version whose code works on the schema of this one. */
async function oldestFor(tx: Kysely<Tables>, version: number): Promise<number> {
  const found = await sql<{
    oldest: number | null
  }>`select oldest from migrations where version = ${version}`.execute(tx)
  return found.rows[0]?.oldest ?? version
}

/** Makes the schema if it does not exist, and uses it to the end of the transaction. */
async function enterSchema(tx: Kysely<Tables>, schema: string): Promise<void> {
  await checkServer(tx)
  await sql`select pg_advisory_xact_lock(${MIGRATION_LOCK}, hashtext(${schema}))`.execute(tx)
  const found = await sql`select 1 from pg_namespace where nspname = ${schema}`.execute(tx)
  // `if not exists` would ask for the right to make schemas even where it exists.
  if (found.rows.length === 0) await sql`create schema ${sql.id(schema)}`.execute(tx)
  await checkRights(tx, schema)
  await sql`select set_config('search_path', ${`"${schema}"`}, true)`.execute(tx)
}

async function checkServer(tx: Kysely<Tables>): Promise<void> {
  const { rows } = await sql<{
    number: number
    name: string
  }>`select current_setting('server_version_num')::integer as number, current_setting('server_version') as name`.execute(
    tx,
  )
  const { name, number } = rows[0]!
  if (number >= OLDEST_SERVER) return
  throw new StoreError(
    'store-unavailable',
    `the database is PostgreSQL ${name}, and the store of a cluster needs version 14 or newer: upgrade it, or give -store another`,
  )
}

async function checkRights(tx: Kysely<Tables>, schema: string): Promise<void> {
  const { rows } = await sql<{
    user: string
    mayUse: boolean
  }>`select current_user::text as "user", has_schema_privilege(${schema}, 'usage') and has_schema_privilege(${schema}, 'create') as "mayUse"`.execute(
    tx,
  )
  const { mayUse, user } = rows[0]!
  if (mayUse) return
  throw new StoreError(
    'store-unavailable',
    `the user ${user} of the database may not use its schema ${schema}: grant usage and create on that schema and all rights on its tables to this user, or give the node another user in -store`,
  )
}
