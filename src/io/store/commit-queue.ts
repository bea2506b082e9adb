import type { ControlledTransaction, Kysely } from 'kysely'
import { settle } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import { type Database, isConflict, StoreError } from './database.ts'
import type { Tables } from './tables.ts'

/** Maximum number of writes in one commit; others wait for the next. */
const MAX_BATCH = 200
/** Writes after which the event loop gets a turn: SQLite blocks the process for about half a millisecond per write. */
const WRITES_AT_ONCE = 8
/** How often a write is tried that conflicts with another process over the same rows. */
const MAX_ATTEMPTS = 5
/** A batch that a database on the network did not answer is tried again for this time. */
const LOST_MS = 10_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

/**
 * A write within a transaction. It may run again, so it must have no other effects. What it notes is kept if it succeeds,
 * and given to the end of the commit.
 */
type Write<T, Note> = (tx: Kysely<Tables>, note: (note: Note) => void) => Promise<T>

/** Runs at the end of a commit for what its writes noted, so that they share its statements. It may run again. */
type Finish<Note> = (tx: Kysely<Tables>, notes: readonly Note[]) => Promise<void>

/**
 * Runs first in a transaction and claims the number of its batch; false if that was committed already. Only where the answer
 * to a commit may be lost.
 */
type Claim = (tx: Kysely<Tables>, seq: number) => Promise<boolean>

/** What to tell the writers of a batch. */
type Settled = readonly (() => void)[]

interface Job<Note> {
  readonly write: Write<unknown, Note>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  attempts: number
}

/**
 * Runs writes one after the other; those of the same moment share one transaction, and so one disk sync. Each resolves
 * once it is committed and synced; one that throws is rolled back alone.
 */
export class CommitQueue<Note = never> {
  readonly #database: Pick<Database, 'db' | 'sync' | 'explain'>
  readonly #finish: Finish<Note> | null
  readonly #claim: Claim | null
  #seq = 0
  readonly #waiting: Job<Note>[] = []
  readonly #broken = Promise.withResolvers<never>()
  readonly #onFault: (fault: string | null) => void
  #failure: Error | null = null
  #fault: string | null = null
  #draining: Promise<void> | null = null
  /** Timer of the writes that wait to share a commit. */
  #patience: NodeJS.Timeout | null = null

  constructor(
    database: Pick<Database, 'db' | 'sync' | 'explain'>,
    /** Told when writes begin to fail, with the reason, and with null when they succeed again. */
    onFault: (fault: string | null) => void = () => {},
    finish: Finish<Note> | null = null,
    claim: Claim | null = null,
  ) {
    this.#database = database
    this.#claim = claim
    this.#finish = finish
    this.#onFault = onFault
    this.#broken.promise.catch(() => {})
  }

  /** Rejects when the disk failed to store a commit: later syncs cannot be trusted to report it. Never resolves. */
  get broken(): Promise<never> {
    return this.#broken.promise
  }

  /** Why the last write failed, as a sentence; null if it succeeded. */
  get fault(): string | null {
    return this.#fault
  }

  /**
   * Runs a write and resolves with its result once that is on disk. With patience it waits up to that many milliseconds
   * for another write to share a commit with; the order of writes is kept.
   */
  run<T>(write: Write<T, Note>, patienceMs = 0): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ write, resolve: resolve as (value: unknown) => void, reject, attempts: 0 })
      if (patienceMs > 0) this.#patience ??= setTimeout(() => this.#begin(), patienceMs)
      else this.#begin()
    })
  }

  /** Resolves when no write is waiting. */
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
    // Writes that become ready in this turn may join the first batch.
    await settle()
    while (this.#waiting.length > 0) await this.#commit(this.#waiting.splice(0, MAX_BATCH))
    this.#draining = null
  }

  /**
   * Commits a batch. Where the answer to a commit may be lost, it is tried again under the same number, under which it can be
   * committed only once.
   */
  async #commit(batch: readonly Job<Note>[]): Promise<void> {
    const seq = ++this.#seq
    const end = performance.now() + LOST_MS
    /** What to tell the writers if the last attempt whose commit was sent turns out to be committed. */
    let sent: Settled | null = null
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      const attempt = { settled: [] as (() => void)[], isSent: false }
      try {
        const isFirst = await this.#commitOnce(batch, seq, attempt)
        const settled = isFirst ? attempt.settled : sent
        if (!settled)
          throw new StoreError('store-in-use', 'another process writes under the name of this one')
        this.#noteFault(null)
        for (const settle of settled) settle()
        return
      } catch (error) {
        if (attempt.isSent) sent = attempt.settled
        // An explained error is the disk's fault, which the status shows; callers treat it as a fault of this node.
        const explained = this.#database.explain(error)
        if (explained !== error) this.#noteFault(messageOf(explained))
        if (explained === error || !this.#claim || performance.now() > end) {
          for (const job of batch) this.#failed(job, error)()
          return
        }
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }

  /** False if the batch was committed before. */
  async #commitOnce(
    batch: readonly Job<Note>[],
    seq: number,
    attempt: { readonly settled: (() => void)[]; isSent: boolean },
  ): Promise<boolean> {
    const { settled } = attempt
    const notes: Note[] = []
    let tx: ControlledTransaction<Tables> | null = null
    try {
      if (this.#failure) throw this.#failure
      tx = await this.#database.db.startTransaction().execute()
      if (this.#claim && !(await this.#claim(tx, seq))) {
        await tx.rollback().execute()
        return false
      }
      if (batch.length === 1) {
        // A single write needs no savepoint: no other work is rolled back with it.
        const result = await batch[0]!.write(tx, (note) => void notes.push(note))
        settled.push(() => batch[0]!.resolve(result))
      } else {
        for (const job of batch) {
          settled.push(await this.#attempt(tx, job, notes))
          if (settled.length % WRITES_AT_ONCE === 0) await settle()
        }
      }
      if (notes.length > 0) await this.#finish?.(tx, notes)
      attempt.isSent = true
      await tx.commit().execute()
      await this.#sync()
      return true
    } catch (error) {
      await tx
        ?.rollback()
        .execute()
        .catch(() => {})
      throw error
    }
  }

  #noteFault(fault: string | null): void {
    const isChange = (this.#fault === null) !== (fault === null)
    this.#fault = fault
    if (isChange) this.#onFault(fault)
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

  /** Runs one write behind a savepoint; returns what to tell its caller once everything is committed. */
  async #attempt(tx: ControlledTransaction<Tables>, job: Job<Note>, notes: Note[]): Promise<() => void> {
    const behind = await tx.savepoint('write').execute()
    const own: Note[] = []
    try {
      const result = await job.write(behind, (note) => void own.push(note))
      await behind.releaseSavepoint('write').execute()
      notes.push(...own)
      return () => job.resolve(result)
    } catch (error) {
      // If SQLite rolled back the whole transaction, all writes of it are lost.
      await behind
        .rollbackToSavepoint('write')
        .execute()
        .catch(() => Promise.reject(error))
      return this.#failed(job, error)
    }
  }

  /** Handles a failed write: tries it again, or returns what to tell its caller. */
  #failed(job: Job<Note>, error: unknown): () => void {
    if (isConflict(error) && ++job.attempts < MAX_ATTEMPTS) {
      return () => {
        this.#waiting.push(job)
        this.#begin()
      }
    }
    return () => job.reject(error)
  }
}
