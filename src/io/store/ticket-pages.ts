import type { Kysely } from 'kysely'
import type { Hex } from '../../lib/bytes.ts'
import type { Tables } from './tables.ts'

/** Tickets read per query: SQLite blocks the process for some milliseconds. */
const PAGE_ROWS = 100

const UNFINISHED = ['open', 'submitted', 'delivered'] as const

/** The hashes of all tickets that are neither redeemed nor refused, in pages. */
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

/** The rows of those of these tickets (at most one page) that are still unfinished. */
export async function unfinishedRows(db: Kysely<Tables>, hashes: readonly Hex[]) {
  if (hashes.length === 0) return []
  return db
    .selectFrom('tickets')
    .selectAll()
    .where('hash', 'in', hashes)
    .where('state', 'in', UNFINISHED)
    .execute()
}
