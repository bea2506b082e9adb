import type { Kysely } from 'kysely'
import type { Database } from './database.ts'
import type { BookedMoney } from './money-rows.ts'
import type { Tables } from './tables.ts'

/** Notes money of a write, which is booked with it. */
export type Note = (booked: BookedMoney) => void

/** How the parts of a store reach its database. */
export interface StoreAccess {
  /** Throws StoreError while it is not open. */
  database(): Database
  /** Separates this node's rows from those of other nodes with the same database. */
  readonly node: string
  /**
   * Does a write in a transaction, which is on disk once this resolves. `isShared`: whether rows must be locked before a
   * change. `patienceMs`: how long it may wait to share a commit with another write.
   */
  write<T>(
    write: (tx: Kysely<Tables>, isShared: boolean, note: Note) => Promise<T>,
    patienceMs?: number,
  ): Promise<T>
}
