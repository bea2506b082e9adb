import { type Expression, type Kysely, sql } from 'kysely'
import type { TicketState } from '../../domain/ticket-state.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import { cutTo, escaped } from '../../lib/printable.ts'
import type { StoredTicket, TicketRemark } from '../../services/orchestrator/payment-records.ts'
import type { StoryRow, Tables } from './tables.ts'
import { columnsOfState, stateOfRow, type TicketOrigin, ticketOfRow } from './ticket-row.ts'
import { linkTickets, transactionOfRow } from './transaction-row.ts'

/** Facts of one ticket that are kept; its end always is. A ticket that is retried for two rounds has a few dozen. */
const MAX_FACTS = 500
const MAX_SAYS_CHARS = 500
/** Transactions of one ticket that are read. */
const MAX_TRANSACTIONS = 50
/** Rows of transactions that are looked through at once. */
const PAGE_ROWS = 500

/** A fact in a ticket's life, as it was written down: the state that it took, and what came with it. */
export interface StoryFact extends TicketRemark {
  readonly atMs: number
  /** The node that wrote it down. */
  readonly node: string
  readonly state: TicketState
}

/** A winning ticket as the store knows it. */
export interface KnownTicket extends StoredTicket {
  readonly id: Hex
  readonly origin: TicketOrigin
  readonly updatedAtMs: number
}

/** All that the store knows of one ticket. */
export interface TicketStory extends KnownTicket {
  /** In order; what happened before the store kept stories is not there. */
  readonly facts: readonly StoryFact[]
  /** The transactions that were to redeem it, the oldest first. */
  readonly transactions: readonly StoredTransaction[]
}

/** Which tickets are listed. */
export interface TicketFilter {
  readonly states?: readonly TicketState['kind'][]
  readonly reason?: string
  readonly sender?: Address
  /** The newest round of creation. */
  readonly createdTo?: bigint
}

/** The place of a ticket in the list, the newest first. */
export interface TicketPlace {
  readonly receivedAtMs: number
  readonly id: Hex
}

/** Appends what has become of a ticket, in the transaction that changes it. */
export async function tellStory(
  tx: Kysely<Tables>,
  { hash, node, nowMs }: { readonly hash: Hex; readonly node: string; readonly nowMs: number },
  {
    before,
    remark: { redeemer, says, txHash },
    state,
  }: { readonly before: TicketState; readonly state: TicketState; readonly remark: TicketRemark },
): Promise<void> {
  const columns = columnsOfState(state)
  const isNews = textOf(columnsOfState(before)) !== textOf(columns)
  if (!isNews && says === undefined && redeemer === undefined) return
  const last = await tx
    .selectFrom('ticket_story')
    .select((e) => e.fn.max('seq').as('seq'))
    .where('hash', '=', hash)
    .executeTakeFirst()
  const seq = Number(last?.seq ?? 0) + 1
  const isEnd = state.kind === 'redeemed' || state.kind === 'refused'
  if (seq > MAX_FACTS && !isEnd) return
  await tx
    .insertInto('ticket_story')
    .values({
      ...{ hash, seq, at: nowMs, node, ...columns },
      tx_hash: columns.tx_hash ?? txHash ?? null,
      redeemer: redeemer === undefined ? null : short(redeemer),
      says: says === undefined ? null : short(says),
    })
    .execute()
}

function textOf(columns: object): string {
  return Object.values(columns).map(String).join(' ')
}

function short(text: string): string {
  return cutTo(MAX_SAYS_CHARS, escaped(text))
}

/** The newest tickets that fit, at most `most`, after a place in the list. */
export async function listTickets(
  db: Kysely<Tables>,
  { createdTo, reason, sender, states }: TicketFilter,
  page: { readonly after: TicketPlace | null; readonly most: number },
): Promise<KnownTicket[]> {
  // By a sender alone, and without a filter, indexes go by time; everything else goes by state.
  const isByState = states !== undefined || reason !== undefined || createdTo !== undefined
  const rows: Row[] = []
  for (const state of isByState ? (states ?? STATES) : [undefined]) {
    rows.push(...(await pageOf(db, { createdTo, reason, sender, state }, page)))
  }
  return rows.map(knownOfRow).sort(newestFirst).slice(0, page.most)
}

const STATES: readonly TicketState['kind'][] = ['open', 'submitted', 'delivered', 'redeemed', 'refused']

type OneState = { readonly [Key in keyof Omit<TicketFilter, 'states'>]: TicketFilter[Key] | undefined } & {
  readonly state: TicketState['kind'] | undefined
}

async function pageOf(
  db: Kysely<Tables>,
  { createdTo, reason, sender, state }: OneState,
  { after, most }: { readonly after: TicketPlace | null; readonly most: number },
): Promise<Row[]> {
  const rows = await db
    .selectFrom('tickets')
    .selectAll()
    .$if(state !== undefined, (q) => q.where('state', '=', state!))
    .$if(reason !== undefined, (q) => q.where('reason', '=', reason!))
    .$if(sender !== undefined, (q) => q.where('sender', '=', sender!))
    .$if(createdTo !== undefined, (q) => q.where('creation_round', '<=', createdTo!))
    .$if(after !== null, (q) =>
      // Both columns at once, so that a page begins where the index has it.
      q.where((e) => e(e.refTuple('received_at', 'hash'), '<', e.tuple(after!.receivedAtMs, after!.id))),
    )
    .orderBy('received_at', 'desc')
    .orderBy('hash', 'desc')
    .limit(most)
    .execute()
  return rows as Row[]
}

function newestFirst(a: KnownTicket, b: KnownTicket): number {
  return b.receivedAtMs - a.receivedAtMs || (a.id < b.id ? 1 : -1)
}

/** All that is known of one ticket; null for one that is not known. */
export async function storyOf(db: Kysely<Tables>, id: Hex): Promise<TicketStory | null> {
  const row = await db.selectFrom('tickets').selectAll().where('hash', '=', id).executeTakeFirst()
  if (!row) return null
  const facts = await db
    .selectFrom('ticket_story')
    .selectAll()
    .where('hash', '=', id)
    .orderBy('seq')
    .limit(MAX_FACTS + 2)
    .execute()
  const transactions = await db
    .selectFrom('ticket_transactions as t')
    .innerJoin('transactions as x', (j) =>
      j.onRef('x.account', '=', 't.account').onRef('x.nonce', '=', 't.nonce'),
    )
    .selectAll('x')
    .where('t.hash', '=', id)
    .orderBy('x.nonce', 'desc')
    .limit(MAX_TRANSACTIONS)
    .execute()
  return {
    ...knownOfRow(row as Row),
    facts: facts.map(factOfRow),
    transactions: transactions.map(transactionOfRow).reverse(),
  }
}

type Row = Parameters<typeof ticketOfRow>[0] & {
  readonly session_id: string | null
  readonly source: string | null
  readonly received_by: string | null
}

function knownOfRow(row: Row): KnownTicket {
  return {
    ...ticketOfRow(row),
    id: row.hash as Hex,
    updatedAtMs: Number(row.updated_at),
    origin: {
      sessionId: row.session_id,
      source: row.source as TicketOrigin['source'],
      receivedBy: row.received_by,
    },
  }
}

function factOfRow(row: StoryRow): StoryFact {
  const state = stateOfRow(row as Parameters<typeof stateOfRow>[0])
  return {
    ...{ atMs: Number(row.at), node: row.node, state },
    ...(row.tx_hash !== null && { txHash: row.tx_hash as Hex }),
    ...(row.redeemer !== null && { redeemer: row.redeemer }),
    ...(row.says !== null && { says: row.says }),
  }
}

/** Links the transactions of earlier versions to their tickets. */
export async function fillTicketTransactions(tx: Kysely<Tables>): Promise<void> {
  let last: { account: string; nonce: number } = { account: '', nonce: -1 }
  for (;;) {
    const after: Expression<boolean>[] = [sql`(account, nonce) > (${last.account}, ${last.nonce})`]
    const rows = await tx
      .selectFrom('transactions')
      .select(['account', 'nonce', 'purpose'])
      .where((e) => e.and(after))
      .orderBy('account')
      .orderBy('nonce')
      .limit(PAGE_ROWS)
      .execute()
    for (const row of rows) await linkTickets(tx, row)
    if (rows.length < PAGE_ROWS) return
    last = { account: rows.at(-1)!.account, nonce: Number(rows.at(-1)!.nonce) }
  }
}
