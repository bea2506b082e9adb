import { CompiledQuery, type Kysely } from 'kysely'
import {
  type LedgerRow,
  NO_SENDER_MONEY,
  plusSender,
  type SenderChange,
  type SenderMoney,
} from '../../domain/ledger.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Database } from './database.ts'
import { numbered } from './numbered.ts'
import type { Tables } from './tables.ts'

/*
 * What came of each gateway's tickets, by day: a row for each node, day and gateway. The writes of a commit share one update of
 * them. Nodes have rows of their own, so that they wait for no other; only the sum counts.
 */

type Row = Tables['ledger']
type Place = Pick<Database, 'shared' | 'schema'>

/** A change of what came of a gateway's tickets, on the day in which it is counted. */
export interface BookedOfSender {
  readonly day: number
  /** Empty for a ticket that is not known. */
  readonly sender: string
  readonly change: SenderChange
}

const COUNTS = ['tickets_received', 'tickets_won', 'tickets_handed_in', 'tickets_redeemed']
const AMOUNTS = ['received', 'variance', 'won', 'handed_in', 'redeemed_face', 'redeemed', 'redeem_gas']
const VALUES = [...COUNTS, ...AMOUNTS]
const COLUMNS = ['node', 'day', 'sender', ...VALUES]
const REPLACE = VALUES.map((name) => `${name} = excluded.${name}`).join(', ')
/** PostgreSQL adds by itself; SQLite has no integers of this size. */
const ADD = [
  ...COUNTS.map((name) => `${name} = ledger.${name} + excluded.${name}`),
  ...AMOUNTS.map((name) => `${name} = (ledger.${name}::numeric + excluded.${name}::numeric)::text`),
].join(', ')

/** Rows of one statement: SQLite allows 32766 parameters. */
const MAX_ROWS = 500

/** Adds what the writes of a commit changed to a node's rows. */
export async function addToLedger(
  tx: Kysely<Tables>,
  place: Place,
  node: string,
  booked: readonly BookedOfSender[],
): Promise<void> {
  const changes = new Map<string, { day: number; sender: string; money: SenderMoney }>()
  for (const { change, day, sender } of booked) {
    const key = `${day} ${sender}`
    const money = plusSender(changes.get(key)?.money ?? NO_SENDER_MONEY, change)
    changes.set(key, { day, sender, money })
  }
  const all = [...changes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, change]) => change)
  for (let at = 0; at < all.length; at += MAX_ROWS) {
    const some = all.slice(at, at + MAX_ROWS)
    const before = place.shared ? new Map<string, SenderMoney>() : await rowsOf(tx, node, some)
    const after = some.map(({ day, money, sender }) => {
      const known = before.get(`${day} ${sender}`) ?? NO_SENDER_MONEY
      return { node, day, sender, ...columnsOf(plusSender(known, money)) } as unknown as Row
    })
    await writeRows(tx, place, after)
  }
}

/** What came of each gateway's tickets from one day to another, the earliest day first. */
export async function readLedger(db: Kysely<Tables>, from: number, to: number): Promise<LedgerRow[]> {
  const rows = await db
    .selectFrom('ledger')
    .selectAll()
    .where('day', '>=', from)
    .where('day', '<=', to)
    .orderBy('day')
    .orderBy('sender')
    .execute()
  const sums = new Map<string, LedgerRow>()
  for (const row of rows) {
    const key = `${row.day} ${row.sender}`
    const before = sums.get(key)?.money ?? NO_SENDER_MONEY
    const sender = row.sender === '' ? null : (row.sender as Address)
    sums.set(key, { day: Number(row.day), sender, money: plusSender(before, moneyOf(row)) })
  }
  return [...sums.values()]
}

async function rowsOf(
  tx: Kysely<Tables>,
  node: string,
  keys: readonly { readonly day: number; readonly sender: string }[],
): Promise<Map<string, SenderMoney>> {
  const wanted = keys.map(() => '(day = ? and sender = ?)').join(' or ')
  const text = `select * from ledger where node = ? and (${wanted})`
  const parameters = [node, ...keys.flatMap(({ day, sender }) => [day, sender])]
  const { rows } = await tx.executeQuery<Row>(CompiledQuery.raw(text, parameters))
  return new Map(rows.map((row) => [`${row.day} ${row.sender}`, moneyOf(row)]))
}

async function writeRows(tx: Kysely<Tables>, place: Place, rows: readonly Row[]): Promise<void> {
  const { schema, shared } = place
  const values = `(${COLUMNS.map(() => '?').join(', ')})`
  const table = schema === null ? 'ledger' : `"${schema}".ledger`
  const text = `insert into ${table} as ledger (${COLUMNS.join(', ')}) values ${rows.map(() => values).join(', ')} on conflict (node, day, sender) do update set ${shared ? ADD : REPLACE}`
  const parameters = rows.flatMap((row) => COLUMNS.map((column) => row[column as keyof Row]))
  await tx.executeQuery(CompiledQuery.raw(numbered(text, shared), parameters))
}

function columnsOf(money: SenderMoney): Record<string, number | string> {
  const { redeemGas, ticketsHandedIn, ticketsReceived, ticketsRedeemed, ticketsWon } = money
  return {
    ...{ tickets_received: ticketsReceived, tickets_won: ticketsWon },
    ...{ tickets_handed_in: ticketsHandedIn, tickets_redeemed: ticketsRedeemed },
    ...{
      received: money.received.toString(),
      variance: money.variance.toString(),
      won: money.won.toString(),
    },
    ...{ handed_in: money.handedIn.toString(), redeemed_face: money.redeemedFace.toString() },
    ...{ redeemed: money.redeemed.toString(), redeem_gas: redeemGas.toString() },
  }
}

function moneyOf(row: Row): SenderMoney {
  return {
    ticketsReceived: Number(row.tickets_received),
    ticketsWon: Number(row.tickets_won),
    ticketsHandedIn: Number(row.tickets_handed_in),
    ticketsRedeemed: Number(row.tickets_redeemed),
    received: BigInt(row.received),
    variance: BigInt(row.variance),
    won: BigInt(row.won),
    handedIn: BigInt(row.handed_in),
    redeemedFace: BigInt(row.redeemed_face),
    redeemed: BigInt(row.redeemed),
    redeemGas: BigInt(row.redeem_gas),
  }
}
