import { sql } from 'kysely'
import pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { hiderOf } from '../../lib/mask-url.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { Database } from './database.ts'
import { isThere, SESSION_LOCK } from './lease-rows.ts'

/** The session is checked this often, which also keeps its connection in use. */
const CHECK_MS = 2_000
const ANSWER_MS = 5_000
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 30_000
/** A restart of the database passes within this time. */
const WARN_AFTER_MS = 20_000

/** Why a session cannot be used. */
type SessionFault = 'session-shared'

/** Where a session goes to, and whose it is. */
export interface StoreSessionOptions {
  /** `-storeSessionUrl`. */
  readonly url: string
  /** One run of this process. */
  readonly instance: string
}

/**
 * A connection to PostgreSQL that this process has to itself, with a lock by which other processes see that this one runs:
 * the server drops the lock with the connection. It is a hint only, which makes another node lead sooner.
 */
export class StoreSession implements Service {
  readonly name = 'session with the store'
  readonly #options: StoreSessionOptions
  readonly #store: { readonly database: Database }
  readonly #clock: Clock
  readonly #broken: PassingFailure
  #isHeld = false

  constructor(
    options: StoreSessionOptions,
    needs: { store: { readonly database: Database }; clock: Clock; log: Log },
  ) {
    this.#options = options
    this.#store = needs.store
    this.#clock = needs.clock
    this.#broken = new PassingFailure(
      {
        message:
          'no session with the database, so that the end of this process is noticed later: -storeSessionUrl must reach PostgreSQL itself, or a pooler in session mode',
        over: 'session with the database is there again',
        afterMs: WARN_AFTER_MS,
      },
      needs,
    )
  }

  start(scope: Scope): void {
    scope.spawn('hold the session', async (signal) => {
      for (let failures = 0; ; failures++) {
        const wasHeld = await this.#hold(signal)
        if (wasHeld) failures = 0
        await this.#clock.sleep(
          Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 10), LONGEST_RETRY_MS),
          signal,
        )
      }
    })
  }

  /** Whether other processes see this one's lock. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Connects and keeps the lock until that fails; returns whether it had it. */
  async #hold(signal: AbortSignal): Promise<boolean> {
    const { instance, url } = this.#options
    let wasHeld = false
    const client = newClient(url)
    client.on('error', () => {
      this.#isHeld = false
    })
    try {
      await client.connect()
      const process = await processOf(client)
      if (await isGivenToOthers(url, process)) throw shared('its statements reach several sessions')
      await client.query('select pg_try_advisory_lock($1, hashtext($2))', [SESSION_LOCK, instance])
      for (;;) {
        if ((await processOf(client)) !== process) throw shared('its statements reach several sessions')
        if (!(await this.#isSeen())) throw shared('the lock taken there is not seen in the store')
        this.#isHeld = true
        wasHeld = true
        this.#broken.passed()
        await this.#clock.sleep(CHECK_MS, signal)
      }
    } catch (error) {
      signal.throwIfAborted()
      this.#broken.failed({ reason: hiderOf(url)(messageOf(error)) })
      return wasHeld
    } finally {
      this.#isHeld = false
      await client.end().catch(() => {})
    }
  }

  async #isSeen(): Promise<boolean> {
    const seen = isThere(sql`${this.#options.instance}`)
    const { rows } = await sql<{ seen: boolean }>`select ${seen} as seen`.execute(this.#store.database.db)
    return rows[0]?.seen === true
  }
}

function newClient(url: string): pg.Client {
  return new pg.Client({
    ...{ connectionString: url, keepAlive: true },
    ...{ connectionTimeoutMillis: ANSWER_MS, query_timeout: ANSWER_MS },
  })
}

/** Whether another connection to the same URL gets this process of the server, as a pooler in transaction mode gives it. */
async function isGivenToOthers(url: string, process: unknown): Promise<boolean> {
  const other = newClient(url)
  other.on('error', () => {})
  try {
    await other.connect()
    return (await processOf(other)) === process
  } finally {
    await other.end().catch(() => {})
  }
}

async function processOf(client: pg.Client): Promise<unknown> {
  const { rows } = await client.query('select pg_backend_pid() as pid')
  return rows[0]?.pid
}

function shared(reason: string): NodeError<SessionFault> {
  return new NodeError<SessionFault>('session-shared', reason)
}
