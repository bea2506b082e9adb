import type { Kysely } from 'kysely'
import type { WinningTicket } from '../../domain/ticket.ts'
import { NEW_TICKET, reasonOf, type TicketState } from '../../domain/ticket-state.ts'
import type { TicketCount } from '../../services/orchestrator/payment-records.ts'
import type { Tables } from './tables.ts'

/*
 * The number of tickets in each state, kept beside the tickets so that they need not be counted. Each node of a shared
 * database has its own rows, so that nodes do not wait for each other; only the sum counts, and single rows may be
 * negative.
 */

/** Tickets that enter a state, or leave it (negative). */
export type TotalsChange = TicketCount

/** The change made by new winning tickets. */
export function changeOfWinners(tickets: readonly WinningTicket[]): TotalsChange {
  const faceValue = tickets.reduce((sum, ticket) => sum + ticket.faceValue, 0n)
  return changeOf(NEW_TICKET, { count: tickets.length, faceValue })
}

/** The change made by a ticket in its state; with a count of -1 it is taken from it. */
export function changeOf(
  state: TicketState,
  { count, faceValue }: { count: number; faceValue: bigint },
): TotalsChange {
  const paid = state.kind === 'redeemed' ? (state.paid ?? 0n) : 0n
  return {
    state: state.kind,
    reason: reasonOf(state),
    count,
    faceValue,
    paid: paid * BigInt(Math.sign(count)),
  }
}

/** Adds changes to a node's totals. */
export async function addToTotals(
  tx: Kysely<Tables>,
  shared: boolean,
  node: string,
  changes: readonly TotalsChange[],
): Promise<void> {
  for (const { state, reason, count, faceValue, paid } of changes) {
    const key = { node, state, reason }
    const before = (await totalsOf(tx, shared, key)) ?? (await newTotalsOf(tx, shared, key))
    await tx
      .updateTable('ticket_totals')
      .set({
        count: Number(before.count) + count,
        face_value: (BigInt(before.face_value) + faceValue).toString(),
        paid: (BigInt(before.paid) + paid).toString(),
      })
      .where((e) => e.and(key))
      .execute()
  }
}

type Key = Pick<Tables['ticket_totals'], 'node' | 'state' | 'reason'>

/** Reads the totals; if rows are shared, they stay locked until the end of the transaction. */
async function totalsOf(tx: Kysely<Tables>, shared: boolean, key: Key) {
  return tx
    .selectFrom('ticket_totals')
    .select(['count', 'face_value', 'paid'])
    .where((e) => e.and(key))
    .$if(shared, (q) => q.forUpdate())
    .executeTakeFirst()
}

async function newTotalsOf(tx: Kysely<Tables>, shared: boolean, key: Key) {
  await tx
    .insertInto('ticket_totals')
    .values({ ...key, count: 0, face_value: '0', paid: '0' })
    .onConflict((c) => c.doNothing())
    .execute()
  return (await totalsOf(tx, shared, key))!
}

/** The totals over all nodes, by state and reason. */
export async function readTotals(db: Kysely<Tables>): Promise<TicketCount[]> {
  return summed(await db.selectFrom('ticket_totals').selectAll().execute())
}

/** Computes the totals from the tickets, for a database without any. */
export async function fillTotals(tx: Kysely<Tables>): Promise<void> {
  // Neither database can sum integers of this size, so equal amounts are counted there and summed here.
  const rows = await tx
    .selectFrom('tickets')
    .select((e) => ['state', 'reason', 'face_value', 'paid', e.fn.countAll().as('count')])
    .groupBy(['state', 'reason', 'face_value', 'paid'])
    .execute()
  const totals = summed(
    rows.map(({ state, reason, face_value, paid, count }) => ({
      ...{ state, reason, count: String(count) },
      face_value: (BigInt(face_value) * BigInt(count)).toString(),
      paid: (BigInt(paid ?? 0) * BigInt(count)).toString(),
    })),
  )
  await addToTotals(tx, false, '', totals)
}

type Row = Pick<Tables['ticket_totals'], 'state' | 'reason' | 'count' | 'face_value' | 'paid'>

function summed(rows: readonly Row[]): TicketCount[] {
  const groups = new Map<string, TicketCount>()
  for (const row of rows) {
    const key = `${row.state}/${row.reason}`
    const before = groups.get(key)
    groups.set(key, {
      state: row.state as TicketState['kind'],
      reason: row.reason,
      count: (before?.count ?? 0) + Number(row.count),
      faceValue: (before?.faceValue ?? 0n) + BigInt(row.face_value),
      paid: (before?.paid ?? 0n) + BigInt(row.paid),
    })
  }
  return [...groups]
    .filter(([, { count }]) => count !== 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, group]) => group)
}
