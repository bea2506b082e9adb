import { closeSync, mkdirSync, openSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { Kysely, PostgresDialect, SqliteDialect, sql } from 'kysely'
import pg from 'pg'
import { NodeError } from '../../lib/errors.ts'
import { MIGRATIONS } from './migrations.ts'
import type { Tables } from './tables.ts'

/** How long to wait for somebody who only reads the SQLite file. */
const SQLITE_BUSY_MS = 5_000
/** Prepared statements kept for reuse; lists of parameters make many. */
const MAX_PREPARED = 200
const POSTGRES_CONNECTIONS = 4
const POSTGRES_CONNECT_MS = 10_000
/** Any number that other programs in the same database are unlikely to lock. */
const MIGRATION_LOCK = 7_239_114
const SQLITE_BUSY = 5

export type StoreFault = 'store-in-use' | 'store-too-new' | 'store-unavailable' | 'wrong-chain'

/** Why the store cannot be used; the message says what to do. */
export class StoreError extends NodeError<StoreFault> {
  override name = 'StoreError'
}

/** An open database with an up-to-date schema. */
export interface Database {
  readonly db: Kysely<Tables>
  /** Whether rows are shared with other processes and must be locked before they are changed. */
  readonly shared: boolean
  /** Resolves once all that was committed before is on disk, whatever happens to the machine. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** Who syncs SQLite's log after a commit: SQLite, with the whole process waiting, or a thread, with only the commit. */
export type SqliteSync = 'inline' | 'thread'

/**
 * Opens a database and brings its schema up to date: PostgreSQL for a `postgres://` URL, otherwise SQLite in a file of
 * that path, which belongs to one process at a time. Throws StoreError.
 */
export async function openDatabase(location: string, sqliteSync: SqliteSync): Promise<Database> {
  const isPostgres = /^postgres(ql)?:\/\//.test(location)
  const database = isPostgres ? openPostgres(location) : openSqlite(location, sqliteSync)
  try {
    await migrate(database)
    return database
  } catch (error) {
    await database.close()
    throw error
  }
}

function openPostgres(url: string): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: POSTGRES_CONNECTIONS,
    connectionTimeoutMillis: POSTGRES_CONNECT_MS,
  })
  // An idle connection that breaks is replaced by the pool; the next query tells if that fails.
  pool.on('error', () => {})
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  // A server that has committed has synced.
  return { db, shared: true, sync: async () => {}, close: () => db.destroy() }
}

function openSqlite(path: string, sqliteSync: SqliteSync): Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const lock = lockFile(path)
  try {
    makePrivate(path)
    const file = new DatabaseSync(path)
    // Full: a commit that returned is on disk, whatever happens to the machine. Normal: file and log stay consistent, and
    // the log is left to us to sync.
    const synchronous = sqliteSync === 'inline' ? 'full' : 'normal'
    file.exec(
      `pragma busy_timeout = ${SQLITE_BUSY_MS}; pragma journal_mode = wal; pragma synchronous = ${synchronous}; pragma foreign_keys = on`,
    )
    let log: FileHandle | null = null
    const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: new PreparingDatabase(file) }) })
    return {
      db,
      shared: false,
      sync: async () => {
        if (sqliteSync === 'inline') return
        log ??= await openLog(path)
        await log.datasync()
      },
      close: async () => {
        await log?.close()
        // Kysely closes only what it has used.
        await db.destroy()
        if (file.isOpen) file.close()
        lock.close()
      },
    }
  } catch (error) {
    lock.close()
    throw error
  }
}

/** Opens the log that SQLite keeps beside its file, once its name is on disk too. */
async function openLog(path: string): Promise<FileHandle> {
  const log = await open(`${path}-wal`, 'r+')
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
  return log
}

/** Holds an exclusive lock beside the file until closed; the operating system ends it with the process. */
function lockFile(path: string): DatabaseSync {
  makePrivate(`${path}.lock`)
  const lock = new DatabaseSync(`${path}.lock`)
  try {
    lock.exec('pragma busy_timeout = 0; begin exclusive')
    return lock
  } catch (error) {
    lock.close()
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error
    throw new StoreError(
      'store-in-use',
      `another process is using ${path}: stop it first, or give this one a -dataDir of its own`,
      { cause: error },
    )
  }
}

/** Creates the file, if need be, such that only its owner can read it: secrets are kept in it. */
function makePrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600))
}

async function migrate({ db, shared }: Database): Promise<void> {
  await db.transaction().execute(async (tx) => {
    if (shared) await sql`select pg_advisory_xact_lock(${MIGRATION_LOCK})`.execute(tx)
    await sql`create table if not exists migrations (version integer primary key)`.execute(tx)
    const done = await sql<{
      version: number
    }>`select coalesce(max(version), 0) as version from migrations`.execute(tx)
    const version = Number(done.rows[0]!.version)
    const known = MIGRATIONS.at(-1)!.version
    if (version > known) {
      throw new StoreError(
        'store-too-new',
        `the database was written by a newer version (schema ${version}, this version knows ${known}): upgrade this node`,
      )
    }
    for (const migration of MIGRATIONS.filter((step) => step.version > version)) {
      for (const statement of migration.statements) await sql.raw(statement).execute(tx)
      await migration.fill?.(tx)
      await sql`insert into migrations (version) values (${migration.version})`.execute(tx)
    }
  })
}

/** Node's SQLite in the form that Kysely's dialect asks for, with its statements kept prepared. */
class PreparingDatabase {
  readonly #file: DatabaseSync
  readonly #prepared = new Map<string, PreparedStatement>()

  constructor(file: DatabaseSync) {
    this.#file = file
  }

  prepare(text: string): PreparedStatement {
    const known = this.#prepared.get(text)
    if (known) {
      this.#prepared.delete(text)
      this.#prepared.set(text, known)
      return known
    }
    const statement = new PreparedStatement(this.#file.prepare(text))
    this.#prepared.set(text, statement)
    if (this.#prepared.size > MAX_PREPARED) this.#prepared.delete(this.#prepared.keys().next().value!)
    return statement
  }

  close(): void {
    this.#prepared.clear()
    this.#file.close()
  }
}

class PreparedStatement {
  readonly reader: boolean
  readonly #statement: StatementSync

  constructor(statement: StatementSync) {
    this.#statement = statement
    this.reader = statement.columns().length > 0
  }

  all(parameters: readonly unknown[]): unknown[] {
    return this.#statement.all(...(parameters as SQLInputValue[]))
  }

  run(parameters: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint } {
    return this.#statement.run(...(parameters as SQLInputValue[]))
  }

  iterate(parameters: readonly unknown[]): IterableIterator<unknown> {
    return this.#statement.iterate(...(parameters as SQLInputValue[]))
  }
}
