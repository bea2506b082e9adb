import { partsOf } from '../../domain/money.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import { MAX_NONCES_PER_RAND } from '../../domain/ticket-rules.ts'
import { formatHex } from '../../lib/bytes.ts'
import { Rational } from '../../lib/rational.ts'
import type { PaymentRecord } from '../../services/orchestrator/payment-records.ts'
import { insertNonces } from './bulk-inserts.ts'
import { nonceUse } from './nonce-rows.ts'
import { lockSession, setSession, takeLeftovers } from './session-rows.ts'
import { addWinners, type TicketWrite } from './ticket-writes.ts'

/** Writes a payment. Throws `conflict` when it must not be recorded, for the transaction to be undone. */
export async function writePayment(
  write: TicketWrite,
  record: PaymentRecord,
  conflict: Error,
): Promise<{ newWinners: WinningTicket[] }> {
  const { note, now, nowMs, shared, tx } = write
  const { credit, nonces, sender, sessionId } = record
  const { count, revealed } = await nonceUse(tx, formatHex(record.recipientRandHash))
  if (revealed || count + nonces.length > MAX_NONCES_PER_RAND) throw conflict
  if (!(await insertNonces(tx, record))) throw conflict
  const newWinners = await addWinners(write, record.winners, 'paid', sessionId)
  const change = { ticketsReceived: nonces.length, received: partsOf(credit) }
  const senders = [{ sender, change: { ...change, variance: record.variance } }]
  note({ booking: now, change, senders })
  const session = await lockSession(tx, shared, sender, sessionId, nowMs)
  const leftover = session.isNew
    ? (await takeLeftovers(tx, shared, sender, sessionId, record.idleSinceMs)).amount
    : Rational.zero
  const price = session.price ?? record.price
  const amount = session.amount.add(leftover).add(credit)
  await setSession(tx, sender, sessionId, { amount, price, nowMs })
  return { newWinners }
}
