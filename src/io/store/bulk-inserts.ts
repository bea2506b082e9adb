import type { Kysely } from 'kysely'
import { ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import type { PaymentRecord } from '../../services/orchestrator/payment-records.ts'
import type { Tables } from './tables.ts'
import { rowOfTicket, type TicketOrigin } from './ticket-row.ts'

/** Rows per insert: SQLite allows 32766 parameters per statement. */
const INSERT_ROWS = 500

/** Inserts the nonces of a payment; false if one of them already exists. */
export async function insertNonces(tx: Kysely<Tables>, record: PaymentRecord): Promise<boolean> {
  const rows = record.nonces.map((nonce) => ({
    rand_hash: formatHex(record.recipientRandHash),
    nonce,
    expiration_block: record.paramsExpirationBlock,
  }))
  let inserted = 0n
  for (const some of chunks(rows)) {
    const result = await tx
      .insertInto('nonces')
      .values(some)
      .onConflict((c) => c.doNothing())
      .executeTakeFirst()
    inserted += result.numInsertedOrUpdatedRows ?? 0n
  }
  return inserted === BigInt(rows.length)
}

/** Inserts winning tickets and returns the new ones; existing tickets are left unchanged. */
export async function insertTickets(
  tx: Kysely<Tables>,
  tickets: readonly WinningTicket[],
  nowMs: number,
  origin: TicketOrigin,
): Promise<WinningTicket[]> {
  const byHash = new Map(tickets.map((ticket) => [formatHex(ticketHash(ticket)), ticket]))
  const added: WinningTicket[] = []
  const made = [...byHash].map(([hash, ticket]) => rowOfTicket(hash, ticket, nowMs, origin))
  for (const some of chunks(made)) {
    const rows = await tx
      .insertInto('tickets')
      .values(some)
      .onConflict((c) => c.doNothing())
      .returning('hash')
      .execute()
    for (const { hash } of rows) added.push(byHash.get(hash as Hex)!)
  }
  return added
}

/** Splits rows into chunks that fit into one statement. */
export function* chunks<T>(rows: readonly T[]): Iterable<T[]> {
  for (let i = 0; i < rows.length; i += INSERT_ROWS) yield rows.slice(i, i + INSERT_ROWS)
}
