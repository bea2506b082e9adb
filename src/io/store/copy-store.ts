import type { Kysely } from 'kysely'
import { counted } from '../../lib/counted.ts'
import { type Database, StoreError } from './database.ts'
import { MemberRows } from './member-rows.ts'
import { DEFAULT_SCHEMA, isPostgresUrl, type Location, openDatabase } from './open.ts'
import type { Tables } from './tables.ts'

/** Rows read and written at once. */
const PAGE_ROWS = 500

/** The tables that are copied, each with its primary key; of the others nothing outlives a node. */
const KEYS: { readonly [Table in CopiedTable]: readonly (keyof Tables[Table] & string)[] } = {
  kv: ['key'],
  secrets: ['purpose', 'version'],
  tickets: ['hash'],
  ticket_totals: ['node', 'state', 'reason'],
  nonces: ['rand_hash', 'nonce'],
  revealed_rands: ['rand_hash'],
  balances: ['sender', 'session_id'],
  money: ['node', 'period', 'at'],
  transactions: ['account', 'nonce'],
  ticket_story: ['hash', 'seq'],
  ticket_transactions: ['hash', 'account', 'nonce'],
  ledger: ['node', 'day', 'sender'],
  rewards: ['round'],
  control_settings: ['node', 'name'],
  control_changes: ['node', 'seq'],
}

type CopiedTable =
  | 'kv'
  | 'secrets'
  | 'tickets'
  | 'ticket_totals'
  | 'nonces'
  | 'revealed_rands'
  | 'balances'
  | 'money'
  | 'transactions'
  | 'ticket_story'
  | 'ticket_transactions'
  | 'ledger'
  | 'rewards'
  | 'control_settings'
  | 'control_changes'

/** How many rows of a table were copied and found equal. */
export interface CopiedRows {
  readonly table: string
  readonly rows: number
}

type Row = Readonly<Record<string, unknown>>

/**
 * Copies a store into an empty one, SQLite or PostgreSQL either way, and compares every row before it commits: after an
 * error the target is as it was. How far each node has followed the chain is left out: it begins at the newest block. Throws
 * StoreError, among others `store-in-use` while a node uses one of them, and `store-not-empty`.
 */
export async function copyStore(from: Location, to: Location): Promise<CopiedRows[]> {
  const source = await openDatabase(from)
  try {
    await refuseMembers(source, from)
    const target = await openDatabase(to)
    try {
      await refuseMembers(target, to)
      return await target.db.transaction().execute(async (tx) => {
        const copied: CopiedRows[] = []
        for (const table of Object.keys(KEYS) as CopiedTable[]) {
          await refuseRows(tx, table, to)
          copied.push({ table, rows: await copyTable(source.db, tx, table) })
        }
        for (const { rows, table } of copied) {
          await compareTable(source.db, tx, table as CopiedTable, rows)
        }
        return copied
      })
    } catch (error) {
      throw target.explain(error)
    } finally {
      await target.close()
    }
  } catch (error) {
    throw source.explain(error)
  } finally {
    await source.close()
  }
}

/** A file is locked by its node; of a cluster each node has a lease. */
async function refuseMembers(database: Database, { schema = DEFAULT_SCHEMA }: Location): Promise<void> {
  if (!database.shared) return
  const living = (await new MemberRows({ database }).members()).filter(({ leftMs }) => leftMs > 0)
  if (living.length === 0) return
  const where = living.map(({ address }) => address).join(', ')
  throw new StoreError(
    'store-in-use',
    `the schema ${schema} is in use by ${counted(living.length, 'node')} (${where}), so nothing was copied: stop them first`,
  )
}

async function refuseRows(tx: Kysely<Tables>, table: CopiedTable, { location }: Location): Promise<void> {
  const found = await anyTable(tx).selectFrom(table).selectAll().limit(1).execute()
  if (found.length === 0) return
  const what = isPostgresUrl(location) ? 'the schema of the target database' : location
  const change = isPostgresUrl(location) ? 'give another -storeSchema' : 'give another file'
  throw new StoreError(
    'store-not-empty',
    `${what} has rows in its table ${table} already, so nothing was copied: ${change}`,
  )
}

async function copyTable(source: Kysely<Tables>, tx: Kysely<Tables>, table: CopiedTable): Promise<number> {
  let count = 0
  for await (const rows of pagesOf(source, table)) {
    await anyTable(tx).insertInto(table).values(rows).execute()
    count += rows.length
  }
  return count
}

/** Compares every row of the source with that of the same key in the target, and their numbers. */
async function compareTable(
  source: Kysely<Tables>,
  tx: Kysely<Tables>,
  table: CopiedTable,
  copied: number,
): Promise<void> {
  const { count } = (await anyTable(tx)
    .selectFrom(table)
    .select((e) => e.fn.countAll().as('count'))
    .executeTakeFirstOrThrow()) as { count: unknown }
  let seen = 0
  for await (const rows of pagesOf(source, table)) {
    const found = await anyTable(tx)
      .selectFrom(table)
      .selectAll()
      .where((e) => e.or(rows.map((row) => e.and(keyOf(table, row)))))
      .execute()
    const texts = new Set(found.map(textOf))
    const missing = rows.find((row) => !texts.has(textOf(row)))
    if (missing) throw differs(table, `the row ${JSON.stringify(keyOf(table, missing))} is not the same`)
    seen += rows.length
  }
  if (seen !== copied || Number(count) !== copied)
    throw differs(table, `${seen} rows were read, ${copied} copied and ${count} found`)
}

function differs(table: string, what: string): StoreError {
  return new StoreError(
    'store-copy-differs',
    `the copy of the table ${table} differs from it, so nothing was copied: ${what}`,
  )
}

/** All rows in the order of their key, some at a time. */
async function* pagesOf(db: Kysely<Tables>, table: CopiedTable): AsyncGenerator<readonly Row[]> {
  const key = KEYS[table] as readonly string[]
  let last: Row | null = null
  for (;;) {
    const after: Row | null = last
    const rows: Row[] = await anyTable(db)
      .selectFrom(table)
      .selectAll()
      .$if(after !== null, (q) =>
        q.where((e) =>
          // Typed for two columns or more; one is a tuple too.
          e(
            e.refTuple(...(key as unknown as [string, string])),
            '>',
            e.tuple(...(key.map((name) => after![name]) as [unknown, unknown])),
          ),
        ),
      )
      .orderBy([...key])
      .limit(PAGE_ROWS)
      .execute()
    if (rows.length === 0) return
    last = rows.at(-1)!
    const kept = table === 'kv' ? rows.filter((row) => !String(row.key).startsWith('chain-cursor/')) : rows
    if (kept.length > 0) yield kept
    if (rows.length < PAGE_ROWS) return
  }
}

function keyOf(table: CopiedTable, row: Row): Row {
  return Object.fromEntries((KEYS[table] as readonly string[]).map((name) => [name, row[name]]))
}

/** A row as text. Databases return integers as numbers or as text. */
function textOf(row: Row): string {
  return JSON.stringify(
    Object.keys(row)
      .sort()
      .map((name) => [name, row[name] === null ? null : String(row[name])]),
  )
}

/** The columns of a table are those that it has: all are copied. */
function anyTable(db: Kysely<Tables>): Kysely<Record<string, Record<string, unknown>>> {
  return db as unknown as Kysely<Record<string, Record<string, unknown>>>
}
