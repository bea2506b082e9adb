import { type LedgerRow, type Luck, luckOf, type SenderMoney, unattributed } from '../../domain/ledger.ts'
import { gasOf, type Money, NO_MONEY, plus, startOfDay, weiOfParts } from '../../domain/money.ts'
import { expiryBlock, type RoundClock } from '../../domain/redemption.ts'
import { expectedValue } from '../../domain/ticket.ts'
import {
  isFinal,
  type OpenReason,
  type RefusalReason,
  reasonOf,
  type TicketState,
} from '../../domain/ticket-state.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Book } from '../../io/store/ticket-board.ts'
import type { KnownTicket, StoryFact, TicketStory } from '../../io/store/ticket-story.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'

/** A winning ticket for an operator. Amounts are wei. */
export interface TicketView {
  readonly ticket: Hex
  readonly sender: Address
  readonly recipient: Address
  readonly faceValueWei: bigint
  /** What such a ticket pays on average, rounded down. */
  readonly expectedWei: bigint
  readonly state: TicketState['kind']
  /** Why it is not redeemed, from a closed list; empty where the state needs no reason. */
  readonly reason: OpenReason | RefusalReason | ''
  readonly receivedAtMs: number
  readonly updatedAtMs: number
  readonly creationRound: bigint
  /** The first L1 block in which it can no longer be redeemed, and how far that is; null for an ended ticket. */
  readonly expiryBlock: bigint | null
  readonly blocksLeft: bigint | null
  /** The transaction that redeems it, as far as one is known. */
  readonly txHash: Hex | null
  readonly block: bigint | null
  readonly paidWei: bigint | null
  readonly feeWei: bigint | null
  /** The session that it paid for, how it came, and the node that took it; null where that is not known. */
  readonly sessionId: string | null
  readonly source: 'paid' | 'unpaid' | 'handedIn' | null
  readonly receivedBy: string | null
}

/** A step in a ticket's life: that it was received, or the state that it took. */
export interface TicketStep {
  readonly atMs: number
  /** The node that wrote it down; null where that is not known. */
  readonly node: string | null
  readonly step: 'received' | TicketState['kind']
  readonly reason: string
  readonly txHash: Hex | null
  readonly block: bigint | null
  readonly paidWei: bigint | null
  readonly feeWei: bigint | null
  readonly redeemer: string | null
  /** In the words of whoever refused. */
  readonly says: string | null
}

/** A transaction that was to redeem a ticket. */
export interface TicketTransaction {
  readonly account: Address
  readonly nonce: number
  readonly state: StoredTransaction['state']
  /** Of its first attempt; null where none is known. */
  readonly sentAtMs: number | null
  /** The hashes of its attempts, the oldest first: all have one nonce, and one of them at most is mined. */
  readonly txHashes: readonly Hex[]
  readonly feeWei: bigint | null
  /** How many tickets share it. */
  readonly tickets: number
}

/** One ticket's whole story. */
export interface TicketStoryView extends TicketView {
  readonly story: readonly TicketStep[]
  readonly transactions: readonly TicketTransaction[]
}

/** What came of tickets over some time, in wei: expected, won, redeemed, paid to the orchestrator, spent on gas. */
export interface BookSums extends Luck {
  /** The expected value in parts of which 2^256 − 1 make a wei, in which it is exact. */
  readonly receivedParts: bigint
  readonly ticketsReceived: number
  readonly ticketsWon: number
  readonly ticketsHandedIn: number
  readonly ticketsRedeemed: number
  readonly handedInWei: bigint
  readonly redeemedFaceWei: bigint
  /** What the chain paid: the fees of the orchestrator. */
  readonly feesWei: bigint
  readonly redeemGasWei: bigint
}

/** A line of the book: one gateway on one day. */
export interface BookLine extends BookSums {
  /** YYYY-MM-DD, UTC. */
  readonly day: string
  /** Null for what is not known by gateway. */
  readonly sender: Address | null
}

/** A day of the book. */
export interface BookDay {
  readonly day: string
  readonly receivedWei: bigint
  readonly wonWei: bigint
  readonly handedInWei: bigint
  readonly feesWei: bigint
  readonly redeemGasWei: bigint
  readonly rewardGasWei: bigint
  readonly otherGasWei: bigint
  /** The fees less all gas. */
  readonly netWei: bigint
}

/** A ticket for an operator; `clock` is null while the rounds are not known. */
export function ticketView(known: KnownTicket, clock: RoundClock | null): TicketView {
  const { id, origin, receivedAtMs, state, ticket, updatedAtMs } = known
  const { creationRound } = ticket.expirationParams
  const expires = clock === null || isFinal(state) ? null : expiryBlock(creationRound, clock)
  return {
    ...{ ticket: id, sender: ticket.sender, recipient: ticket.recipient, faceValueWei: ticket.faceValue },
    expectedWei: expectedValue(ticket.faceValue, ticket.winProb).floor(),
    ...{ state: state.kind, reason: reasonOf(state), receivedAtMs, updatedAtMs, creationRound },
    ...{ expiryBlock: expires, blocksLeft: expires === null ? null : expires - clock!.l1Block },
    ...amountsOf(state),
    ...origin,
  }
}

/** All that is known of a ticket, in the order in which it happened. */
export function storyView(story: TicketStory, clock: RoundClock | null): TicketStoryView {
  const { facts, origin, receivedAtMs, state, transactions, updatedAtMs } = story
  const received: TicketStep = {
    ...{ atMs: receivedAtMs, node: origin.receivedBy, step: 'received', reason: '', ...NOTHING },
  }
  // A ticket of an earlier version has its state alone.
  const isTold = facts.some((fact) => sameState(fact.state, state)) || updatedAtMs === receivedAtMs
  const now: TicketStep[] = isTold ? [] : [{ atMs: updatedAtMs, node: null, ...NOTHING, ...stepOf(state) }]
  return {
    ...ticketView(story, clock),
    story: [received, ...facts.map(factView), ...now],
    transactions: transactions.map((transaction) => ({
      ...{ account: transaction.account, nonce: transaction.nonce, state: transaction.state },
      sentAtMs: transaction.attempts[0]?.sentAtMs ?? null,
      txHashes: transaction.attempts.map(({ hash }) => hash),
      feeWei: transaction.fee ?? null,
      tickets: transaction.purpose.split(' ').length - 1,
    })),
  }
}

const NOTHING = {
  ...{ txHash: null, block: null, paidWei: null, feeWei: null, redeemer: null, says: null },
}

function sameState(a: TicketState, b: TicketState): boolean {
  return a.kind === b.kind && reasonOf(a) === reasonOf(b)
}

function factView({ atMs, node, redeemer, says, state, txHash }: StoryFact): TicketStep {
  const step = stepOf(state)
  const remark = { redeemer: redeemer ?? null, says: says ?? null }
  return { atMs, node, ...step, txHash: step.txHash ?? txHash ?? null, ...remark }
}

function stepOf(state: TicketState) {
  return { step: state.kind, reason: reasonOf(state), ...amountsOf(state) } as const
}

function amountsOf(state: TicketState) {
  const redeemed = state.kind === 'redeemed' ? state : null
  return {
    txHash: state.kind === 'submitted' ? state.txHash : (redeemed?.txHash ?? null),
    block: redeemed?.block ?? null,
    paidWei: redeemed?.paid ?? null,
    feeWei: redeemed?.fee ?? null,
  }
}

/** The lines of a book, the earliest day first, and what is not known by gateway as a line of its own. */
export function linesOf({ byDay, rows }: Book): BookLine[] {
  const rowsByDay = Map.groupBy(rows, ({ day }) => day)
  const days = [...new Set([...byDay.keys(), ...rowsByDay.keys()])].sort((a, b) => a - b)
  return days.flatMap((day) => {
    const own = (rowsByDay.get(day) ?? []).map(({ money, sender }) => ({ sender, money }))
    const known = own.filter(({ sender }) => sender !== null)
    const rest = unattributed(
      byDay.get(day) ?? NO_MONEY,
      known.map(({ money }) => money),
    )
    return [...known, ...(rest ? [{ sender: null, money: rest }] : [])].map(({ money, sender }) => ({
      ...{ day: nameOfDay(day), sender },
      ...sumsOf(money),
    }))
  })
}

/** The days of a book, the earliest first. */
export function daysOf({ byDay }: Pick<Book, 'byDay'>): BookDay[] {
  return [...byDay].map(([day, money]) => ({
    day: nameOfDay(day),
    ...{ receivedWei: weiOfParts(money.received), wonWei: money.won, handedInWei: money.handedIn },
    ...{ feesWei: money.redeemed, redeemGasWei: money.redeemGas },
    ...{ rewardGasWei: money.rewardGas, otherGasWei: money.otherGas },
    netWei: money.redeemed - gasOf(money),
  }))
}

/** What all gateways' tickets came to over the whole book, and with what luck. */
export function totalOf({ byDay, rows }: Book): BookSums {
  const money: Money = [...byDay.values()].reduce(plus, NO_MONEY)
  const known = rows.filter(({ sender }) => sender !== null)
  const sum = (of: (row: LedgerRow) => bigint) => known.reduce((total, row) => total + of(row), 0n)
  const count = (of: (row: LedgerRow) => number) => known.reduce((total, row) => total + of(row), 0)
  return sumsOf({
    ...{ ticketsReceived: money.ticketsReceived, ticketsWon: money.ticketsWon },
    ...{ ticketsHandedIn: money.ticketsHandedIn, ticketsRedeemed: count((row) => row.money.ticketsRedeemed) },
    ...{ received: money.received, variance: sum((row) => row.money.variance), won: money.won },
    ...{ handedIn: money.handedIn, redeemedFace: sum((row) => row.money.redeemedFace) },
    ...{ redeemed: money.redeemed, redeemGas: money.redeemGas },
  })
}

function sumsOf(money: SenderMoney): BookSums {
  const { handedIn, redeemed, redeemedFace, redeemGas } = money
  const { ticketsHandedIn, ticketsReceived, ticketsRedeemed, ticketsWon } = money
  return {
    ...{ ticketsReceived, ticketsWon, ticketsHandedIn, ticketsRedeemed },
    ...{ ...luckOf(money), receivedParts: money.received },
    ...{ handedInWei: handedIn, redeemedFaceWei: redeemedFace, feesWei: redeemed, redeemGasWei: redeemGas },
  }
}

/** A day as YYYY-MM-DD, UTC. */
export function nameOfDay(day: number): string {
  return new Date(startOfDay(day)).toISOString().slice(0, 10)
}
