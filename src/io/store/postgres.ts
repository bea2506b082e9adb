import { Kysely, PostgresDialect, type PostgresPool } from 'kysely'
import pg from 'pg'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { hiderOf, maskUrl } from '../../lib/mask-url.ts'
import { type Database, StoreError } from './database.ts'
import type { Tables } from './tables.ts'

const CONNECTIONS = 4
/** Of their own, so that payments do not wait for other work. */
const CALL_CONNECTIONS = 2
/** Of their own, so that no lease runs out while the node's other work waits: one as a rule, others where one is blocked. */
const LEASE_CONNECTIONS = 3
const CONNECT_MS = 5_000
/** A statement without an answer after this time has lost its connection. */
const STATEMENT_MS = 10_000

/**
 * Opens a PostgreSQL database whose tables are in this schema. Nothing is asked of the server yet. Connections carry no
 * state of a session, so that a pooler may give each transaction another one: no named statements, no settings. A statement
 * may take `statementMs`, 0 meaning as long as it takes.
 */
export function openPostgres(url: string, schema: string, { statementMs = STATEMENT_MS } = {}): Database {
  const options = { connectionString: url, connectionTimeoutMillis: CONNECT_MS, keepAlive: true }
  const pool = new pg.Pool({ ...options, max: CONNECTIONS, query_timeout: statementMs })
  const leasing = new pg.Pool({ ...options, max: LEASE_CONNECTIONS, query_timeout: statementMs })
  const calls = new pg.Pool({ ...options, max: CALL_CONNECTIONS })
  // The pool replaces an idle connection that breaks; if it cannot, the next query fails.
  for (const each of [pool, leasing, calls]) {
    each.on('error', () => {})
    // One that breaks while it is used, between two statements: its next statement fails.
    each.on('connect', (client) => client.on('error', () => {}))
  }
  const over = (connections: pg.Pool) =>
    new Kysely<Tables>({ dialect: new PostgresDialect({ pool: carefulPool(connections) }) }).withSchema(
      schema,
    )
  const db = over(pool)
  const leases = over(leasing)
  return {
    ...{ db, leases, shared: true, schema },
    call: (text, values, limitMs) => call(calls, { text, values: [...values], query_timeout: limitMs }),
    // A PostgreSQL server syncs before it reports a commit.
    sync: async () => {},
    close: async () => {
      await Promise.all([db.destroy(), leases.destroy(), calls.end()])
    },
    explain: (error) => (isServersFault(error) ? unavailable(url, error) : error),
  }
}

interface Call {
  readonly text: string
  readonly values: unknown[]
  readonly query_timeout: number
}

async function call(pool: pg.Pool, query: Call): Promise<readonly Record<string, unknown>[]> {
  const client = await pool.connect()
  let isBroken = false
  try {
    // `query_timeout` of a single query is missing from the library's types.
    return (await client.query(query as pg.QueryConfig)).rows
  } catch (error) {
    isBroken = isConnectionsFault(error)
    throw error
  } finally {
    client.release(isBroken)
  }
}

/** A pool that keeps no connection that is of no more use. */
function carefulPool(pool: pg.Pool): PostgresPool {
  return {
    connect: async () => {
      const client = await pool.connect()
      let isBroken = false
      return {
        query: async (...args: Parameters<typeof client.query>) => {
          try {
            return await client.query(...args)
          } catch (error) {
            isBroken ||= isConnectionsFault(error)
            throw error
          }
        },
        release: () => client.release(isBroken),
      } as unknown as Awaited<ReturnType<PostgresPool['connect']>>
    },
    end: () => pool.end(),
  } as PostgresPool
}

/** What a server says that has become a standby: after a failover the next connection may lead to the primary. */
const READ_ONLY = '25006'

/** SQLSTATE classes: connection, log-in, unknown database, resources, operator intervention, system. */
const FAULTY_CLASSES: readonly string[] = ['08', '28', '3D', '53', '57', '58']
/** Read-only, without rights, and a lock that was not to be had in time. */
const FAULTY_STATES: readonly string[] = [READ_ONLY, '42501', '55P03']
const SQLSTATE = /^[0-9A-Z]{5}$/

/** Whether a connection is of no more use: no answer came over it, or it leads to a server that takes no writes. */
function isConnectionsFault(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string' || !SQLSTATE.test(code)) return true
  return code.startsWith('08') || code.startsWith('57P') || code === READ_ONLY
}

/** Whether the server, the network or the user's rights are at fault, rather than a statement. */
export function isServersFault(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof NodeError) return false
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string') return CONNECTION_LOST.test(error.message)
  if (!SQLSTATE.test(code)) return (error as NodeJS.ErrnoException).syscall !== undefined
  return FAULTY_CLASSES.includes(code.slice(0, 2)) || FAULTY_STATES.includes(code)
}

/** What the library says without a code when a connection breaks, cannot be made, or does not answer in time. */
const CONNECTION_LOST =
  /^Connection terminated|timeout exceeded when trying to connect|^Client has encountered|^Query read timeout/

/** What to do, by SQLSTATE: read-only, without rights, full, out of connections. */
const REMEDIES: Readonly<Record<string, string>> = {
  [READ_ONLY]: 'give -store the primary of the database, not a standby, and a user that may write',
  42501: 'grant this user all rights on the tables of its schema, or give the node another user in -store',
  53100: 'give the database more room',
  53300: 'raise its max_connections, or put a pooler between it and the nodes',
}

/** The sentence for a database that cannot be used, without what is secret in its URL. */
export function unavailable(url: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error
  const remedy = REMEDIES[String((error as { code?: unknown } | null)?.code)]
  const reason = `${hiderOf(url)(messageOf(error))}${remedy === undefined ? '' : `: ${remedy}`}`
  // Without the cause, which may carry the URL.
  return new StoreError('store-unavailable', `the database at ${maskUrl(url)} cannot be used: ${reason}`)
}
