import { z } from 'zod'
import { GraceBook, type GraceLimits } from '../../domain/grace.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { parsedJson } from '../../lib/parsed-json.ts'
import { Rational } from '../../lib/rational.ts'
import { systemTimers, type Timers } from '../../lib/timers.ts'
import { isConflict, isOlderBatch, StoreError } from './database.ts'
import type { Journal } from './journal.ts'
import { type ActiveSession, LEFTOVER } from './session-rows.ts'
import { type Answer, type Item, KEPT, onlyWinners, type PaymentItem } from './settle-items.ts'

/** One attempt at the database before the journal is used. */
const ATTEMPT_MS = 1_500
/** A connection may have to be made first. */
const WAIT_MS = 2_000
/** While the database is away it is asked this often. */
const PROBE_MS = 1_000
/** The sessions of other nodes are read this often. */
const FOLLOW_MS = 5_000
/** One batch that is played into the database. */
const REPLAY_MS = 10_000

/** A batch as `settle_segments_3` knows it: a writer's number names one batch for ever. */
export interface Batch {
  readonly writer: string
  readonly seq: number
  readonly items: readonly Item[]
}

/** What the grace time needs. */
export interface GraceNeeds {
  readonly journal: Pick<Journal, 'append' | 'clear' | 'close' | 'keep'>
  settle(batch: Batch, limitMs: number): Promise<readonly Answer[]>
  /** Whether the server or the way to it is at fault. */
  isServersFault(error: unknown): boolean
  /** The error in words for the operator. */
  explain(error: unknown): unknown
  /** Milliseconds that never jump. */
  monotonic(): number
  /** Absent: the system's. */
  readonly timers?: Timers
  /** Told why the database is away, and null when all is played into it. */
  onAway(why: string | null): void
  /** A batch that the database refuses, as it is in the journal: it is to be kept elsewhere. */
  onRefused(text: string, error: unknown): Promise<void>
  /** A payment that was taken meanwhile had been shown to another node too: what it was worth, in wei. */
  onShownTwice(sender: string, tickets: number, worth: Rational): void
  readonly log: Log
}

/** What names this process's batches, and the cluster whose store they are for. */
export interface GraceOptions extends GraceLimits {
  readonly writer: string
  readonly cluster: string
}

/**
 * A line of the journal. The batch is sent to the database as it is, even where it may be there already: it is settled once.
 */
const JournaledBatch = z.object({
  cluster: z.string(),
  writer: z.string(),
  seq: z.number().int(),
  items: z.array(z.record(z.string(), z.unknown())),
})

/** An item without the database. */
interface Judged {
  readonly answer: Answer
  /** What of it is written down. */
  readonly kept: Item | null
}

interface Pending {
  readonly batch: Batch
  /** Whether the peer was told that its segment is taken, by item. */
  readonly isTaken: readonly boolean[]
}

/**
 * Sends batches to the database, or for a while without it to a journal on disk, from which they are played into it when it
 * is back. Batches go in the order of their numbers. A batch that may have arrived is journaled whole, and sent again
 * under its number.
 */
export class GraceSender {
  readonly #options: GraceOptions
  readonly #needs: GraceNeeds
  readonly #timers: Timers
  readonly #book: GraceBook
  readonly #pending: Pending[] = []
  /** Batches that are being written down, and records of the journal that are in the database. */
  #writing = 0
  #played = 0
  #away: { readonly sinceMs: number; readonly why: string } | null = null
  #stopProbing: (() => void) | null = null
  #stopFollowing: (() => void) | null = null
  #replaying: Promise<void> | null = null

  constructor(options: GraceOptions, needs: GraceNeeds) {
    this.#options = options
    this.#needs = needs
    this.#timers = needs.timers ?? systemTimers
    this.#book = new GraceBook(options)
  }

  /** Whether batches go to the journal at the moment. */
  get isAway(): boolean {
    return this.#away !== null
  }

  /** Why the database cannot be used, as a sentence; null if it can. */
  get fault(): string | null {
    return this.#away?.why ?? null
  }

  /** The price of a session that this node goes on with while the database is away; null for others. */
  priceOf(sender: string, session: string): Rational | null {
    return this.#book.priceOf(sender, session, this.#needs.monotonic())
  }

  /** Nonces used while the database is away. */
  noncesOf(hash: string): ReadonlySet<number> {
    return this.#book.noncesOf(hash)
  }

  /**
   * Plays in what an earlier process left; batches of other stores stay in the journal. Rejects when the database does not
   * take it.
   */
  async recover(records: readonly string[]): Promise<void> {
    const { cluster } = this.#options
    const own: Batch[] = []
    const foreign: string[] = []
    for (const text of records) {
      const { data } = JournaledBatch.safeParse(parsedJson(text))
      if (data?.cluster !== cluster) foreign.push(text)
      else own.push({ writer: data.writer, seq: data.seq, items: data.items as unknown as readonly Item[] })
    }
    if (foreign.length > 0) {
      this.#needs.log.error('journal of another store left as it is', { records: foreign.length })
    }
    for (const batch of own) await this.#playIn({ batch, isTaken: batch.items.map(() => true) })
    if (own.length > 0) this.#needs.log.info('journal played into the store', { batches: own.length })
    if (records.length > 0) await this.#needs.journal.keep(foreign)
  }

  /** Settles a batch, in the database or here. Rejects with what the database threw where neither is possible. */
  async send(seq: number, items: readonly Item[], limitMs: number): Promise<readonly Answer[]> {
    const batch = { writer: this.#options.writer, seq, items }
    if (!this.#away) {
      try {
        const settled = this.#needs.settle(batch, Math.min(limitMs, ATTEMPT_MS))
        const answers = await within(settled, WAIT_MS, this.#timers)
        this.#learn(items, answers)
        return answers
      } catch (error) {
        if (!isLate(error) && !this.#needs.isServersFault(error)) throw error
        this.#leave(error)
        return this.#journal(batch, true)
      }
    }
    return this.#journal(batch, false)
  }

  /** Learns now, and again and again until it is closed, for which sessions other nodes work, to go on with those too. */
  follow(read: () => Promise<readonly ActiveSession[]>, afterMs = 0): void {
    this.#stopFollowing = this.#timers.after(afterMs, () => {
      this.#learnFrom(read).finally(() => {
        if (this.#stopFollowing) this.follow(read, FOLLOW_MS)
      })
    })
  }

  /** Stops asking for the database. */
  async close(): Promise<void> {
    this.#stopFollowing?.()
    this.#stopFollowing = null
    this.#stopProbing?.()
    this.#stopProbing = null
    await this.#replaying
    await this.#needs.journal.close()
  }

  #leave(error: unknown): void {
    const why = isLate(error)
      ? `the database did not answer within ${WAIT_MS / 1000} s`
      : messageOf(this.#needs.explain(error))
    this.#away = { sinceMs: this.#needs.monotonic(), why }
    this.#needs.onAway(why)
    this.#probe()
  }

  /** Never rejects. */
  async #learnFrom(read: () => Promise<readonly ActiveSession[]>): Promise<void> {
    if (this.#away) return
    try {
      const sessions = await read()
      const nowMs = this.#needs.monotonic()
      for (const { price, sender, session } of sessions)
        this.#book.note(sender, session, Rational.parse(price), nowMs)
    } catch (error) {
      this.#needs.log.debug('sessions of the cluster not read', { error })
    }
  }

  #learn(items: readonly Item[], answers: readonly Answer[]): void {
    const nowMs = this.#needs.monotonic()
    for (const [i, { sender, session }] of items.entries()) {
      const held = answers[i]?.hold
      if (held && held !== 'busy') this.#book.note(sender, session, Rational.parse(held.price), nowMs)
    }
  }

  /**
   * Answers a batch here, once what is taken of it is on disk. Of one that may be in the database everything is written down,
   * since it may count already.
   */
  async #journal(batch: Batch, mayBeThere: boolean): Promise<readonly Answer[]> {
    const { cluster } = this.#options
    const judged = batch.items.map((item) => this.#judge(item))
    const answers = judged.map(({ answer }) => answer)
    const isTaken = answers.map(({ refused }) => refused === undefined)
    const kept: Batch = mayBeThere ? batch : { ...batch, items: judged.flatMap((each) => each.kept ?? []) }
    if (kept.items.length === 0) return answers
    this.#writing++
    try {
      await this.#needs.journal.append(JSON.stringify({ cluster, ...kept }))
      this.#pending.push({ batch: kept, isTaken: mayBeThere ? isTaken : kept.items.map(() => true) })
    } finally {
      this.#writing--
    }
    return answers
  }

  /** What the database would answer, as far as this node can know. */
  #judge(item: Item): Judged {
    const { end, hold, payment, sender, session } = item
    if (end) return { answer: { amount: null }, kept: item }
    if (payment?.hash === KEPT) return this.#keep(payment, item)
    const nowMs = this.#needs.monotonic()
    if (nowMs - this.#away!.sinceMs > this.#options.graceMs) {
      return this.#refuse(item, ', for longer than -storeGrace allows')
    }
    const price = this.#book.priceOf(sender, session, nowMs)
    if (price === null)
      return this.#refuse(item, ': until it is back, only sessions that this node knows go on')
    if (payment && !this.#book.areUnused(payment)) return { answer: { winners: null }, kept: null }
    const winners = payment?.winners.map(({ hash }) => hash) ?? []
    const granted = hold && this.#book.grant(sender, price, BigInt(hold.pixels))
    if (granted === null) {
      const why = ': until it is back, this sender has had the work that -storeGraceValue allows'
      return this.#refuse(item, why)
    }
    // Not those of a payment that is refused: its sender shows it elsewhere.
    if (payment) this.#book.useNonces(payment)
    if (!granted) return { answer: { winners }, kept: item }
    this.#book.note(sender, session, price, nowMs)
    const held = { price: price.toString(), overrun: granted.overrun.toString() }
    return { answer: { winners, hold: held }, kept: withoutHold(item) }
  }

  /** Refuses an item; a ticket of it that won is kept all the same. */
  #refuse({ payment, sender }: Item, why: string): Judged {
    const refused = new StoreError('store-unavailable', `${this.#away!.why}${why}`)
    const kept = payment ? this.#keep(payment, { sender, session: LEFTOVER }).kept : null
    return { answer: { refused }, kept }
  }

  #keep(payment: PaymentItem, of: Pick<Item, 'sender' | 'session'>): Judged {
    const winners = this.#book.keep(payment.winners)
    const answer = { winners: winners.map(({ hash }) => hash) }
    if (winners.length === 0) return { answer, kept: null }
    return {
      answer,
      kept: { sender: of.sender, session: of.session, payment: onlyWinners(payment, winners) },
    }
  }

  #probe(): void {
    this.#stopProbing = this.#timers.after(PROBE_MS, () => {
      this.#replaying = this.#return().finally(() => {
        this.#replaying = null
        if (this.#away && this.#stopProbing) this.#probe()
      })
    })
  }

  /** Plays the journal into the database; what comes meanwhile is journaled, and played in too. */
  async #return(): Promise<void> {
    try {
      // An empty batch tells whether the database is there.
      if (this.#pending.length === 0) await this.#needs.settle(this.#probeBatch(), REPLAY_MS)
      for (let next = this.#pending[0]; next; next = this.#pending[0]) {
        await this.#playIn(next)
        this.#pending.shift()
        this.#played++
      }
      if (this.#writing > 0) return
      const isEmpty = await this.#needs.journal.clear(this.#played)
      if (isEmpty) this.#played = 0
      if (!isEmpty || this.#writing > 0 || this.#pending.length > 0) return
    } catch (error) {
      this.#needs.log.debug('journal not played into the store', { error })
      return
    }
    this.#away = null
    this.#book.settled()
    this.#needs.onAway(null)
  }

  #probeBatch(): Batch {
    return { writer: `${this.#options.writer}/probe`, seq: Math.floor(this.#needs.monotonic()), items: [] }
  }

  async #playIn({ batch, isTaken }: Pending): Promise<void> {
    const answers = await this.#settled(batch)
    if (!answers) return
    const refused: { readonly item: Item; readonly isTaken: boolean }[] = []
    const untaken: Item[] = []
    for (const [i, item] of batch.items.entries()) {
      const answer = answers[i]
      if (item.payment && answer && !answer.winners) refused.push({ item, isTaken: isTaken[i]! })
      if (!isTaken[i] && item.hold && answer?.hold && answer.hold !== 'busy') untaken.push(item)
    }
    await this.#keepWinners(
      batch,
      refused.map(({ item }) => item),
    )
    await this.#free(batch, untaken)
    for (const { item, isTaken } of refused) {
      const { payment, sender } = item
      if (!isTaken) continue
      this.#needs.onShownTwice(sender, payment!.nonces.length, Rational.parse(payment!.credit))
    }
  }

  /** Settles a batch in the database. One that it refuses, whatever the reason, must not keep back those after it. */
  async #settled(batch: Batch): Promise<readonly Answer[] | null> {
    try {
      return await this.#needs.settle(batch, REPLAY_MS)
    } catch (error) {
      if (this.#needs.isServersFault(error) || isConflict(error)) throw error
      // Batches are played in in their order: one before its writer's last is in the database.
      if (isOlderBatch(error)) return null
      await this.#needs.onRefused(JSON.stringify({ cluster: this.#options.cluster, ...batch }), error)
      return null
    }
  }

  /** Of a payment that the store refuses nothing counts, but a ticket that won is money. */
  async #keepWinners({ seq, writer }: Batch, refused: readonly Item[]): Promise<void> {
    const items = refused.flatMap(({ payment, sender }) =>
      payment && payment.winners.length > 0
        ? [{ sender, session: LEFTOVER, payment: onlyWinners(payment) }]
        : [],
    )
    if (items.length > 0) await this.#needs.settle({ writer: `${writer}/kept`, seq, items }, REPLAY_MS)
  }

  /** Frees what was set aside for segments whose senders were told that they are not taken. */
  async #free({ seq, writer }: Batch, untaken: readonly Item[]): Promise<void> {
    const items = untaken.map(({ hold, sender, session }) => {
      const { holder, now, segment } = hold!
      return { sender, session, end: { segment, holder, fee: null, now } }
    })
    if (items.length > 0) await this.#needs.settle({ writer: `${writer}/freed`, seq, items }, REPLAY_MS)
  }
}

const LATE = new Error('no answer in time')

function isLate(error: unknown): boolean {
  return error === LATE
}

/** Rejects with LATE if there is no answer within `ms`, the time to connect included. */
async function within<T>(answer: Promise<T>, ms: number, timers: Timers): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = timers.after(ms, () => reject(LATE))
  answer.catch(() => {})
  try {
    return await Promise.race([answer, promise])
  } finally {
    stop()
  }
}

/** The fee is taken when the segment ends; until then nobody but this node knows of it. */
function withoutHold(item: Item): Item {
  const { hold: _, ...rest } = item
  return rest
}
