import type { Kysely } from 'kysely'
import type { Tables } from './tables.ts'

/** The value stored under a key, or null. */
export async function storedValue(db: Kysely<Tables>, key: string): Promise<string | null> {
  const row = await db.selectFrom('kv').select('value').where('key', '=', key).executeTakeFirst()
  return row?.value ?? null
}

/** Stores a value under a key, in place of the one before. */
export async function storeValue(tx: Kysely<Tables>, key: string, value: string): Promise<void> {
  await tx
    .insertInto('kv')
    .values({ key, value })
    .onConflict((c) => c.column('key').doUpdateSet({ value }))
    .execute()
}

/** Stores a value unless the key has one; returns the one that it has. */
export async function storeFirstValue(tx: Kysely<Tables>, key: string, value: string): Promise<string> {
  await tx
    .insertInto('kv')
    .values({ key, value })
    .onConflict((c) => c.doNothing())
    .execute()
  return (await storedValue(tx, key))!
}
