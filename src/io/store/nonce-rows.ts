import type { Kysely } from 'kysely'
import type { Hex } from '../../lib/bytes.ts'
import type { Tables } from './tables.ts'

/** The nonces used with a secret number, by the hash of that, and whether the number was revealed. */
export async function noncesIn(
  db: Kysely<Tables>,
  hash: Hex,
): Promise<{ used: ReadonlySet<number>; revealed: boolean }> {
  const rows = await db.selectFrom('nonces').select('nonce').where('rand_hash', '=', hash).execute()
  const revealed = await db
    .selectFrom('revealed_rands')
    .select('rand_hash')
    .where('rand_hash', '=', hash)
    .executeTakeFirst()
  return { used: new Set(rows.map(({ nonce }) => Number(nonce))), revealed: revealed !== undefined }
}

/** How many nonces were used with a secret number, and whether the number was revealed. */
export async function nonceUse(
  tx: Kysely<Tables>,
  hash: Hex,
): Promise<{ readonly count: number; readonly revealed: boolean }> {
  const revealed = tx.selectFrom('revealed_rands').where('rand_hash', '=', hash)
  const row = await tx
    .selectFrom('nonces')
    .select((e) => [
      e.fn.countAll().as('count'),
      revealed.select((r) => r.fn.countAll().as('n')).as('revealed'),
    ])
    .where('rand_hash', '=', hash)
    .executeTakeFirstOrThrow()
  return { count: Number(row.count), revealed: Number(row.revealed) > 0 }
}

/** Marks a secret number as revealed. */
export async function insertRevealed(tx: Kysely<Tables>, hash: Hex, expirationBlock: bigint): Promise<void> {
  await tx
    .insertInto('revealed_rands')
    .values({ rand_hash: hash, expiration_block: expirationBlock })
    .onConflict((c) => c.doNothing())
    .execute()
}

/** Deletes what belongs to params that expired at this L1 block or before. */
export async function deleteExpiredNonces(tx: Kysely<Tables>, expiredAt: bigint): Promise<void> {
  await tx.deleteFrom('nonces').where('expiration_block', '<=', expiredAt).execute()
  await tx.deleteFrom('revealed_rands').where('expiration_block', '<=', expiredAt).execute()
}
