import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { hiderOf, maskUrl } from '../../lib/mask-url.ts'
import { type Database, StoreError } from './database.ts'
import type { Tables } from './tables.ts'

const CONNECTIONS = 4
const CONNECT_MS = 10_000

/** Opens a PostgreSQL database whose tables are in this schema. Nothing is asked of the server yet. */
export function openPostgres(url: string, schema: string): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
  })
  // The pool replaces an idle connection that breaks; if it cannot, the next query fails.
  pool.on('error', () => {})
  // One that breaks while it is used, between two statements: its next statement fails.
  pool.on('connect', (client) => client.on('error', () => {}))
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }).withSchema(schema)
  return {
    ...{ db, shared: true, schema },
    // A PostgreSQL server syncs before it reports a commit.
    sync: async () => {},
    close: () => db.destroy(),
    explain: (error) => (isServersFault(error) ? unavailable(url, error) : error),
  }
}

/** SQLSTATE classes: connection, resources, operator intervention, system. */
const FAULTY_CLASSES: readonly string[] = ['08', '53', '57', '58']
const FAULTY_STATES: readonly string[] = ['25006', '42501']
const SQLSTATE = /^[0-9A-Z]{5}$/

/** Whether the server, the network or the user's rights are at fault, rather than a statement. */
function isServersFault(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof NodeError) return false
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string') return CONNECTION_LOST.test(error.message)
  if (!SQLSTATE.test(code)) return (error as NodeJS.ErrnoException).syscall !== undefined
  return FAULTY_CLASSES.includes(code.slice(0, 2)) || FAULTY_STATES.includes(code)
}

/** What the library says without a code when a connection breaks, or cannot be made in time. */
const CONNECTION_LOST =
  /^Connection terminated|timeout exceeded when trying to connect|^Client has encountered/

/** The sentence for a database that cannot be used, without what is secret in its URL. */
export function unavailable(url: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error
  const reason = hiderOf(url)(messageOf(error))
  // Without the cause, which may carry the URL.
  return new StoreError('store-unavailable', `the database at ${maskUrl(url)} cannot be used: ${reason}`)
}
