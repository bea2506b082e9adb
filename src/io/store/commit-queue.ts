import type { ControlledTransaction, Kysely } from 'kysely'
import { settle } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Database } from './open.ts'
import type { Tables } from './tables.ts'

/** Writes that share one commit at most; more wait for the next. */
const MAX_BATCH = 200
/** Writes after which others have their turn: SQLite holds up the whole process, for about half a millisecond each. */
const WRITES_AT_ONCE = 8
/** How often a write is tried that lost against another process for the same rows. */
const MAX_ATTEMPTS = 5
/** PostgreSQL: serialization failure, deadlock. */
const RETRYABLE = new Set(['40001', '40P01'])

/** What a write does within its transaction. It may be run again, so it must change nothing else. */
type Write<T> = (tx: Kysely<Tables>) => Promise<T>

interface Job {
  readonly write: Write<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  attempts: number
}

/**
 * Runs writes one after the other; those that come in the same moment share one transaction and so one sync of the
 * disk. Each resolves only when it is committed and synced; one that throws is undone alone.
 */
export class CommitQueue {
  readonly #database: Pick<Database, 'db' | 'sync' | 'explain'>
  readonly #waiting: Job[] = []
  readonly #broken = Promise.withResolvers<never>()
  #failure: Error | null = null
  #fault: string | null = null
  #draining: Promise<void> | null = null
  /** Ends the patience of writes that wait for company. */
  #patience: NodeJS.Timeout | null = null

  constructor(database: Pick<Database, 'db' | 'sync' | 'explain'>) {
    this.#database = database
    this.#broken.promise.catch(() => {})
  }

  /**
   * Rejects when the disk has failed to keep what was committed: no later sync can be trusted to tell. Never resolves.
   */
  get broken(): Promise<never> {
    return this.#broken.promise
  }

  /** Why the last write could not be kept, a sentence; null while all is well. */
  get fault(): string | null {
    return this.#fault
  }

  /**
   * Runs a write and resolves with its result once that is on disk. With patience it waits up to so many milliseconds
   * for another write whose commit it can share; the order of writes stays as it is.
   */
  run<T>(write: Write<T>, patienceMs = 0): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ write, resolve: resolve as (value: unknown) => void, reject, attempts: 0 })
      if (patienceMs > 0) this.#patience ??= setTimeout(() => this.#begin(), patienceMs)
      else this.#begin()
    })
  }

  /** Resolves when nothing is waiting. */
  async idle(): Promise<void> {
    if (this.#waiting.length > 0) this.#begin()
    await this.#draining
  }

  #begin(): void {
    if (this.#patience) clearTimeout(this.#patience)
    this.#patience = null
    this.#draining ??= this.#drain()
  }

  async #drain(): Promise<void> {
    // What else is ready to run in this turn may still join the first batch.
    await settle()
    while (this.#waiting.length > 0) await this.#commit(this.#waiting.splice(0, MAX_BATCH))
    this.#draining = null
  }

  async #commit(batch: readonly Job[]): Promise<void> {
    const settled: (() => void)[] = []
    let tx: ControlledTransaction<Tables> | null = null
    try {
      if (this.#failure) throw this.#failure
      tx = await this.#database.db.startTransaction().execute()
      if (batch.length === 1) {
        // Nobody else's work is undone with it: it needs no savepoint.
        const result = await batch[0]!.write(tx)
        settled.push(() => batch[0]!.resolve(result))
      } else {
        for (const job of batch) {
          settled.push(await this.#attempt(tx, job))
          if (settled.length % WRITES_AT_ONCE === 0) await settle()
        }
      }
      await tx.commit().execute()
      await this.#sync()
    } catch (error) {
      await tx
        ?.rollback()
        .execute()
        .catch(() => {})
      // For what is explained the disk is to blame, which status tells; callers treat it as trouble of this node's own.
      const explained = this.#database.explain(error)
      if (explained !== error) this.#fault = messageOf(explained)
      for (const job of batch) this.#failed(job, error)()
      return
    }
    this.#fault = null
    for (const settle of settled) settle()
  }

  async #sync(): Promise<void> {
    try {
      await this.#database.sync()
    } catch (thrown) {
      const error = this.#database.explain(thrown)
      this.#failure = error as Error
      this.#broken.reject(error)
      throw error
    }
  }

  /** Runs one write behind a savepoint; answers with what to tell its caller once all is committed. */
  async #attempt(tx: ControlledTransaction<Tables>, job: Job): Promise<() => void> {
    const behind = await tx.savepoint('write').execute()
    try {
      const result = await job.write(behind)
      await behind.releaseSavepoint('write').execute()
      return () => job.resolve(result)
    } catch (error) {
      // Where SQLite has undone the whole transaction, none of the others is kept either.
      await behind
        .rollbackToSavepoint('write')
        .execute()
        .catch(() => Promise.reject(error))
      return this.#failed(job, error)
    }
  }

  /** What to do about a write that failed: try it again, or tell its caller. */
  #failed(job: Job, error: unknown): () => void {
    if (RETRYABLE.has(codeOf(error)) && ++job.attempts < MAX_ATTEMPTS) {
      return () => {
        this.#waiting.push(job)
        this.#begin()
      }
    }
    return () => job.reject(error)
  }
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? '')
}
