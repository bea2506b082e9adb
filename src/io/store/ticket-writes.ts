import type { Kysely } from 'kysely'
import type { Booking, MoneyChange } from '../../domain/money.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import { isFinal, type TicketState } from '../../domain/ticket-state.ts'
import { formatHex } from '../../lib/bytes.ts'
import { insertTickets } from './bulk-inserts.ts'
import { type BookedMoney, bookingOf, columnsOfBooking } from './money-rows.ts'
import type { Tables } from './tables.ts'
import { columnsOfState, stateOfRow } from './ticket-row.ts'
import { addToTotals, changeOf, changeOfWinners, type TotalsChange } from './ticket-totals.ts'

/** A transaction of the database in which tickets are written, and how their money is counted. */
export interface TicketWrite {
  readonly tx: Kysely<Tables>
  readonly shared: boolean
  /** Whose totals are changed. */
  readonly node: string
  readonly nowMs: number
  /** Where money is counted now. */
  readonly now: Booking
  note(booked: BookedMoney): void
}

/** How winning tickets came: in an accepted payment, without one, or from another node. */
export type WinnerSource = 'paid' | 'unpaid' | 'handedIn'

/** Inserts winning tickets and returns the new ones, which are counted as won, or as handed in. */
export async function addWinners(
  { node, note, now, nowMs, shared, tx }: TicketWrite,
  tickets: readonly WinningTicket[],
  source: WinnerSource,
): Promise<WinningTicket[]> {
  const added = await insertTickets(tx, tickets, nowMs)
  if (added.length === 0) return added
  const total = changeOfWinners(added)
  await addToTotals(tx, shared, node, [total])
  note({ booking: now, change: winnings(total, source) })
  return added
}

/** A payment counts its tickets itself; one that is refused leaves only those that won. */
function winnings({ count, faceValue }: TotalsChange, source: WinnerSource): MoneyChange {
  if (source === 'handedIn') return { ticketsHandedIn: count, handedIn: faceValue }
  const ticketsReceived = source === 'paid' ? 0 : count
  return { ticketsReceived, ticketsWon: count, won: faceValue }
}

/**
 * The state that a leader may give a ticket whose state is `before`: the end that another leader has found stays. Null where
 * nothing changes.
 */
function stateAfter(before: TicketState, state: TicketState): TicketState | null {
  if (!isFinal(before)) return state
  if (before.kind !== 'redeemed') return null
  if (state.kind === 'open') return state.reason === 'reorganised' ? state : null
  if (state.kind !== 'redeemed') return null
  // Only the one that paid the fee knows it.
  return state.txHash === before.txHash ? { ...state, fee: state.fee ?? before.fee } : state
}

/**
 * Changes the state of a ticket, its totals, and what was redeemed; a ticket that is not known is left out. What a ticket
 * was paid stays counted where it was first, and is taken out there if the redemption is undone.
 */
export async function changeTicket(
  { node, note, now, nowMs, shared, tx }: TicketWrite,
  hash: Uint8Array,
  wanted: TicketState,
  options: { /** A leader writes: others may have written meanwhile. */ byLeader?: boolean } = {},
): Promise<void> {
  const key = formatHex(hash)
  const row = await tx
    .selectFrom('tickets')
    .selectAll()
    .where('hash', '=', key)
    .$if(shared, (q) => q.forUpdate())
    .executeTakeFirst()
  if (!row) return
  const before = stateOfRow(row as Parameters<typeof stateOfRow>[0])
  const state = options.byLeader ? stateAfter(before, wanted) : wanted
  if (state === null) return
  const booked = bookingOf(row)
  const booking = state.kind !== 'redeemed' ? null : before.kind === 'redeemed' ? booked : now
  await tx
    .updateTable('tickets')
    .set({ ...columnsOfState(state), ...columnsOfBooking(booking), updated_at: nowMs })
    .where('hash', '=', key)
    .execute()
  const faceValue = BigInt(row.face_value)
  await addToTotals(tx, shared, node, [
    changeOf(before, { count: -1, faceValue: -faceValue }),
    changeOf(state, { count: 1, faceValue }),
  ])
  if (booked) note({ booking: booked, change: redeemed(before, -1n) })
  if (booking) note({ booking, change: redeemed(state, 1n) })
}

function redeemed(state: TicketState, sign: 1n | -1n): MoneyChange {
  return state.kind === 'redeemed' ? { redeemed: sign * (state.paid ?? 0n) } : {}
}
