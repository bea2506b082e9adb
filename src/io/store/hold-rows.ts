import { type Kysely, sql } from 'kysely'
import type { Tables } from './tables.ts'

/** A process that has written nothing for this long is gone. */
const WRITER_MS = 7 * 86_400_000

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
  const nowMs = sql`floor(extract(epoch from clock_timestamp()) * 1000)`
  await sql`delete from ${sql.table(`${schema}.holds`)} where ends_at <= ${nowMs}`.execute(tx)
  await sql`delete from ${sql.table(`${schema}.writers`)} where updated_at <= ${nowMs} - ${WRITER_MS}::bigint`.execute(
    tx,
  )
}
