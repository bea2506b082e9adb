import { type Causes, noCauses } from '../../domain/causes.ts'
import type { SenderInfo } from '../../domain/float.ts'
import { varianceOf } from '../../domain/ledger.ts'
import type { Payment, PricePerPixel, WinningTicket } from '../../domain/ticket.ts'
import {
  checkPayment,
  examineTickets,
  expectedPriceOf,
  judgeExamined,
  type Settlement,
  senderInfoUnavailable,
  settlePayment,
  ticketsOf,
} from '../../domain/ticket-rules.ts'
import type { Address } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { Turns } from '../../lib/turns.ts'
import type { RoundsView } from '../protocol/rounds.ts'
import { notingRefusals } from './noted-refusals.ts'
import type {
  Balances,
  Hold,
  HoldRequest,
  PaymentRecords,
  SeenNonces,
  SessionPrices,
  TicketRecords,
} from './payment-records.ts'
import type { Recipient, SegmentOrder } from './recipient.ts'
import { FREE, type Reservation, SegmentAccounts } from './segment-accounts.ts'
import {
  type TicketOffer,
  TicketOffers,
  type TicketOffersNeeds,
  type TicketOffersOptions,
} from './ticket-offers.ts'

/** Nonces are kept for this many L1 blocks after their params expired: the chain may be reorganised. */
const NONCE_MARGIN_BLOCKS = 100n
/**
 * From this idle time on, what is left in a session goes to its sender's next one. A sender may go on with a session
 * and counts on what it paid there; after 20 minutes it has forgotten (payments.md §1).
 */
const IDLE_SESSION_MS = 20.5 * 60_000
/** Sessions are forgotten after this idle time; their sender keeps the credit. */
const SESSION_TTL_MS = 24 * 3_600_000
const CLEAN_UP_MS = 10 * 60_000
/** Payments of one session that may wait for the one before. */
const MAX_WAITING_PAYMENTS = 32
/** Times a payment is judged again because one of its nonces was used. */
const MAX_CONFLICTS = 3

/** Why a payment or a request for params is refused, beside the faults of its tickets. */
export type RecipientFault = 'price-mismatch' | 'too-many-payments' | 'nonce-conflict'

/** A refusal; the message is the text for the peer. */
export class RecipientError extends NodeError<RecipientFault> {
  override name = 'RecipientError'
}

/** Settings of the recipient. */
export interface TicketRecipientOptions extends TicketOffersOptions {
  /** Names this process in what it sets aside, `node/instance`; absent where no other process uses the store. */
  readonly process?: string
}

/** What the recipient needs. */
export interface TicketRecipientNeeds extends TicketOffersNeeds {
  readonly nonces: SeenNonces
  readonly balances: Balances
  readonly prices: SessionPrices
  readonly records: PaymentRecords & Pick<TicketRecords, 'addTickets'>
  readonly senders: TicketOffersNeeds['senders'] & {
    info(sender: Address): Promise<SenderInfo>
    /** The most that its tickets can be paid while they live, in wei. */
    payable(sender: Address): Promise<bigint>
  }
  readonly rounds: RoundsView
  readonly activity: { isActive(): Promise<boolean> }
  /** Takes over tickets that won; they are on disk already. */
  readonly winners: { adopt(tickets: readonly WinningTicket[]): void }
  readonly log: Log
  readonly causes?: Causes
}

/** What a payment is for. */
interface Account {
  readonly sessionId: string
  readonly manifestId: string
  /** How many of its tickets won and were kept although it was refused. */
  readonly outcome: { winners: number }
}

/** What is to be set aside for a segment whose payment brings this credit. */
type HoldFor = (credit: Rational) => HoldRequest

/** A payment that was recorded, and what was set aside with it; null where nothing was asked. */
interface Taken {
  readonly request: HoldRequest | null
  readonly hold: Hold | null
}

/** Judges payments and records what they bring, by what was offered: how an orchestrator is paid. */
export class TicketRecipient implements Service, Recipient {
  readonly name = 'ticket recipient'
  readonly #options: TicketRecipientOptions
  readonly #needs: TicketRecipientNeeds
  readonly #turns = new Turns()
  readonly #accounts: SegmentAccounts
  readonly #offers: TicketOffers

  constructor(options: TicketRecipientOptions, needs: TicketRecipientNeeds) {
    this.#options = options
    this.#needs = needs
    const { process, ticketEv } = options
    const accounts = { ticketEv, idleSessionMs: IDLE_SESSION_MS, ...(process ? { process } : {}) }
    this.#accounts = new SegmentAccounts(accounts, needs)
    this.#offers = new TicketOffers(options, needs)
  }

  start(scope: Scope): void {
    scope.spawn('forget what is over', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(CLEAN_UP_MS, signal)
        await this.#cleanUp().catch((error) =>
          this.#needs.log.warn('could not remove old nonces and sessions', { error: messageOf(error) }),
        )
      }
    })
  }

  /** The largest face value offered, in wei; 0 for no limit. */
  get maxFaceValue(): bigint {
    return this.#offers.maxFaceValue
  }

  set maxFaceValue(value: bigint) {
    this.#offers.maxFaceValue = value
  }

  async quote(sender: Address, sessionId: string | null): Promise<TicketOffer> {
    return this.#noting(sender, async () => {
      if (sessionId === null) await this.#accounts.assertMayOpen(sender)
      return await this.#offers.quote(sender, sessionId)
    })
  }

  async receive(payment: Payment, sessionId: string, manifestId = ''): Promise<void> {
    const account = { sessionId, manifestId, outcome: { winners: 0 } }
    await this.#inTurn({ sender: payment.sender, payment, sessionId, manifestId }, () =>
      this.#take(payment, account, null),
    )
  }

  async admit(order: SegmentOrder): Promise<Reservation> {
    return this.#inTurn(order, async () => {
      const { manifestId, payment, sender, sessionId } = order
      const account = { sessionId, manifestId, outcome: { winners: 0 } }
      const basePrice = this.#needs.priceBook.basePrice(sender)
      const holdFor = (credit: Rational) => this.#accounts.holdFor(order, basePrice, credit)
      const taken = payment && (await this.#take(payment, account, holdFor))
      if (taken?.request) return this.#accounts.reservation(taken.request, taken.hold)
      const request = holdFor(Rational.zero)
      const { hold } = await this.#needs.records.beginSegment({ payment: null, hold: request })
      return this.#accounts.reservation(request, hold)
    })
  }

  #noting<Result>(sender: Address, work: () => Promise<Result>): Promise<Result> {
    const { causes = noCauses } = this.#needs
    return notingRefusals({ causes, recipient: this.#options.recipient, sender }, work)
  }

  /**
   * Takes a payment and sets a segment's fee aside in the same step; null where there was nothing to record. Throws what the
   * peer is told.
   */
  async #take(payment: Payment, account: Account, holdFor: HoldFor | null): Promise<Taken | null> {
    try {
      if (!payment.ticketParams || payment.tickets.length === 0) {
        await this.#receiveNoTickets(payment, account.sessionId)
        return null
      }
      const { activity, rounds } = this.#needs
      const price = checkPayment(payment, {
        recipient: this.#options.recipient,
        isActive: await activity.isActive(),
        lastInitializedRound: rounds.lastInitializedRound,
      })
      return await this.#settle(payment, price, account, holdFor)
    } catch (error) {
      this.#tellRefused(payment.sender, account, error)
      throw error
    }
  }

  #tellRefused(sender: Address, { manifestId, outcome }: Omit<Account, 'sessionId'>, error: unknown): void {
    const reason = error instanceof NodeError ? error.code : 'internal'
    this.#needs.events.tell({ kind: 'payment-refused', sender, manifestId, reason, ...outcome })
  }

  /**
   * A payment without tickets names a price that nothing proves to be ours. A session that has a price keeps it; a new
   * one is not begun below what we ask, nor promised a price while it pays nothing (payments.md §15).
   */
  async #receiveNoTickets(payment: Payment, sessionId: string): Promise<void> {
    const { clock, priceBook, prices } = this.#needs
    if (payment.expectedPrice === null) return
    const expected = expectedPriceOf(payment)
    const fixed = await prices.price(payment.sender, sessionId)
    const least = fixed ?? priceBook.basePrice(payment.sender)
    if (expected.cmp(least) < 0) {
      throw new RecipientError('price-mismatch', `expected price ${expected} is below the price ${least}`)
    }
    if (!fixed && expected.sign === 0) await prices.fixPrice(payment.sender, sessionId, expected, clock.now())
  }

  /**
   * Judges tickets as if none of their nonces was used, which recording them finds out. When one was, or another process
   * takes one meanwhile, they are judged again by what was used.
   */
  async #settle(
    payment: Payment,
    price: PricePerPixel,
    account: Account,
    holdFor: HoldFor | null,
  ): Promise<Taken | null> {
    const tickets = ticketsOf(payment)
    const { nonces, rounds } = this.#needs
    const params = payment.ticketParams!
    const rand = await this.#offers.randOf(payment, price)
    const { funds, withdrawRound } = rand === null ? UNKNOWN_FUNDS : await this.#fundsOf(payment.sender)
    const ticketEv = price.sign > 0 ? this.#options.ticketEv : 0n
    const examined = examineTickets(tickets, {
      recipient: this.#options.recipient,
      recipientRand: rand ?? 0n,
      terms: { ticketEv, maxFaceValue: this.#offers.acceptedFaceValue },
      withdrawRound,
      lastInitializedRound: rounds.lastInitializedRound,
    })
    let known: Awaited<ReturnType<SeenNonces['noncesOf']>> = NOTHING_USED
    for (let tries = 0; tries <= MAX_CONFLICTS; tries++) {
      // A sender that knows the secret number could make tickets that never win: its params are void.
      const l1Block = known.revealed ? params.expirationBlock : rounds.l1Block
      const settlement = settlePayment(judgeExamined(examined, { funds, l1Block, seenNonces: known.used }))
      if (!settlement.error) {
        const record = () => this.#record(settlement, payment, price, account, holdFor)
        const taken = await this.#orKeepWinners(settlement, account, record)
        if (taken) return taken
      } else if (known !== NOTHING_USED) {
        await this.#keepWinners(settlement, account)
        throw settlement.error
      }
      const look = () => nonces.noncesOf(params.recipientRandHash)
      known = await this.#orKeepWinners(settlement, account, look)
    }
    throw new RecipientError('nonce-conflict', 'invalid ticket senderNonce: used elsewhere at the same time')
  }

  /** Does what needs the store. Where that fails the payment is refused; its winners are kept once the store can be written. */
  async #orKeepWinners<T>(settlement: Settlement, account: Account, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      this.#keepWinners(settlement, account).catch((failure) =>
        this.#needs.log.error('winning tickets of a refused payment not kept', {
          ...{ tickets: settlement.winners.length, error: messageOf(failure) },
        }),
      )
      throw error
    }
  }

  /** Of a refused payment nothing is recorded, but a ticket that won is money. */
  async #keepWinners({ winners }: Settlement, { outcome }: Account): Promise<void> {
    const kept = await this.#needs.records.addTickets(winners, this.#needs.clock.now())
    outcome.winners = kept.length
    this.#adopt(kept)
  }

  /** Null when a nonce is used already. */
  async #record(
    { credit, nonces, winners }: Settlement,
    { sender, ticketParams }: Payment,
    price: PricePerPixel,
    { manifestId, sessionId }: Account,
    holdFor: HoldFor | null,
  ): Promise<Taken | null> {
    const { clock, events, records } = this.#needs
    const { expirationBlock, faceValue, recipientRandHash, winProb } = ticketParams!
    const now = clock.now()
    const request = holdFor?.(credit) ?? null
    const variance = BigInt(nonces.length) * varianceOf(faceValue, winProb)
    const { hold, newWinners } = await records.beginSegment({
      payment: {
        ...{ sender, sessionId, credit, variance, price, recipientRandHash, nonces, winners },
        ...{ paramsExpirationBlock: expirationBlock, idleSinceMs: now - IDLE_SESSION_MS, nowMs: now },
      },
      hold: request,
    })
    if (!newWinners) return null
    this.#adopt(newWinners)
    events.tell({
      ...{ kind: 'tickets-received', sender, manifestId, sessionId, credit },
      ...{ tickets: nonces.length, winners: newWinners.length },
    })
    this.#accounts.notePaid(sender, credit)
    return { request, hold }
  }

  #adopt(winners: readonly WinningTicket[]): void {
    if (winners.length > 0) this.#needs.winners.adopt(winners)
  }

  /** The chain is asked only about senders that hold an offer of this node. */
  async #fundsOf(sender: Address): Promise<{ funds: bigint; withdrawRound: bigint }> {
    const { senders } = this.#needs
    try {
      return {
        funds: await senders.payable(sender),
        withdrawRound: (await senders.info(sender)).withdrawRound,
      }
    } catch (error) {
      throw senderInfoUnavailable(sender, error)
    }
  }

  async #cleanUp(): Promise<void> {
    const { balances, clock, nonces, rounds } = this.#needs
    const { confirmedClock } = rounds
    if (confirmedClock) await nonces.forgetNonces(confirmedClock.l1Block - NONCE_MARGIN_BLOCKS)
    await balances.forgetSessions(clock.now() - SESSION_TTL_MS)
  }

  /** Takes the payments of one session one after the other; refused while too many wait. */
  async #inTurn<T>(
    {
      manifestId,
      payment,
      sender,
      sessionId,
    }: Pick<SegmentOrder, 'manifestId' | 'payment' | 'sender' | 'sessionId'>,
    work: () => Promise<T>,
  ): Promise<T> {
    const key = `${sender}/${sessionId}`
    return this.#noting(sender, async () => {
      if (this.#turns.of(key).count < MAX_WAITING_PAYMENTS) return await this.#turns.take(key, work)
      const text = 'too many payments of one session at the same time'
      const error = new RecipientError('too-many-payments', text)
      if (payment) this.#tellRefused(sender, { manifestId, outcome: { winners: 0 } }, error)
      throw error
    })
  }
}

const NOTHING_USED = { used: new Set<number>(), revealed: false }
/** For a payment without an offer of this node: it is refused before its sender's funds matter. */
const UNKNOWN_FUNDS = { funds: 0n, withdrawRound: 0n }

/** Asks for nothing and charges nothing: the recipient of an offchain orchestrator. */
export class FreeOfCharge implements Recipient {
  async quote(): Promise<{ ticketParams: null; priceInfo: null }> {
    return { ticketParams: null, priceInfo: null }
  }

  async receive(): Promise<void> {}

  async admit(): Promise<Reservation> {
    return FREE
  }
}
