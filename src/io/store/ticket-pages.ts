import type { Kysely } from 'kysely'
import type { Hex } from '../../lib/bytes.ts'
import type { Tables } from './tables.ts'

/** Tickets read at once: some milliseconds of SQLite, which holds up the whole process. */
const PAGE_ROWS = 100

const UNFINISHED = ['open', 'submitted', 'delivered'] as const

/** The hashes of all tickets that are neither redeemed nor refused, a page at a time. */
export async function* unfinishedHashes(db: Kysely<Tables>): AsyncGenerator<Hex[]> {
  for (const state of UNFINISHED) {
    for (let after = ''; ; ) {
      const rows = await db
        .selectFrom('tickets')
        .select('hash')
        .where('state', '=', state)
        .where('hash', '>', after)
        .orderBy('hash')
        .limit(PAGE_ROWS)
        .execute()
      if (rows.length > 0) yield rows.map(({ hash }) => hash as Hex)
      if (rows.length < PAGE_ROWS) break
      after = rows.at(-1)!.hash
    }
  }
}

/** The rows of those of some tickets, a page of them at most, that are still unfinished. */
export async function unfinishedRows(db: Kysely<Tables>, hashes: readonly Hex[]) {
  if (hashes.length === 0) return []
  return db
    .selectFrom('tickets')
    .selectAll()
    .where('hash', 'in', hashes)
    .where('state', 'in', UNFINISHED)
    .execute()
}
