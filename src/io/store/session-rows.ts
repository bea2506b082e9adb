import { type Kysely, sql } from 'kysely'
import type { PricePerPixel } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'
import { Rational } from '../../lib/rational.ts'
import type { Tables } from './tables.ts'

/** The session id of the row with what is left of a sender's forgotten sessions; no session has this id. */
export const LEFTOVER = ''

/** A session is in use for this long after its last change; at most this many are read. */
const ACTIVE_MS = 5 * 60_000
const MAX_ACTIVE = 10_000

/** Written out, so that databases see that the indexes of such rows fit (`BALANCE_INDEXES`). */
const OWES = sql<boolean>`amount like '-%'`
const IS_CREDIT = sql<boolean>`amount not like '-%'`
const IS_OPEN = sql<boolean>`amount <> '0'`

/** The stored state of a session. */
export interface SessionRow {
  readonly amount: Rational
  readonly price: PricePerPixel | null
}

/** A session that a node may go on with although another one has worked for it, with its price as text. */
export interface ActiveSession {
  readonly sender: string
  readonly session: string
  readonly price: string
}

/** The sessions of a shared store that are in use, by the database's clock; a limited number of them. */
export async function activeSessions(db: Kysely<Tables>): Promise<readonly ActiveSession[]> {
  const rows = await db
    .selectFrom('balances')
    .select(['sender', 'session_id as session', 'price'])
    .where(sql<boolean>`updated_at > (extract(epoch from clock_timestamp()) * 1000)::bigint - ${ACTIVE_MS}`)
    .where('session_id', '<>', LEFTOVER)
    .orderBy('updated_at', 'desc')
    .limit(MAX_ACTIVE)
    .execute()
  return rows.flatMap(({ price, ...of }) => (price === null ? [] : [{ ...of, price }]))
}

/** The session's row, or null; on request locked until the end of the transaction. */
export async function sessionIn(
  db: Kysely<Tables>,
  sender: Address,
  sessionId: string,
  lock = false,
): Promise<SessionRow | null> {
  const row = await db
    .selectFrom('balances')
    .select(['amount', 'price'])
    .where('sender', '=', sender)
    .where('session_id', '=', sessionId)
    .$if(lock, (q) => q.forUpdate())
    .executeTakeFirst()
  if (!row) return null
  return {
    amount: Rational.parse(row.amount),
    price: row.price === null ? null : Rational.parse(row.price),
  }
}

/** The session's row, created if necessary and, if rows are shared, locked until the end of the transaction. */
export async function lockSession(
  tx: Kysely<Tables>,
  shared: boolean,
  sender: Address,
  sessionId: string,
  nowMs: number,
): Promise<SessionRow & { readonly isNew: boolean }> {
  const known = await sessionIn(tx, sender, sessionId, shared)
  if (known) return { ...known, isNew: false }
  const made = await tx
    .insertInto('balances')
    .values({ sender, session_id: sessionId, amount: '0', price: null, updated_at: nowMs })
    .onConflict((c) => c.doNothing())
    .executeTakeFirst()
  const session = (await sessionIn(tx, sender, sessionId, shared))!
  return { ...session, isNew: (made.numInsertedOrUpdatedRows ?? 0n) > 0n }
}

/** Updates a session's row. */
export async function setSession(
  tx: Kysely<Tables>,
  sender: Address,
  sessionId: string,
  set: { amount?: Rational; price?: PricePerPixel; nowMs: number },
): Promise<void> {
  await tx
    .updateTable('balances')
    .set({
      ...(set.amount ? { amount: set.amount.toString() } : {}),
      ...(set.price ? { price: set.price.toString() } : {}),
      updated_at: set.nowMs,
    })
    .where('sender', '=', sender)
    .where('session_id', '=', sessionId)
    .execute()
}

/** What is left in a sender's idle sessions, and the highest price it was paid at. */
export interface Leftovers {
  readonly amount: Rational
  readonly price: PricePerPixel | null
}

/**
 * Settles the sender's other idle sessions, debts against credits, and takes what remains, rounded up to whole wei:
 * sums of fractions with different denominators would grow without limit. If the debts are larger, nothing changes.
 */
export async function takeLeftovers(
  tx: Kysely<Tables>,
  shared: boolean,
  sender: Address,
  sessionId: string,
  idleSinceMs: number,
): Promise<Leftovers> {
  const ofSender = tx
    .selectFrom('balances')
    .selectAll()
    .where('sender', '=', sender)
    .where(IS_OPEN)
    .$if(shared, (q) => q.forUpdate())
  const forgotten = await ofSender.where('session_id', '=', LEFTOVER).execute()
  const idle = await ofSender
    .where('updated_at', '<=', idleSinceMs)
    .where('session_id', 'not in', [sessionId, LEFTOVER])
    .orderBy('session_id')
    .execute()
  const rows = [...forgotten, ...idle]
  const amounts = rows.map(({ amount }) => Rational.parse(amount))
  const left = amounts.reduce((sum, amount) => sum + amount.ceil(), 0n)
  if (left <= 0n) return { amount: Rational.zero, price: null }
  let price: PricePerPixel | null = null
  for (const [index, row] of rows.entries()) {
    const isPaid = amounts[index]!.sign > 0 && row.price !== null
    const paidFor = isPaid ? Rational.parse(row.price!) : null
    if (paidFor && (!price || paidFor.cmp(price) > 0)) price = paidFor
    const nowMs = Number(row.updated_at)
    await setSession(tx, sender, row.session_id, { amount: Rational.zero, nowMs })
  }
  return { amount: Rational.of(left), price }
}

/** The sum of the sender's negative balances, less the credit in its idle sessions; at least 0. */
export async function owedBy(db: Kysely<Tables>, sender: Address, idleSinceMs: number): Promise<Rational> {
  const amounts = db.selectFrom('balances').select('amount').where('sender', '=', sender)
  const credit = amounts.where(IS_CREDIT)
  const idle = credit
    .where(IS_OPEN)
    .where('updated_at', '<=', idleSinceMs)
    .where('session_id', '!=', LEFTOVER)
  const rows = await amounts
    .where(OWES)
    .unionAll(idle)
    .unionAll(credit.where('session_id', '=', LEFTOVER))
    .execute()
  const total = rows.reduce((sum, { amount }) => sum + Rational.parse(amount).ceil(), 0n)
  return Rational.of(total < 0n ? -total : 0n)
}

/**
 * Deletes some of the sessions idle since then, oldest first; their credit stays the sender's. Returns whether there
 * may be more.
 */
export async function forgetIdleSessions(
  tx: Kysely<Tables>,
  shared: boolean,
  idleSinceMs: number,
): Promise<boolean> {
  const rows = await tx
    .selectFrom('balances')
    .selectAll()
    .where('updated_at', '<=', idleSinceMs)
    .where('session_id', '!=', LEFTOVER)
    .orderBy('updated_at')
    .orderBy('sender')
    .orderBy('session_id')
    .limit(FORGOTTEN_AT_ONCE)
    .$if(shared, (q) => q.forUpdate())
    .execute()
  for (const row of rows) {
    await tx
      .deleteFrom('balances')
      .where('sender', '=', row.sender)
      .where('session_id', '=', row.session_id)
      .execute()
    const left = Rational.parse(row.amount)
    if (left.sign <= 0) continue
    const sender = row.sender as Address
    const nowMs = Number(row.updated_at)
    const { amount } = await lockSession(tx, shared, sender, LEFTOVER, nowMs)
    await setSession(tx, sender, LEFTOVER, { amount: amount.add(Rational.of(left.ceil())), nowMs })
  }
  return rows.length === FORGOTTEN_AT_ONCE
}

/** Limits each deletion, so that it never delays a payment for long. */
const FORGOTTEN_AT_ONCE = 500
