import { type Kysely, sql } from 'kysely'
import type { LapsedHoldRecords } from '../../services/cluster/lapsed-holds.ts'
import type { Database } from './database.ts'
import type { Tables } from './tables.ts'

/** A process that has written nothing for this long is gone. */
const WRITER_MS = 7 * 86_400_000

/** The database's clock in ms since the epoch. */
const NOW = sql`floor(extract(epoch from clock_timestamp()) * 1000)`

/** The fees that nodes of a cluster have set aside, in a PostgreSQL store. */
export class HoldRows implements LapsedHoldRecords {
  readonly #store: { readonly database: Database }

  constructor(store: { readonly database: Database }) {
    this.#store = store
  }

  async freeLapsed(graceMs: number): Promise<number> {
    const { db, explain, schema } = this.#store.database
    const table = (name: string) => sql.table(`${schema}.${name}`)
    try {
      // A node of the version before does not name itself: what it sets aside ends by its own time.
      const { numAffectedRows } = await sql`delete from ${table('holds')} h where h.holder like '%/%/%'
        and not exists (select 1 from ${table('members')} m where m.node = split_part(h.holder, '/', 1)
          and m.instance = split_part(h.holder, '/', 2) and m.lease_end > ${NOW} - ${graceMs}::bigint)`.execute(
        db,
      )
      return Number(numAffectedRows ?? 0n)
    } catch (error) {
      throw explain(error)
    }
  }
}

/** Claims the number of a batch of this writer; false if the batch was committed already. */
export async function claimBatch(
  tx: Kysely<Tables>,
  schema: string,
  writer: string,
  seq: number,
): Promise<boolean> {
  const { rows } = await sql<{
    isFirst: boolean
  }>`select ${sql.table(`${schema}.claim_batch_1`)}(${writer}, ${seq}) as "isFirst"`.execute(tx)
  return rows[0]!.isFirst
}

/** Deletes the fees that nodes left set aside when they crashed, and the last batches of processes that are gone. */
export async function deleteOldHolds(tx: Kysely<Tables>, schema: string): Promise<void> {
  await sql`delete from ${sql.table(`${schema}.holds`)} where ends_at <= ${NOW}`.execute(tx)
  await sql`delete from ${sql.table(`${schema}.writers`)} where updated_at <= ${NOW} - ${WRITER_MS}::bigint`.execute(
    tx,
  )
}
