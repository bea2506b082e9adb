import { z } from 'zod'
import { debtLimit, OVERRUN_FACTOR } from '../../domain/debt.ts'
import type { GraceLimits } from '../../domain/grace.ts'
import { type Booking, partsOf } from '../../domain/money.ts'
import { type PricePerPixel, ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { MAX_NONCES_PER_RAND } from '../../domain/ticket-rules.ts'
import { formatHex } from '../../lib/bytes.ts'
import { Rational } from '../../lib/rational.ts'
import { systemTimers, type Timers } from '../../lib/timers.ts'
import type {
  Hold,
  HoldRequest,
  PaymentRecord,
  SegmentEnd,
  SegmentStart,
  SegmentStarted,
} from '../../services/orchestrator/payment-records.ts'
import { BatchQueue, type BatchQueueOptions } from './batch-queue.ts'
import { type StatementCall, StoreError } from './database.ts'
import { type Batch, type GraceNeeds, GraceSender } from './grace-sender.ts'
import { type ActiveSession, LEFTOVER } from './session-rows.ts'
import { Answer, type HoldItem, type Item, onlyWinners, type PaymentItem } from './settle-items.ts'
import { rowOfTicket, type TicketOrigin } from './ticket-row.ts'

/** A charge waits this long for others to share a batch with; nobody waits for it. */
const END_PATIENCE_MS = 5
/** A fee that is only covered once another segment of the session ends is asked for again after these times, in ms. */
const PATIENCE_FOR_OTHERS = [50, 150, 400, 800]

/** What the accounts need. */
export interface SharedAccountsNeeds {
  readonly call: StatementCall
  readonly schema: string
  /** Names this process, different after each start. */
  readonly writer: string
  /** Whose totals and money the payments are counted in. */
  readonly node: string
  /** This node, as winning tickets name whoever took them. */
  readonly takenBy: string
  bookingAt(nowMs: number): Booking
  isServersFault(error: unknown): boolean
  explain(error: unknown): unknown
  onFault(fault: string | null): void
  /** What a node goes on with while the database is away; null where it does not. */
  readonly grace?: GraceSetup | null
}

/** What the grace time needs beside the database. */
export interface GraceSetup
  extends Pick<GraceNeeds, 'journal' | 'monotonic' | 'onAway' | 'onRefused' | 'onShownTwice' | 'log'> {
  readonly limits: GraceLimits
  readonly cluster: string
}

/** The accounts of segments in a database that several nodes share: one statement for all that comes at the same moment. */
export class SharedAccounts {
  readonly #needs: SharedAccountsNeeds
  readonly #queue: BatchQueue<Item, Answer>
  readonly #grace: GraceSender | null
  readonly #timers: Timers

  constructor(needs: SharedAccountsNeeds, options: BatchQueueOptions = {}) {
    this.#needs = needs
    this.#timers = options.timers ?? systemTimers
    const { grace, writer } = needs
    const settle = (batch: Batch, limitMs: number) => this.#settle(batch, limitMs)
    this.#grace =
      grace == null
        ? null
        : new GraceSender(
            { ...grace.limits, cluster: grace.cluster, writer },
            {
              ...{ ...grace, settle, timers: this.#timers },
              isServersFault: (error) => needs.isServersFault(error),
              explain: (error) => needs.explain(error),
            },
          )
    this.#queue = new BatchQueue(
      {
        send: (seq, items, limitMs) =>
          this.#grace ? this.#grace.send(seq, items, limitMs) : settle({ writer, seq, items }, limitMs),
        isServersFault: (error) => needs.isServersFault(error),
        explain: (error) => needs.explain(error),
        onFault: (fault) => needs.onFault(fault),
        onLate: (item, answer) => this.#freeLate(item, answer),
      },
      options,
    )
  }

  /** Why the database cannot be used at the moment, as a sentence; null if it can. */
  get fault(): string | null {
    return this.#queue.fault ?? this.#grace?.fault ?? null
  }

  /** Whether the node goes on by itself while the database is away. */
  get isAway(): boolean {
    return this.#grace?.isAway ?? false
  }

  /** Whether this node goes on when the database is away. */
  get hasGrace(): boolean {
    return this.#grace !== null
  }

  /** The price of a session that this node goes on with while the database is away; null for others. */
  knownPrice(sender: string, session: string): PricePerPixel | null {
    return this.#grace?.priceOf(sender, session) ?? null
  }

  /** Nonces that this node took while the database is away. */
  noncesAway(hash: string): ReadonlySet<number> {
    return this.#grace?.noncesOf(hash) ?? new Set()
  }

  /** Plays in what an earlier process of this node wrote down while the database was away. */
  async recover(records: readonly string[]): Promise<void> {
    await this.#grace?.recover(records)
  }

  /** Goes on with the sessions of other nodes too while the database is away: `read` tells which those are. */
  follow(read: () => Promise<readonly ActiveSession[]>): void {
    this.#grace?.follow(read)
  }

  async begin({ hold, payment }: SegmentStart): Promise<SegmentStarted> {
    const { sender, sessionId } = (payment ?? hold)!
    const first = await this.#queue.run({
      ...{ sender, session: sessionId },
      ...(payment && { payment: this.#paymentItem(payment) }),
      ...(hold && { hold: holdItem(hold) }),
    })
    if (first.refused) throw first.refused
    const newWinners = first.winners ? winnersIn(first.winners, payment?.winners ?? []) : null
    if (!newWinners || !hold) return { newWinners, hold: null }
    let held = first.hold
    for (const waitMs of PATIENCE_FOR_OTHERS) {
      if (held !== 'busy') break
      await new Promise<void>((resolve) => this.#timers.after(waitMs, resolve))
      const again = await this.#queue.run({ sender, session: sessionId, hold: holdItem(hold) })
      if (again.refused) throw again.refused
      held = again.hold
    }
    return { newWinners, hold: held && held !== 'busy' ? holdIn(held) : null }
  }

  /**
   * Keeps tickets that won although their payment is refused, also while the database is away; gives those that are not
   * known, as far as this node can know.
   */
  async keep(winners: readonly WinningTicket[], nowMs: number): Promise<WinningTicket[]> {
    const bySender = Map.groupBy(winners, ({ sender }) => sender)
    const kept = await Promise.all(
      [...bySender].map(async ([sender, own]) => {
        const payment = onlyWinners(this.#paymentItem({ ...NO_PAYMENT, sender, winners: own, nowMs }))
        const answer = await this.#queue.run({ sender, session: LEFTOVER, payment })
        return winnersIn(answer.winners ?? [], own)
      }),
    )
    return kept.flat()
  }

  /** Gives the balance afterwards; 0 where nothing was taken. */
  async end({ fee, holder, nowMs, segment, sender, sessionId }: SegmentEnd): Promise<Rational> {
    const end = { segment, holder, fee: fee?.toString() ?? null, now: nowMs }
    const { amount } = await this.#queue.run({ sender, session: sessionId, end }, END_PATIENCE_MS)
    return amount ? Rational.parse(amount) : Rational.zero
  }

  async close(): Promise<void> {
    await this.#queue.close()
    await this.#grace?.close()
  }

  async #settle({ items, seq, writer }: Batch, limitMs: number): Promise<readonly Answer[]> {
    const { call, node, schema } = this.#needs
    const text = `select "${schema}".settle_segments_3($1, $2, $3, $4) as answer`
    const rows = await call(text, [writer, seq, node, JSON.stringify(items)], limitMs)
    return answersIn(rows[0]?.answer, items.length)
  }

  /** The caller was told that there was no answer, so nobody else frees what was set aside. */
  #freeLate(item: Item, { hold }: Answer): void {
    if (!item.hold || !hold || hold === 'busy') return
    const { sender, session, hold: held } = item
    const { holder, now, segment } = held
    const end = { holder, now, segment, fee: null }
    this.#queue.run({ sender, session, end }).catch(() => {
      // It ends by itself.
    })
  }

  #paymentItem(payment: PaymentRecord): PaymentItem {
    const { credit, nonces, nowMs, price, sessionId, variance, winners } = payment
    const { day, round } = this.#needs.bookingAt(nowMs)
    const isPaid = nonces.length > 0
    const origin: TicketOrigin = {
      ...{ sessionId: isPaid ? sessionId : null, source: isPaid ? 'paid' : 'unpaid' },
      receivedBy: this.#needs.takenBy,
    }
    return {
      ...{ hash: formatHex(payment.recipientRandHash), nonces, most: MAX_NONCES_PER_RAND },
      ...{ expires: payment.paramsExpirationBlock.toString(), credit: credit.toString() },
      ...{ price: price.toString(), received: partsOf(credit).toString() },
      variance: variance.toString(),
      ...{ day, round: round?.toString() ?? null, idle: payment.idleSinceMs, now: nowMs },
      winners: winners.map((ticket) => winnerItem(ticket, nowMs, origin)),
    }
  }
}

/** Of a payment that is refused only the winners count. */
const NO_PAYMENT = {
  ...{ sessionId: LEFTOVER, credit: Rational.zero, variance: 0n, price: Rational.zero, nonces: [] },
  idleSinceMs: 0,
  ...{ recipientRandHash: new Uint8Array(), paramsExpirationBlock: 0n },
}

function winnerItem(ticket: WinningTicket, nowMs: number, origin: TicketOrigin): { readonly hash: string } {
  const row = rowOfTicket(formatHex(ticketHash(ticket)), ticket, nowMs, origin)
  const texts = Object.entries(row).map(([name, value]) => [
    name,
    typeof value === 'bigint' ? value.toString() : value,
  ])
  return { ...Object.fromEntries(texts), hash: row.hash }
}

function holdItem(hold: HoldRequest): HoldItem {
  const { holder, lifeMs, paid, pixels, price, segment, ticketEv } = hold
  return {
    ...{ segment, holder, pixels: pixels.toString(), price: price.toString(), ev: ticketEv.toString() },
    ...{ factor: OVERRUN_FACTOR.toString(), limit: debtLimit({ ticketEv, paid }).floor().toString() },
    ...{ life: lifeMs, idle: hold.idleSinceMs, now: hold.nowMs },
  }
}

function holdIn({ overrun, price }: { price: string; overrun: string }): Hold {
  const pricePerPixel: PricePerPixel = Rational.parse(price)
  return { price: pricePerPixel, overrun: BigInt(overrun) }
}

/** The tickets with these hashes. */
function winnersIn(hashes: readonly string[], winners: readonly WinningTicket[]): WinningTicket[] {
  const wanted = new Set(hashes)
  return winners.filter((ticket) => wanted.delete(formatHex(ticketHash(ticket))))
}

function answersIn(text: unknown, count: number): readonly Answer[] {
  const answers = z
    .array(Answer)
    .length(count)
    .safeParse(JSON.parse(String(text)))
  if (answers.success) return answers.data
  throw new StoreError(
    'store-unavailable',
    'the database gave an answer that settle_segments_3 does not give',
  )
}
