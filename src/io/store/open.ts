import { closeSync, mkdirSync, openSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'
import { diskFault } from '../../lib/disk-fault.ts'
import { type Database, StoreError } from './database.ts'
import { migrate } from './migrate.ts'
import { openPostgres, unavailable } from './postgres.ts'
import { syncFolderOf } from './sync-folder.ts'
import type { Tables } from './tables.ts'

/** How long to wait for another process that reads the SQLite file. */
const SQLITE_BUSY_MS = 5_000
/** Prepared statements kept for reuse; parameter lists of different lengths make many. */
const MAX_PREPARED = 200
const SQLITE_BUSY = 5

/** The location of a database in memory, which ends with the process. */
export const IN_MEMORY = ':memory:'

/** The schema in PostgreSQL where none is given. */
export const DEFAULT_SCHEMA = 'livepeer'

/**
 * How SQLite's log is synced after a commit: by SQLite, which blocks the process, or by a thread, for which only the
 * commit waits.
 */
export type SqliteSync = 'inline' | 'thread'

/** Where a database is. */
export interface Location {
  /** An SQLite file, or a `postgres://` URL. */
  readonly location: string
  /** The schema in PostgreSQL that holds the tables. */
  readonly schema?: string
  /** Absent: `inline`. */
  readonly sqliteSync?: SqliteSync
}

/** Whether a location is a PostgreSQL server's URL. */
export function isPostgresUrl(location: string): boolean {
  return /^postgres(ql)?:\/\//.test(location)
}

/**
 * Opens a database and brings its schema up to date: PostgreSQL for a `postgres://` URL, otherwise an SQLite file at
 * that path, which only one process may use. Throws StoreError.
 */
export async function openDatabase({ location, schema, sqliteSync = 'inline' }: Location): Promise<Database> {
  const open = (options = {}) =>
    isPostgresUrl(location)
      ? openPostgres(location, schema ?? DEFAULT_SCHEMA, options)
      : openSqlite(location, sqliteSync)
  // A step of the schema takes as long as it takes.
  const database = open({ statementMs: 0 })
  try {
    await migrate(database)
  } catch (error) {
    await database.close()
    throw database.shared ? unavailable(location, error) : database.explain(error)
  }
  if (!database.shared) return database
  await database.close()
  return open()
}

function openSqlite(path: string, sqliteSync: SqliteSync): Database {
  const explain = (error: unknown) => explained(path, error)
  let lock: Pick<DatabaseSync, 'close'> | null = null
  try {
    if (path !== IN_MEMORY) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      lock = lockFile(path)
      makePrivate(path)
    }
    const file = new DatabaseSync(path)
    // `full`: a finished commit is on disk. `normal`: file and log stay consistent, and the caller syncs the log.
    const synchronous = sqliteSync === 'inline' ? 'full' : 'normal'
    file.exec(
      `pragma busy_timeout = ${SQLITE_BUSY_MS}; pragma journal_mode = wal; pragma synchronous = ${synchronous}; pragma foreign_keys = on`,
    )
    let log: FileHandle | null = null
    const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: new PreparingDatabase(file) }) })
    return {
      ...{ db, leases: db },
      ...{ shared: false, schema: null, call: null },
      sync: async () => {
        if (sqliteSync === 'inline' || path === IN_MEMORY) return
        log ??= await openLog(path)
        await log.datasync()
      },
      close: async () => {
        await log?.close()
        // Kysely closes only a connection that it has used.
        await db.destroy()
        if (file.isOpen) file.close()
        lock?.close()
      },
      explain,
    }
  } catch (error) {
    lock?.close()
    throw explain(error)
  }
}

/** Texts for SQLite's result codes about disk and file (the low byte of the extended codes). */
const SQLITE_FAULTS: Readonly<Record<number, string>> = {
  3: 'this user may not write it',
  5: 'another program has locked it',
  8: 'it is read-only',
  10: 'the disk has an I/O error',
  11: 'it is damaged',
  13: 'the disk is full',
  14: 'it cannot be opened or created',
  26: 'it is not a database',
}
const SQLITE_DAMAGED: readonly number[] = [11, 26]

function explained(path: string, error: unknown): unknown {
  if (error instanceof StoreError) return error
  const code = (error as { errcode?: unknown } | null)?.errcode
  const primary = typeof code === 'number' ? code & 0xff : -1
  const fault = SQLITE_FAULTS[primary] ?? diskFault(error)
  if (fault === null) return error
  const remedy = SQLITE_DAMAGED.includes(primary)
    ? 'move it away with the files of the same name beside it, and start without it or with a backup'
    : 'fix that, or give the node another -dataDir'
  return new StoreError('store-unwritable', `the database ${path} cannot be used, ${fault}: ${remedy}`, {
    cause: error,
  })
}

/** Opens SQLite's log, whose directory entry must be on disk too. */
async function openLog(path: string): Promise<FileHandle> {
  const log = await open(`${path}-wal`, 'r+')
  await syncFolderOf(path)
  return log
}

/** Holds an exclusive lock beside the file until closed; the operating system releases it with the process. */
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
      `another process is using ${path}: stop it first, or give this one its own -dataDir`,
      { cause: error },
    )
  }
}

/** Creates the file if necessary, readable by its owner only because it contains secrets. */
function makePrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600))
}

/** Node's SQLite with the interface that Kysely's dialect requires, keeping its statements prepared. */
class PreparingDatabase {
  readonly #file: DatabaseSync
  readonly #prepared = new Map<string, Statement>()

  constructor(file: DatabaseSync) {
    this.#file = file
  }

  prepare(text: string): Statement {
    // SQLite may have rolled back by itself, for example on a full disk; then the original error counts.
    if (text === 'rollback' && !this.#file.isTransaction) return NOTHING_TO_UNDO
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

const NOTHING_TO_UNDO = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [][Symbol.iterator](),
} satisfies Statement

/** A prepared statement with the interface that Kysely's dialect requires. */
interface Statement {
  readonly reader: boolean
  all(parameters: readonly unknown[]): unknown[]
  run(parameters: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  iterate(parameters: readonly unknown[]): IterableIterator<unknown>
}

class PreparedStatement implements Statement {
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
