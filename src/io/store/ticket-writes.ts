import type { Kysely } from 'kysely'
import { negated, type SenderChange } from '../../domain/ledger.ts'
import type { Booking, MoneyChange } from '../../domain/money.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import { isFinal, type TicketState } from '../../domain/ticket-state.ts'
import { formatHex } from '../../lib/bytes.ts'
import type { TicketRemark } from '../../services/orchestrator/payment-records.ts'
import { insertTickets } from './bulk-inserts.ts'
import { type BookedMoney, bookingOf, columnsOfBooking } from './money-rows.ts'
import type { Tables } from './tables.ts'
import { columnsOfState, stateOfRow } from './ticket-row.ts'
import { tellStory } from './ticket-story.ts'
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
  sessionId: string | null = null,
): Promise<WinningTicket[]> {
  const added = await insertTickets(tx, tickets, nowMs, { sessionId, source, receivedBy: node })
  if (added.length === 0) return added
  const total = changeOfWinners(added)
  await addToTotals(tx, shared, node, [total])
  const senders = [...Map.groupBy(added, ({ sender }) => sender)].map(([sender, own]) => ({
    sender,
    change: winnings(changeOfWinners(own), source),
  }))
  note({ booking: now, change: winnings(total, source), senders })
  return added
}

/** A payment counts its tickets itself; one that is refused leaves only those that won. */
function winnings({ count, faceValue }: TotalsChange, source: WinnerSource): MoneyChange & SenderChange {
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
  {
    byLeader = false,
    ...remark
  }: TicketRemark & { /** A leader writes: others may have written meanwhile. */ byLeader?: boolean } = {},
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
  const state = byLeader ? stateAfter(before, wanted) : wanted
  if (state === null) return
  const booked = bookingOf(row)
  const booking = state.kind !== 'redeemed' ? null : before.kind === 'redeemed' ? booked : now
  await tx
    .updateTable('tickets')
    .set({ ...columnsOfState(state), ...columnsOfBooking(booking), updated_at: nowMs })
    .where('hash', '=', key)
    .execute()
  await tellStory(tx, { hash: key, node, nowMs }, { before, state, remark })
  const faceValue = BigInt(row.face_value)
  await addToTotals(tx, shared, node, [
    changeOf(before, { count: -1, faceValue: -faceValue }),
    changeOf(state, { count: 1, faceValue }),
  ])
  const count = (of: TicketState) => redeemed(of, faceValue)
  const { sender } = row
  if (booked) {
    const { money, tickets } = count(before)
    note({
      ...{ booking: booked, change: negated(money) },
      senders: [{ sender, change: negated(tickets) }],
    })
  }
  if (booking) {
    const { money, tickets } = count(state)
    note({ booking, change: money, senders: [{ sender, change: tickets }] })
  }
}

/** What a redeemed ticket counts for, in all and beside the others of its gateway. */
function redeemed(state: TicketState, faceValue: bigint): { money: MoneyChange; tickets: SenderChange } {
  if (state.kind !== 'redeemed') return { money: {}, tickets: {} }
  const money = { redeemed: state.paid ?? 0n }
  return { money, tickets: { ...money, ticketsRedeemed: 1, redeemedFace: faceValue } }
}
