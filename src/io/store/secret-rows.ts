import type { Kysely } from 'kysely'
import { formatHex, parseHex } from '../../lib/bytes.ts'
import type { Dice } from '../../lib/dice.ts'
import type { SecretPurpose } from '../../services/orchestrator/payment-records.ts'
import type { Tables } from './tables.ts'

const SECRET_BYTES = 32

/** The current secrets, newest first. */
export async function secretsIn(db: Kysely<Tables>, purpose: SecretPurpose): Promise<Uint8Array[]> {
  const rows = await db
    .selectFrom('secrets')
    .select('bytes')
    .where('purpose', '=', purpose)
    .where('retired_at', 'is', null)
    .orderBy('version', 'desc')
    .execute()
  return rows.map(({ bytes }) => parseHex(bytes))
}

/** Inserts a secret unless that version exists. */
export async function insertSecret(
  tx: Kysely<Tables>,
  purpose: SecretPurpose,
  made: { version: number; atMs: number; dice: Dice },
): Promise<void> {
  const bytes = formatHex(made.dice.bytes(SECRET_BYTES))
  await tx
    .insertInto('secrets')
    .values({ purpose, version: made.version, bytes, created_at: made.atMs, retired_at: null })
    .onConflict((c) => c.doNothing())
    .execute()
}

/** The version of the newest secret, 0 if there is none, and when it replaced the previous one; null for the first. */
export async function newestSecret(
  tx: Kysely<Tables>,
  purpose: SecretPurpose,
): Promise<{ version: number; replacedAtMs: number | null }> {
  const row = await tx
    .selectFrom('secrets')
    .select(['version', 'created_at'])
    .where('purpose', '=', purpose)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst()
  const version = row?.version ?? 0
  return { version, replacedAtMs: row && version > 1 ? Number(row.created_at) : null }
}

/** Retires all secrets but the newest, if that one replaced another at `replacedBeforeMs` or before. */
export async function retireReplaced(
  tx: Kysely<Tables>,
  purpose: SecretPurpose,
  replacedBeforeMs: number,
  nowMs: number,
): Promise<void> {
  await tx
    .updateTable('secrets')
    .set({ retired_at: nowMs })
    .where('purpose', '=', purpose)
    .where('retired_at', 'is', null)
    .where((e) =>
      e.exists(
        e
          .selectFrom('secrets as later')
          .select('later.version')
          .where('later.purpose', '=', purpose)
          .whereRef('later.version', '>', 'secrets.version')
          .where('later.created_at', '<=', replacedBeforeMs),
      ),
    )
    .execute()
}
