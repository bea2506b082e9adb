import { z } from 'zod'
import { debtLimit, OVERRUN_FACTOR } from '../../domain/debt.ts'
import { type Booking, partsOf } from '../../domain/money.ts'
import { type PricePerPixel, ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { MAX_NONCES_PER_RAND } from '../../domain/ticket-rules.ts'
import { formatHex } from '../../lib/bytes.ts'
import { Rational } from '../../lib/rational.ts'
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
import { rowOfTicket } from './ticket-row.ts'

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
  bookingAt(nowMs: number): Booking
  isServersFault(error: unknown): boolean
  explain(error: unknown): unknown
  onFault(fault: string | null): void
}

/** What `settle_segments_1` takes for a segment that begins or ends. */
type Item = Readonly<Record<string, unknown>> & { readonly hold?: { readonly holder: string } }

/** What it answers. */
const Answer = z.object({
  winners: z.array(z.string()).nullish(),
  hold: z.union([z.object({ price: z.string(), overrun: z.string() }), z.literal('busy')]).nullish(),
  amount: z.string().nullish(),
})
type Answer = z.infer<typeof Answer>

/** The accounts of segments in a database that several nodes share: one statement for all that comes at the same moment. */
export class SharedAccounts {
  readonly #needs: SharedAccountsNeeds
  readonly #queue: BatchQueue<Item, Answer>

  constructor(needs: SharedAccountsNeeds, options: BatchQueueOptions = {}) {
    this.#needs = needs
    const text = `select "${needs.schema}".settle_segments_1($1, $2, $3, $4) as answer`
    this.#queue = new BatchQueue(
      {
        send: async (seq, items, limitMs) => {
          const values = [needs.writer, seq, needs.node, JSON.stringify(items)]
          const rows = await needs.call(text, values, limitMs)
          return answersIn(rows[0]?.answer, items.length)
        },
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
    return this.#queue.fault
  }

  async begin({ hold, payment }: SegmentStart): Promise<SegmentStarted> {
    const { sender, sessionId } = (payment ?? hold)!
    const first = await this.#queue.run({
      ...{ sender, session: sessionId },
      ...(payment && { payment: this.#paymentItem(payment) }),
      ...(hold && { hold: holdItem(hold) }),
    })
    const newWinners = first.winners ? winnersIn(first.winners, payment?.winners ?? []) : null
    if (!newWinners || !hold) return { newWinners, hold: null }
    let held = first.hold
    for (const waitMs of PATIENCE_FOR_OTHERS) {
      if (held !== 'busy') break
      await new Promise((resolve) => setTimeout(resolve, waitMs))
      held = (await this.#queue.run({ sender, session: sessionId, hold: holdItem(hold) })).hold
    }
    return { newWinners, hold: held && held !== 'busy' ? holdIn(held) : null }
  }

  /** Gives the balance afterwards; 0 where nothing was taken. */
  async end({ fee, holder, nowMs, segment, sender, sessionId }: SegmentEnd): Promise<Rational> {
    const end = { segment, holder, fee: fee?.toString() ?? null, now: nowMs }
    const { amount } = await this.#queue.run({ sender, session: sessionId, end }, END_PATIENCE_MS)
    return amount ? Rational.parse(amount) : Rational.zero
  }

  close(): Promise<void> {
    return this.#queue.close()
  }

  /** The caller was told that there was no answer, so nobody else frees what was set aside. */
  #freeLate(item: Item, { hold }: Answer): void {
    if (!item.hold || !hold || hold === 'busy') return
    const { sender, session, hold: held } = item
    const end = { ...held, fee: null }
    this.#queue.run({ sender, session, end }).catch(() => {
      // It ends by itself.
    })
  }

  #paymentItem(payment: PaymentRecord): Record<string, unknown> {
    const { credit, nonces, nowMs, price, winners } = payment
    const { day, round } = this.#needs.bookingAt(nowMs)
    return {
      ...{ hash: formatHex(payment.recipientRandHash), nonces, most: MAX_NONCES_PER_RAND },
      ...{ expires: payment.paramsExpirationBlock.toString(), credit: credit.toString() },
      ...{ price: price.toString(), received: partsOf(credit).toString() },
      ...{ day, round: round?.toString() ?? null, idle: payment.idleSinceMs, now: nowMs },
      winners: winners.map((ticket) => winnerItem(ticket, nowMs)),
    }
  }
}

function winnerItem(ticket: WinningTicket, nowMs: number): Record<string, unknown> {
  const row = rowOfTicket(formatHex(ticketHash(ticket)), ticket, nowMs)
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === 'bigint' ? value.toString() : value]),
  )
}

function holdItem(hold: HoldRequest): { holder: string } & Record<string, unknown> {
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
    'the database gave an answer that settle_segments_1 does not give',
  )
}
