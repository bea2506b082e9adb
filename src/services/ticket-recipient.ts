import type { SenderInfo } from '../domain/float.ts'
import { autoAdjustedPrice, priceInfoOf, pricePerPixel } from '../domain/price.ts'
import {
  type Payment,
  type PriceInfo,
  type PricePerPixel,
  recipientRandHash,
  type SignedTicket,
  type TicketParams,
  type WinningTicket,
} from '../domain/ticket.ts'
import {
  faceValueAndWinProb,
  PARAMS_LIFETIME_BLOCKS,
  recipientRandOf,
  SEED_BYTES,
  ticketParamsFor,
  txCostMultiplier,
} from '../domain/ticket-params.ts'
import {
  checkPayment,
  expectedPriceOf,
  judgeTickets,
  type Settlement,
  senderInfoUnavailable,
  settlePayment,
  ticketsOf,
} from '../domain/ticket-rules.ts'
import { bytesToInt, equalBytes } from '../lib/bytes.ts'
import type { Clock } from '../lib/clock.ts'
import type { Address } from '../lib/crypto.ts'
import type { Dice } from '../lib/dice.ts'
import { messageOf, NodeError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { Rational } from '../lib/rational.ts'
import type { Scope, Service } from '../lib/service.ts'
import type { Recipient } from './orchestrator.ts'
import type { Balances, PaymentRecords, SeenNonces, SessionPrices } from './payment-records.ts'
import type { RoundsView } from './rounds.ts'

/** How long after their params expired nonces are kept, in L1 blocks: the chain may go back a little. */
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
/** How often a payment is judged again because another process took one of its nonces. */
const MAX_CONFLICTS = 3
/** An unknown secret is looked for in the store at most this often. */
const RELOAD_MS = 1_000

/** Why a payment or a request for params is refused, beside the faults of its tickets. */
export type RecipientFault =
  | 'insufficient-balance'
  | 'price-mismatch'
  | 'too-many-payments'
  | 'nonce-conflict'

/** A refusal; the message is the text for the peer. */
export class RecipientError extends NodeError<RecipientFault> {
  override name = 'RecipientError'
}

export interface TicketRecipientOptions {
  /** Whom tickets pay: the orchestrator on chain. */
  readonly recipient: Address
  /** Wei that one ticket is worth on average. */
  readonly ticketEv: bigint
  /** Gas that redeeming a ticket takes. */
  readonly redeemGas: bigint
  /** Wei; 0 for no limit. */
  readonly maxFaceValue: bigint
  /** Whether the cost of redeeming is added to the price. */
  readonly autoAdjustPrice: boolean
}

/** What has happened, for whoever counts. */
export interface RecipientEvents {
  ticketsReceived(event: { sender: Address; tickets: number; winners: number; credit: Rational }): void
  paymentRefused(event: { sender: Address; reason: string }): void
}

export interface TicketRecipientNeeds {
  /** The secrets behind the random commitments: the first makes new ones, all are recognised. */
  readonly secret: { readonly keys: readonly Uint8Array[]; reload(): Promise<void> }
  readonly nonces: SeenNonces
  readonly balances: Balances
  readonly prices: SessionPrices
  readonly records: PaymentRecords
  readonly senders: { info(sender: Address): Promise<SenderInfo>; maxFloat(sender: Address): Promise<bigint> }
  readonly rounds: RoundsView
  readonly activity: { isActive(): Promise<boolean> }
  readonly gas: { /** Wei; 0 when not known. */ readonly gasPrice: bigint }
  readonly priceBook: { basePrice(sender: Address): PricePerPixel }
  /** Takes over tickets that won; they are on disk already. */
  readonly winners: { adopt(tickets: readonly WinningTicket[]): void }
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: RecipientEvents
}

/** Offers params, judges tickets, keeps balances: how an orchestrator is paid. */
export class TicketRecipient implements Service, Recipient {
  readonly name = 'ticket recipient'
  readonly #options: TicketRecipientOptions
  readonly #needs: TicketRecipientNeeds
  readonly #turns = new Map<string, { tail: Promise<unknown>; waiting: number }>()
  #maxFaceValue: bigint
  #reloadedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: TicketRecipientOptions, needs: TicketRecipientNeeds) {
    this.#options = options
    this.#needs = needs
    this.#maxFaceValue = options.maxFaceValue
  }

  start(scope: Scope): void {
    scope.spawn('forget what is over', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(CLEAN_UP_MS, signal)
        await this.#cleanUp().catch((error) =>
          this.#needs.log.warn('old nonces and sessions cannot be removed', { error: messageOf(error) }),
        )
      }
    })
  }

  /** The largest face value offered, in wei; 0 for no limit. */
  get maxFaceValue(): bigint {
    return this.#maxFaceValue
  }

  set maxFaceValue(value: bigint) {
    this.#maxFaceValue = value
  }

  async quote(
    sender: Address,
    sessionId: string | null,
  ): Promise<{ ticketParams: TicketParams; priceInfo: PriceInfo }> {
    const { dice, priceBook, prices, rounds, secret } = this.#needs
    const fixed = sessionId === null ? null : await prices.price(sender, sessionId)
    const base = fixed ?? priceBook.basePrice(sender)
    const worth = base.sign > 0 ? await this.#worth(sender) : FREE
    const priceInfo = priceInfoOf(fixed ?? this.#advertised(base, worth.faceValue))
    const ticketParams = ticketParamsFor(secret.keys[0]!, {
      ...worth,
      recipient: this.#options.recipient,
      sender,
      seed: bytesToInt(dice.bytes(SEED_BYTES)),
      expirationBlock: rounds.l1Block + PARAMS_LIFETIME_BLOCKS,
      price: pricePerPixel(priceInfo),
      expirationParams: rounds.expirationParams,
    })
    return { ticketParams, priceInfo }
  }

  async receive(payment: Payment, sessionId: string): Promise<void> {
    try {
      await this.#inTurn(`${payment.sender}/${sessionId}`, () => this.#receive(payment, sessionId))
    } catch (error) {
      const reason = error instanceof NodeError ? error.code : 'internal'
      this.#needs.events.paymentRefused({ sender: payment.sender, reason })
      throw error
    }
  }

  async assertFunded(sender: Address, sessionId: string): Promise<void> {
    const { balances, clock } = this.#needs
    const price = await this.#sessionPrice(sender, sessionId)
    if (price.sign <= 0) return
    const least = Rational.of(this.#options.ticketEv)
    if ((await balances.balance(sender, sessionId)).cmp(least) >= 0) return
    const now = clock.now()
    const carried = await balances.carryOver(sender, sessionId, now - IDLE_SESSION_MS, now)
    if (carried.cmp(least) < 0) throw new RecipientError('insufficient-balance', 'Insufficient balance')
  }

  async assertSolvent(sender: Address, sessionId: string): Promise<void> {
    const price = await this.#sessionPrice(sender, sessionId)
    if (price.sign <= 0) return
    if ((await this.#needs.balances.balance(sender, sessionId)).sign > 0) return
    throw new RecipientError('insufficient-balance', 'Insufficient balance')
  }

  async debit(sender: Address, sessionId: string, pixels: bigint): Promise<void> {
    if (pixels <= 0n) return
    const price = await this.#sessionPrice(sender, sessionId)
    if (price.sign <= 0) return
    const fee = price.mul(Rational.of(pixels))
    await this.#needs.balances.debit(sender, sessionId, fee, this.#needs.clock.now())
  }

  async #receive(payment: Payment, sessionId: string): Promise<void> {
    if (!payment.ticketParams || payment.tickets.length === 0) {
      return this.#receiveNoTickets(payment, sessionId)
    }
    const { activity, rounds } = this.#needs
    const price = checkPayment(payment, {
      recipient: this.#options.recipient,
      isActive: await activity.isActive(),
      lastInitializedRound: rounds.lastInitializedRound,
    })
    const settlement = await this.#settle(ticketsOf(payment), payment, price, sessionId)
    if (settlement.error) throw settlement.error
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

  /** Judges tickets and records what came of them; a nonce that another process took meanwhile makes it begin again. */
  async #settle(
    tickets: readonly SignedTicket[],
    payment: Payment,
    price: PricePerPixel,
    sessionId: string,
  ): Promise<Settlement> {
    const { clock, events, nonces, records, rounds, winners } = this.#needs
    const params = payment.ticketParams!
    const rand = await this.#randOf(payment, price)
    const withdrawRound = rand === null ? 0n : await this.#withdrawRoundOf(payment.sender)
    for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
      const { used, revealed } = await nonces.noncesOf(params.recipientRandHash)
      const judgements = judgeTickets(tickets, {
        recipient: this.#options.recipient,
        recipientRand: rand ?? 0n,
        withdrawRound,
        lastInitializedRound: rounds.lastInitializedRound,
        // Whoever knows the secret number could make tickets that never win: its params have ended.
        l1Block: revealed ? params.expirationBlock : rounds.l1Block,
        seenNonces: used,
      })
      const settlement = settlePayment(judgements)
      // Who brings no good ticket leaves nothing behind.
      if (settlement.nonces.length === 0 && settlement.winners.length === 0) return settlement
      const now = clock.now()
      const recorded = await records.recordPayment({
        sender: payment.sender,
        sessionId,
        credit: settlement.credit,
        price,
        recipientRandHash: params.recipientRandHash,
        paramsExpirationBlock: params.expirationBlock,
        nonces: settlement.nonces,
        winners: settlement.winners,
        idleSinceMs: now - IDLE_SESSION_MS,
        nowMs: now,
      })
      if (!recorded) continue
      if (recorded.newWinners.length > 0) winners.adopt(recorded.newWinners)
      events.ticketsReceived({
        sender: payment.sender,
        tickets: settlement.nonces.length,
        winners: recorded.newWinners.length,
        credit: settlement.credit,
      })
      return settlement
    }
    throw new RecipientError('nonce-conflict', 'invalid ticket senderNonce: used elsewhere at the same time')
  }

  /** Asked of the chain only for those who hold an offer of ours. */
  async #withdrawRoundOf(sender: Address): Promise<bigint> {
    try {
      return (await this.#needs.senders.info(sender)).withdrawRound
    } catch (error) {
      throw senderInfoUnavailable(sender, error)
    }
  }

  /** The secret number behind a payment, by whichever secret made its offer; null when none did. */
  async #randOf(payment: Payment, price: PricePerPixel): Promise<bigint | null> {
    const found = this.#matchingRand(payment, price)
    if (found !== null) return found
    const { clock, secret } = this.#needs
    if (clock.now() - this.#reloadedAtMs < RELOAD_MS) return null
    this.#reloadedAtMs = clock.now()
    await secret.reload()
    return this.#matchingRand(payment, price)
  }

  #matchingRand(payment: Payment, price: PricePerPixel): bigint | null {
    for (const key of this.#needs.secret.keys) {
      try {
        const rand = recipientRandOf(key, payment, price)
        if (rand !== null && equalBytes(recipientRandHash(rand), payment.ticketParams!.recipientRandHash)) {
          return rand
        }
      } catch {
        // Numbers that cannot be encoded were never offered.
        return null
      }
    }
    return null
  }

  async #worth(sender: Address): Promise<{ faceValue: bigint; winProb: bigint }> {
    return faceValueAndWinProb({
      expectedValue: this.#options.ticketEv,
      redeemGas: this.#options.redeemGas,
      gasPrice: this.#needs.gas.gasPrice,
      maxFloat: await this.#needs.senders.maxFloat(sender),
      maxFaceValue: this.#maxFaceValue,
    })
  }

  #advertised(base: PricePerPixel, faceValue: bigint): PricePerPixel {
    if (!this.#options.autoAdjustPrice) return base
    const txCost = this.#options.redeemGas * this.#needs.gas.gasPrice
    return autoAdjustedPrice(base, txCostMultiplier(faceValue, txCost))
  }

  async #sessionPrice(sender: Address, sessionId: string): Promise<PricePerPixel> {
    return (await this.#needs.prices.price(sender, sessionId)) ?? this.#needs.priceBook.basePrice(sender)
  }

  async #cleanUp(): Promise<void> {
    const { balances, clock, nonces, rounds } = this.#needs
    const { confirmedClock } = rounds
    if (confirmedClock) await nonces.forgetNonces(confirmedClock.l1Block - NONCE_MARGIN_BLOCKS)
    await balances.forgetSessions(clock.now() - SESSION_TTL_MS)
  }

  /** Runs the work of one session one after the other. */
  async #inTurn(key: string, work: () => Promise<void>): Promise<void> {
    const turn = this.#turns.get(key) ?? { tail: Promise.resolve(), waiting: 0 }
    if (turn.waiting >= MAX_WAITING_PAYMENTS) {
      throw new RecipientError('too-many-payments', 'too many payments of one session at the same time')
    }
    this.#turns.set(key, turn)
    turn.waiting++
    const done = turn.tail.then(work)
    turn.tail = done.catch(() => {})
    try {
      await done
    } finally {
      if (--turn.waiting === 0) this.#turns.delete(key)
    }
  }
}

const FREE = { faceValue: 0n, winProb: 0n }

/** Asks nothing and charges nothing: how an orchestrator without a chain is paid. */
export class FreeOfCharge implements Recipient {
  async quote(): Promise<{ ticketParams: null; priceInfo: null }> {
    return { ticketParams: null, priceInfo: null }
  }

  async receive(): Promise<void> {}

  async assertFunded(): Promise<void> {}

  async assertSolvent(): Promise<void> {}

  async debit(): Promise<void> {}
}
