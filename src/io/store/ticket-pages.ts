import type { Kysely } from 'kysely'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { OpenTicketFacts } from '../../services/redemption/open-tickets.ts'
import type { Tables, TicketRow } from './tables.ts'
import { stateOfRow } from './ticket-row.ts'

/** Tickets read per query: SQLite blocks the process for some milliseconds. */
const PAGE_ROWS = 100
/** Rows of a few columns that are read per query, from a database that blocks nobody. */
const FACTS_ROWS = 1_000

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

/** All tickets that are neither redeemed nor refused, in pages. */
export async function* openTicketFacts(db: Kysely<Tables>): AsyncGenerator<readonly OpenTicketFacts[]> {
  for (const state of UNFINISHED) {
    for (let after = ''; ; ) {
      const rows = await db
        .selectFrom('tickets')
        .select(['hash', 'sender', 'face_value', 'creation_round'])
        .select(['state', 'reason', 'tx_hash', 'paid', 'fee', 'block'])
        .where('state', '=', state)
        .where('hash', '>', after)
        .orderBy('hash')
        .limit(FACTS_ROWS)
        .execute()
      if (rows.length > 0) yield rows.map((row) => factsOf(row as Parameters<typeof factsOf>[0]))
      if (rows.length < FACTS_ROWS) break
      after = rows.at(-1)!.hash
    }
  }
}

/** Those of these tickets that are neither redeemed nor refused. */
export async function openAmong(db: Kysely<Tables>, ids: readonly Hex[]): Promise<Set<Hex>> {
  const open = new Set<Hex>()
  for (let at = 0; at < ids.length; at += FACTS_ROWS) {
    const rows = await db
      .selectFrom('tickets')
      .select('hash')
      .where('hash', 'in', ids.slice(at, at + FACTS_ROWS))
      .where('state', 'in', UNFINISHED)
      .execute()
    for (const { hash } of rows) open.add(hash as Hex)
  }
  return open
}

function factsOf(
  row: Parameters<typeof stateOfRow>[0] &
    Pick<TicketRow, 'hash' | 'sender' | 'face_value' | 'creation_round'>,
): OpenTicketFacts {
  return {
    id: row.hash as Hex,
    ticket: {
      sender: row.sender as Address,
      faceValue: BigInt(row.face_value),
      expirationParams: { creationRound: BigInt(row.creation_round) },
    },
    state: stateOfRow(row),
  }
}
