import { CompiledQuery, type Kysely } from 'kysely'
import type { SenderChange } from '../../domain/ledger.ts'
import { type Booking, type Money, type MoneyChange, mondayOf, NO_MONEY, plus } from '../../domain/money.ts'
import type { Database } from './database.ts'
import { addToLedger } from './ledger-rows.ts'
import { numbered } from './numbered.ts'
import type { Integer, Tables } from './tables.ts'

/*
 * What the node earned and spent: a row for each UTC day, one for each round, and one for all time. The writes of a
 * commit share one update of them, so that a payment costs no statement of its own.
 */

/** A change of the money, where it is counted. */
export interface BookedMoney {
  readonly booking: Booking
  readonly change: MoneyChange
  /** The same by gateway, as far as it comes of tickets. */
  readonly senders?: readonly { readonly sender: string; readonly change: SenderChange }[]
}

/** The money of some periods. */
export interface MoneyReport {
  /** The first day that has anything; null when nothing was ever counted. */
  readonly firstDay: number | null
  readonly today: Money
  /** The last initialised round, and its money; null while no round is known. */
  readonly thisRound: { readonly round: bigint; readonly money: Money } | null
  /** Since Monday. */
  readonly thisWeek: Money
  readonly ever: Money
}

type Row = Tables['money']
type Key = Pick<Row, 'period' | 'at'>
type Place = Pick<Database, 'shared' | 'schema'>

/** Adds what the writes of a commit changed to a node's rows. */
export async function addToMoney(
  tx: Kysely<Tables>,
  place: Place,
  node: string,
  booked: readonly BookedMoney[],
): Promise<void> {
  const changes = changesByRow(booked)
  const keys = [...changes.values()].map(({ key }) => key)
  let rows = await lockRows(tx, place, node, keys)
  if (place.shared && rows.length < keys.length) {
    // Another process may make the same rows: whoever comes second finds them.
    const empty = keys.map((key) => rowOf(node, key, NO_MONEY))
    await insertRows(tx, place, empty, 'do nothing')
    rows = await lockRows(tx, place, node, keys)
  }
  const before = new Map(rows.map((row) => [nameOf(row), moneyOf(row)]))
  const after = [...changes].map(([name, { key, money }]) =>
    rowOf(node, key, plus(before.get(name) ?? NO_MONEY, money)),
  )
  await insertRows(tx, place, after, REPLACE)
  const ofSenders = booked.flatMap(({ booking: { day }, senders = [] }) =>
    senders.map(({ change, sender }) => ({ day, sender, change })),
  )
  if (ofSenders.length > 0) await addToLedger(tx, place, node, ofSenders)
}

const AMOUNTS = [
  ...(['tickets_received', 'tickets_won', 'tickets_handed_in', 'received', 'won'] as const),
  ...(['handed_in', 'redeemed', 'redeem_gas', 'reward_gas', 'other_gas'] as const),
]
const COLUMNS = ['node', 'period', 'at', ...AMOUNTS] as const
const REPLACE = `do update set ${AMOUNTS.map((name) => `${name} = excluded.${name}`).join(', ')}`

/*
 * These two run with almost every payment: their texts are put together here, since the query builder takes longer than the
 * database.
 */

/** The rows that exist; if they are shared, they stay locked until the end of the transaction. */
async function lockRows(
  tx: Kysely<Tables>,
  { shared, schema }: Place,
  node: string,
  keys: readonly Key[],
): Promise<Row[]> {
  const wanted = keys.map(() => '(period = ? and at = ?)').join(' or ')
  const text = `select * from ${tableIn(schema)} where node = ? and (${wanted}) order by period, at${shared ? ' for update' : ''}`
  const parameters = [node, ...keys.flatMap(({ at, period }) => [period, at])]
  const { rows } = await tx.executeQuery<Row>(CompiledQuery.raw(numbered(text, shared), parameters))
  return rows
}

async function insertRows(
  tx: Kysely<Tables>,
  { shared, schema }: Place,
  rows: readonly Row[],
  onConflict: string,
): Promise<void> {
  const values = `(${COLUMNS.map(() => '?').join(', ')})`
  const text = `insert into ${tableIn(schema)} (${COLUMNS.join(', ')}) values ${rows.map(() => values).join(', ')} on conflict (node, period, at) ${onConflict}`
  const parameters = rows.flatMap((row) => COLUMNS.map((column) => row[column]))
  await tx.executeQuery(CompiledQuery.raw(numbered(text, shared), parameters))
}

function tableIn(schema: string | null): string {
  return schema === null ? 'money' : `"${schema}".money`
}

/** The money of all nodes of the database on this day, in its week, in this round and ever. */
export async function readMoney(db: Kysely<Tables>, { day, round }: Booking): Promise<MoneyReport> {
  const rows = await db
    .selectFrom('money')
    .selectAll()
    .where((e) =>
      e.or([
        e.and([e('period', '=', 'day'), e('at', '>=', mondayOf(day)), e('at', '<=', day)]),
        e.and([e('period', '=', 'round'), e('at', '=', round ?? -1n)]),
        e('period', '=', 'ever'),
      ]),
    )
    .execute()
  const first = await db
    .selectFrom('money')
    .select((e) => e.fn.min('at').as('at'))
    .where('period', '=', 'day')
    .executeTakeFirst()
  const sum = (of: (row: Row) => boolean) => rows.filter(of).map(moneyOf).reduce(plus, NO_MONEY)
  return {
    firstDay: first?.at === null || first?.at === undefined ? null : Number(first.at),
    today: sum(({ at, period }) => period === 'day' && Number(at) === day),
    thisRound: round === null ? null : { round, money: sum(({ period }) => period === 'round') },
    thisWeek: sum(({ period }) => period === 'day'),
    ever: sum(({ period }) => period === 'ever'),
  }
}

/** The money of all nodes of the database on each of these days, by day; a day without any is left out. */
export async function readMoneyByDay(
  db: Kysely<Tables>,
  from: number,
  to: number,
): Promise<Map<number, Money>> {
  const rows = await db
    .selectFrom('money')
    .selectAll()
    .where('period', '=', 'day')
    .where('at', '>=', from)
    .where('at', '<=', to)
    .orderBy('at')
    .execute()
  const byDay = Map.groupBy(rows, ({ at }) => Number(at))
  return new Map([...byDay].map(([day, of]) => [day, of.map(moneyOf).reduce(plus, NO_MONEY)]))
}

/** The booking in a row's columns; null when nothing is counted for it. */
export function bookingOf(row: {
  readonly booked_day: Integer | null
  readonly booked_round: Integer | null
}): Booking | null {
  if (row.booked_day === null) return null
  return {
    day: Number(row.booked_day),
    round: row.booked_round === null ? null : BigInt(row.booked_round),
  }
}

/** The columns of a booking. */
export function columnsOfBooking(booking: Booking | null): {
  booked_day: number | null
  booked_round: bigint | null
} {
  return { booked_day: booking?.day ?? null, booked_round: booking?.round ?? null }
}

/** The changes of each row, in an order in which two processes cannot lock each other out. */
function changesByRow(booked: readonly BookedMoney[]): Map<string, { key: Key; money: Money }> {
  const byBooking = new Map<string, { booking: Booking; money: Money }>()
  for (const { booking, change } of booked) {
    const name = `${booking.day} ${booking.round}`
    byBooking.set(name, { booking, money: plus(byBooking.get(name)?.money ?? NO_MONEY, change) })
  }
  const byRow = new Map<string, { key: Key; money: Money }>()
  for (const { booking, money } of byBooking.values()) {
    for (const key of keysOf(booking)) {
      const name = nameOf(key)
      byRow.set(name, { key, money: plus(byRow.get(name)?.money ?? NO_MONEY, money) })
    }
  }
  return new Map([...byRow].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function keysOf({ day, round }: Booking): Key[] {
  return [
    { period: 'day', at: day },
    { period: 'ever', at: 0 },
    ...(round === null ? [] : [{ period: 'round' as const, at: round }]),
  ]
}

function nameOf({ at, period }: Key): string {
  return `${period} ${at}`
}

function rowOf(node: string, { at, period }: Key, money: Money): Row {
  return {
    ...{ node, period, at },
    tickets_received: money.ticketsReceived,
    tickets_won: money.ticketsWon,
    tickets_handed_in: money.ticketsHandedIn,
    received: money.received.toString(),
    won: money.won.toString(),
    handed_in: money.handedIn.toString(),
    redeemed: money.redeemed.toString(),
    redeem_gas: money.redeemGas.toString(),
    reward_gas: money.rewardGas.toString(),
    other_gas: money.otherGas.toString(),
  }
}

function moneyOf(row: Row): Money {
  return {
    ticketsReceived: Number(row.tickets_received),
    ticketsWon: Number(row.tickets_won),
    ticketsHandedIn: Number(row.tickets_handed_in),
    received: BigInt(row.received),
    won: BigInt(row.won),
    handedIn: BigInt(row.handed_in),
    redeemed: BigInt(row.redeemed),
    redeemGas: BigInt(row.redeem_gas),
    rewardGas: BigInt(row.reward_gas),
    otherGas: BigInt(row.other_gas),
  }
}
