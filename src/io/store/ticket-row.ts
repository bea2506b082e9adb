import type { WinningTicket } from '../../domain/ticket.ts'
import { NEW_TICKET, reasonOf, type TicketState } from '../../domain/ticket-state.ts'
import { formatHex, type Hex, parseHex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { StoredTicket } from '../../services/orchestrator/payment-records.ts'
import { columnsOfBooking } from './money-rows.ts'
import type { TicketRow } from './tables.ts'

/** Where a winning ticket came from; null where that is not known. */
export interface TicketOrigin {
  readonly sessionId: string | null
  /** In an accepted payment, without one, or from another node. */
  readonly source: 'paid' | 'unpaid' | 'handedIn' | null
  /** The node that took it. */
  readonly receivedBy: string | null
}

/** The row of a new winning ticket. */
export function rowOfTicket(
  hash: Hex,
  ticket: WinningTicket,
  nowMs: number,
  { receivedBy, sessionId, source }: TicketOrigin,
): TicketRowInsert {
  return {
    hash,
    sender: ticket.sender,
    recipient: ticket.recipient,
    face_value: ticket.faceValue.toString(),
    win_prob: ticket.winProb.toString(),
    sender_nonce: ticket.senderNonce,
    recipient_rand: ticket.recipientRand.toString(),
    recipient_rand_hash: formatHex(ticket.recipientRandHash),
    sig: formatHex(ticket.sig),
    creation_round: ticket.expirationParams.creationRound,
    creation_round_block_hash: formatHex(ticket.expirationParams.creationRoundBlockHash),
    params_expiration_block: ticket.paramsExpirationBlock,
    received_at: nowMs,
    updated_at: nowMs,
    ...columnsOfState(NEW_TICKET),
    ...columnsOfBooking(null),
    ...{ session_id: sessionId, source, received_by: receivedBy },
  }
}

type TicketRowInsert = Omit<TicketRow, 'reason' | OriginColumn> & { reason: string } & {
  readonly [Column in OriginColumn]: string | null
}
type OriginColumn = 'session_id' | 'source' | 'received_by'

/** The columns of a ticket's state. */
export function columnsOfState(
  state: TicketState,
): Pick<TicketRowInsert, 'state' | 'reason' | 'tx_hash' | 'paid' | 'fee' | 'block'> {
  const redeemed = state.kind === 'redeemed' ? state : null
  return {
    state: state.kind,
    reason: reasonOf(state),
    tx_hash: state.kind === 'submitted' || state.kind === 'redeemed' ? state.txHash : null,
    paid: redeemed?.paid?.toString() ?? null,
    fee: redeemed?.fee?.toString() ?? null,
    block: redeemed?.block ?? null,
  }
}

/** The ticket in a row. */
export function ticketOfRow(row: Omit<TicketRowInsert, OriginColumn>): StoredTicket {
  return {
    hash: parseHex(row.hash),
    state: stateOfRow(row),
    receivedAtMs: Number(row.received_at),
    ticket: {
      recipient: row.recipient as Address,
      sender: row.sender as Address,
      faceValue: BigInt(row.face_value),
      winProb: BigInt(row.win_prob),
      senderNonce: Number(row.sender_nonce),
      recipientRand: BigInt(row.recipient_rand),
      recipientRandHash: parseHex(row.recipient_rand_hash),
      sig: parseHex(row.sig),
      expirationParams: {
        creationRound: BigInt(row.creation_round),
        creationRoundBlockHash: parseHex(row.creation_round_block_hash),
      },
      paramsExpirationBlock: BigInt(row.params_expiration_block),
    },
  }
}

/** The state of the ticket in a row. */
export function stateOfRow(
  row: Pick<TicketRowInsert, 'state' | 'reason' | 'tx_hash' | 'paid' | 'fee' | 'block'>,
): TicketState {
  const kind = row.state as TicketState['kind']
  switch (kind) {
    case 'open':
    case 'refused':
      // Only this file writes the column, and only with these values.
      return { kind, reason: row.reason } as TicketState
    case 'delivered':
      return { kind }
    case 'submitted':
      return { kind, txHash: row.tx_hash as Hex | null }
    case 'redeemed':
      return {
        kind,
        txHash: row.tx_hash as Hex | null,
        paid: row.paid === null ? null : BigInt(row.paid),
        fee: row.fee === null ? null : BigInt(row.fee),
        block: BigInt(row.block ?? 0),
      }
  }
}
