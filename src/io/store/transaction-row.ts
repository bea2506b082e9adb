import type { Kysely } from 'kysely'
import { z } from 'zod'
import { negated, type SenderChange, sharesOf, ticketsIn } from '../../domain/ledger.ts'
import { type Booking, gasFor } from '../../domain/money.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import { chunks } from './bulk-inserts.ts'
import { type BookedMoney, bookingOf, columnsOfBooking } from './money-rows.ts'
import type { Tables, TransactionRow } from './tables.ts'

const ATTEMPTS = z.array(
  z.object({
    hash: z.string(),
    maxFeePerGas: z.string(),
    maxPriorityFeePerGas: z.string(),
    sentAtMs: z.number(),
    limit: z.string().optional(),
  }),
)

/** The row of a transaction, without where its fee is counted. */
export function rowOfTransaction(
  transaction: StoredTransaction,
): Omit<TransactionRow, 'booked_day' | 'booked_round'> {
  return {
    account: transaction.account,
    nonce: transaction.nonce,
    purpose: transaction.purpose,
    target: transaction.to,
    data: transaction.data,
    value: transaction.value.toString(),
    gas: transaction.gas.toString(),
    attempts: JSON.stringify(
      transaction.attempts.map((attempt) => ({
        ...attempt,
        maxFeePerGas: attempt.maxFeePerGas.toString(),
        maxPriorityFeePerGas: attempt.maxPriorityFeePerGas.toString(),
        limit: attempt.limit?.toString(),
      })),
    ),
    state: transaction.state,
    fee: transaction.fee?.toString() ?? null,
  }
}

/** The transaction in a row. */
export function transactionOfRow(row: TransactionRow): StoredTransaction {
  return {
    account: row.account as Address,
    nonce: Number(row.nonce),
    purpose: row.purpose,
    to: row.target as Address,
    data: row.data as Hex,
    value: BigInt(row.value),
    gas: BigInt(row.gas),
    attempts: ATTEMPTS.parse(JSON.parse(row.attempts)).map((attempt) => ({
      hash: attempt.hash as Hex,
      maxFeePerGas: BigInt(attempt.maxFeePerGas),
      maxPriorityFeePerGas: BigInt(attempt.maxPriorityFeePerGas),
      sentAtMs: attempt.sentAtMs,
      ...(attempt.limit === undefined ? {} : { limit: BigInt(attempt.limit) }),
    })),
    state: row.state as StoredTransaction['state'],
    ...(row.fee === null ? {} : { fee: BigInt(row.fee) }),
  }
}

/** The transactions of an account that are not known to be mined, in nonce order. */
export async function openOf(db: Kysely<Tables>, account: Address): Promise<StoredTransaction[]> {
  const rows = await db
    .selectFrom('transactions')
    .selectAll()
    .where('account', '=', account)
    .where('state', '=', 'open')
    .orderBy('nonce')
    .execute()
  return rows.map(transactionOfRow)
}

/** The newest transactions of an account whose fees are counted on this day or later, at most `most`. */
export async function minedSince(
  db: Kysely<Tables>,
  { account, day, most }: { account: Address; day: number; most: number },
): Promise<StoredTransaction[]> {
  const rows = await db
    .selectFrom('transactions')
    .selectAll()
    .where('account', '=', account)
    .where('booked_day', '>=', day)
    .orderBy('nonce', 'desc')
    .limit(most)
    .execute()
  return rows.map(transactionOfRow)
}

/** What an account spent on gas from a day on, in wei. */
export async function spentSince(db: Kysely<Tables>, account: Address, day: number): Promise<bigint> {
  const rows = await db
    .selectFrom('transactions')
    .select('fee')
    .where('account', '=', account)
    .where('booked_day', '>=', day)
    .execute()
  return rows.reduce((sum, { fee }) => sum + BigInt(fee ?? 0), 0n)
}

/**
 * Writes a transaction over the one with its account and nonce, and notes its fee where it is counted: where it was before,
 * or under `now` if it has just been mined. A transaction that is open again has no fee.
 */
export async function writeTransaction(
  tx: Kysely<Tables>,
  shared: boolean,
  transaction: StoredTransaction,
  now: Booking,
  note: (booked: BookedMoney) => void,
): Promise<void> {
  const row = rowOfTransaction(transaction)
  const before = await tx
    .selectFrom('transactions')
    .select(['purpose', 'fee', 'booked_day', 'booked_round'])
    .where('account', '=', row.account)
    .where('nonce', '=', row.nonce)
    .$if(shared, (q) => q.forUpdate())
    .executeTakeFirst()
  const booked = before ? bookingOf(before) : null
  const booking = transaction.fee === undefined ? null : (booked ?? now)
  const columns = { ...row, ...columnsOfBooking(booking) }
  await tx
    .insertInto('transactions')
    .values(columns)
    .onConflict((c) => c.columns(['account', 'nonce']).doUpdateSet(columns))
    .execute()
  await linkTickets(tx, row)
  if (before && booked) {
    const fee = BigInt(before.fee ?? 0)
    const senders = await gasBySender(tx, before.purpose, fee)
    note({
      ...{ booking: booked, change: gasFor(before.purpose, -fee) },
      senders: senders.map(({ change, sender }) => ({ sender, change: negated(change) })),
    })
  }
  if (booking) {
    const fee = transaction.fee ?? 0n
    const senders = await gasBySender(tx, row.purpose, fee)
    note({ booking, change: gasFor(row.purpose, fee), senders })
  }
}

/** Notes which tickets a transaction is for, so that they are found by it. */
export async function linkTickets(
  tx: Kysely<Tables>,
  { account, nonce, purpose }: Pick<TransactionRow, 'account' | 'nonce' | 'purpose'>,
): Promise<void> {
  for (const some of chunks(ticketsIn(purpose).map((hash) => ({ hash, account, nonce })))) {
    await tx
      .insertInto('ticket_transactions')
      .values(some)
      .onConflict((c) => c.doNothing())
      .execute()
  }
}

/** A fee shared out over the tickets of its transaction, by gateway; none where it is for no tickets. */
async function gasBySender(
  tx: Kysely<Tables>,
  purpose: string,
  fee: bigint,
): Promise<{ sender: string; change: SenderChange }[]> {
  const hashes = ticketsIn(purpose)
  if (hashes.length === 0) return []
  const rows = await tx.selectFrom('tickets').select(['hash', 'sender']).where('hash', 'in', hashes).execute()
  const senders = new Map(rows.map(({ hash, sender }) => [hash, sender]))
  const shares = sharesOf(fee, hashes.length)
  return hashes.map((hash, i) => ({ sender: senders.get(hash) ?? '', change: { redeemGas: shares[i]! } }))
}
