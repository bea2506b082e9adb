import type { Kysely } from 'kysely'
import { NodeError } from '../../lib/errors.ts'
import type { Tables } from './tables.ts'

export type StoreFault =
  | 'store-copy-differs'
  | 'lease-lost'
  | 'store-in-use'
  | 'store-not-empty'
  | 'store-too-new'
  | 'store-unavailable'
  | 'store-unwritable'
  | 'wrong-chain'
  | 'wrong-cluster'

/** Why the store cannot be used. The message says what to do. */
export class StoreError extends NodeError<StoreFault> {
  override name = 'StoreError'
}

/** PostgreSQL: serialization failure, deadlock. */
const CONFLICTS: readonly unknown[] = ['40001', '40P01']

/** What the function of the hot path raises for a batch that comes after a later one. */
const INVALID_TRANSACTION_STATE = '25000'

/** Whether a statement failed only because of another one at the same time, so that it may be tried again. */
export function isConflict(error: unknown): boolean {
  return CONFLICTS.includes((error as { code?: unknown } | null)?.code)
}

/** Whether a batch is refused since its writer has settled a later one. */
export function isOlderBatch(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === INVALID_TRANSACTION_STATE
}

/** Sends one statement and gives its rows. */
export type StatementCall = (
  text: string,
  values: readonly unknown[],
  limitMs: number,
) => Promise<readonly Record<string, unknown>[]>

/** An open database with an up-to-date schema. */
export interface Database {
  readonly db: Kysely<Tables>
  /** The same tables over connections that other work never takes: for what must be renewed in time. */
  readonly leases: Kysely<Tables>
  /** Whether other processes share the rows, which must then be locked before a change. */
  readonly shared: boolean
  /** The schema in PostgreSQL that holds the tables; null for SQLite. */
  readonly schema: string | null
  /**
   * Sends one statement with its parameters, in a transaction of its own; null where no other process shares the rows.
   * Rejects after `limitMs` without an answer: it may then have been done or not.
   */
  readonly call: StatementCall | null
  /** Resolves once all earlier commits are on disk and survive a crash of the machine. */
  sync(): Promise<void>
  close(): Promise<void>
  /** The error in words for the operator if the disk or the server is at fault; otherwise the error itself. */
  explain(error: unknown): unknown
}
