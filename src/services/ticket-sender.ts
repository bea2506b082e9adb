import { estimatePixels, feeFor, type Outlay, outlayFor } from '../domain/balance.ts'
import type { SenderInfo } from '../domain/float.ts'
import { pricePerPixel } from '../domain/price.ts'
import type { Profile } from '../domain/rendition.ts'
import type { OrchestratorInfo } from '../domain/segment.ts'
import {
  areParamsExpired,
  type SenderLimits,
  type SenderRefusal,
  validateParams,
  validatePrice,
} from '../domain/sender-rules.ts'
import {
  type ExpirationParams,
  expectedValue,
  isZeroHash,
  type Payment,
  type PricePerPixel,
  type SenderParams,
  type TicketParams,
  ticketHash,
} from '../domain/ticket.ts'
import type { Clock } from '../lib/clock.ts'
import type { Address, Signer } from '../lib/crypto.ts'
import { messageOf, NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import type { Payer, PaymentSession, StagedPayment } from './payer.ts'
import { Balances, NonceCounters } from './sender-ledger.ts'

/**
 * The most tickets in one payment: recipients take 600 of one offer and drop the rest unpaid, and what is sent and
 * then fails is lost (payments.md §15).
 */
export const MAX_TICKETS_PER_BATCH = 100

/** What the sender needs to know of time on chain. */
export interface SenderRounds {
  readonly lastInitializedRound: bigint
  readonly l1Block: bigint
  /** For recipients that leave it to the sender to name the round. */
  readonly expirationParams: ExpirationParams
}

/** What the sender needs to know of its own funds. */
export interface SenderFunds {
  info(sender: Address): Promise<SenderInfo>
}

/** What the sender works with. */
export interface TicketSenderParts {
  readonly signer: Signer
  readonly rounds: SenderRounds
  readonly funds: SenderFunds
  readonly clock: Clock
}

/** Pays with tickets: knows what is credited where and which nonces were used. */
export class TicketSender implements Payer {
  readonly #limits: SenderLimits
  readonly #parts: TicketSenderParts
  readonly #balances: Balances
  readonly #nonces: NonceCounters

  constructor(limits: SenderLimits, parts: TicketSenderParts) {
    this.#limits = limits
    this.#parts = parts
    this.#balances = new Balances(parts.clock)
    this.#nonces = new NonceCounters(parts.rounds)
  }

  async validate(info: OrchestratorInfo): Promise<void> {
    this.#validateParams(info.ticketParams, 1, await this.#readFunds())
    priceOf(info)
  }

  open(info: OrchestratorInfo): PaymentSession {
    const { rounds, signer } = this.#parts
    return new TicketSession(info, {
      rounds,
      signer,
      balances: this.#balances,
      nonces: this.#nonces,
      readFunds: () => this.#readFunds(),
      validateParams: (params, tickets, funds) => this.#validateParams(params, tickets, funds),
    })
  }

  /** How many balances and how many offers' nonces are remembered. */
  get remembered(): { readonly balances: number; readonly offers: number } {
    return { balances: this.#balances.size, offers: this.#nonces.size }
  }

  async #readFunds(): Promise<SenderInfo> {
    try {
      return await this.#parts.funds.info(this.#parts.signer.address)
    } catch (cause) {
      throw refusal('funds-unknown', `unable to validate sender: ${messageOf(cause)}`, cause)
    }
  }

  #validateParams(params: TicketParams | null, tickets: number, funds: SenderInfo): void {
    const { lastInitializedRound, l1Block } = this.#parts.rounds
    validateParams(params, { funds, limits: this.#limits, lastInitializedRound, l1Block, tickets })
  }
}

/** What all sessions of a sender share. */
interface SharedParts {
  readonly rounds: SenderRounds
  readonly signer: Signer
  readonly balances: Balances
  readonly nonces: NonceCounters
  readFunds(): Promise<SenderInfo>
  validateParams(params: TicketParams, tickets: number, funds: SenderInfo): void
}

/** What one segment's payment is to consist of. */
interface Plan {
  readonly params: TicketParams
  readonly price: PricePerPixel
  readonly balance: string
  readonly outlay: Outlay
}

class TicketSession implements PaymentSession {
  readonly #shared: SharedParts
  /** Token, params and price as they belong together. */
  #info: OrchestratorInfo
  #initialPrice: PricePerPixel | null = null

  constructor(info: OrchestratorInfo, shared: SharedParts) {
    this.#shared = shared
    this.#info = info
    this.update(info)
  }

  update(info: OrchestratorInfo): void {
    // An answer without params leaves the last offer as it is, with the price that it is bound to.
    const { ticketParams, priceInfo } = info.ticketParams ? info : this.#info
    this.#info = { ...info, ticketParams, priceInfo }
    if (info.priceInfo && info.priceInfo.pixelsPerUnit > 0n) this.#initialPrice ??= priceOf(info)
  }

  needsRefresh(): boolean {
    const { ticketParams: params } = this.#info
    const { nonces, rounds } = this.#shared
    if (!params) return false
    return areParamsExpired(params, rounds.l1Block) || nonces.left(params) < MAX_TICKETS_PER_BATCH
  }

  async stage(profiles: readonly Profile[], durationMs: number): Promise<StagedPayment> {
    const pixels = estimatePixels(profiles, durationMs)
    let plan = this.#plan(pixels)
    if (plan.outlay.tickets > 0) {
      const funds = await this.#shared.readFunds()
      // Meanwhile other segments were staged or answered, and the orchestrator may have made a new offer.
      plan = this.#plan(pixels)
      if (plan.outlay.tickets > 0) this.#shared.validateParams(plan.params, plan.outlay.tickets, funds)
    }
    // From here to the end nothing waits: what is planned is what is taken.
    const payment = this.#makePayment(plan)
    return new TicketPayment(payment, plan, this.#shared.balances)
  }

  close(): void {
    // Nothing to give back: credit and nonces outlive the session, since the same offer may be opened again.
  }

  #plan(pixels: Rational): Plan {
    const price = priceOf(this.#info)
    if (this.#initialPrice) validatePrice(this.#initialPrice, price)
    const { ticketParams: params, authToken } = this.#info
    if (!params) throw refusal('params-refused', 'ticketParams is nil')
    const balance = `${params.recipient} ${authToken?.sessionId ?? ''}`
    const ev = expectedValue(params.faceValue, params.winProb)
    const outlay = outlayFor(this.#shared.balances.amountOf(balance), feeFor(pixels, price), ev)
    if (outlay.tickets > MAX_TICKETS_PER_BATCH) {
      throw refusal(
        'params-refused',
        `ticket EV ${ev.toFixed(5)} too low: the segment takes ${outlay.tickets} tickets > max ${MAX_TICKETS_PER_BATCH} tickets`,
      )
    }
    if (outlay.tickets > this.#shared.nonces.left(params)) {
      throw refusal('params-expired', 'ticketParams has no nonces left')
    }
    return { params, price, balance, outlay }
  }

  #makePayment({ params, balance, outlay }: Plan): Payment {
    const sender = this.#shared.signer.address
    const expectedPrice = this.#info.priceInfo
    let payment: Payment = { sender, ticketParams: null, expirationParams: null, tickets: [], expectedPrice }
    if (outlay.tickets > 0) {
      const expirationParams = this.#expirationParamsOf(params)
      const tickets = this.#makeTickets(params, expirationParams, outlay.tickets)
      payment = { sender, ticketParams: params, expirationParams, tickets, expectedPrice }
    }
    this.#shared.balances.add(balance, Rational.zero.sub(outlay.taken))
    return payment
  }

  #makeTickets(params: TicketParams, expirationParams: ExpirationParams, count: number): SenderParams[] {
    const { nonces, signer } = this.#shared
    const first = nonces.take(params, count)
    return Array.from({ length: count }, (_, index) => {
      const senderNonce = first + index
      const ticket = {
        recipient: params.recipient,
        sender: signer.address,
        faceValue: params.faceValue,
        winProb: params.winProb,
        senderNonce,
        recipientRandHash: params.recipientRandHash,
        expirationParams,
        paramsExpirationBlock: params.expirationBlock,
      }
      return { senderNonce, sig: signer.sign(ticketHash(ticket)) }
    })
  }

  /** The recipient's, which its secret number is bound to; our own only where it names none (payments.md §6). */
  #expirationParamsOf({ expirationParams: theirs }: TicketParams): ExpirationParams {
    const isNamed = theirs.creationRound !== 0n && !isZeroHash(theirs.creationRoundBlockHash)
    return isNamed ? theirs : this.#shared.rounds.expirationParams
  }
}

/** How far a payment got (payments.md §7): nothing is known of it; it reached the recipient; its cost is known. */
type PaymentState = 'staged' | 'credit-spent' | 'received-change' | 'abandoned'

class TicketPayment implements StagedPayment {
  readonly payment: Payment
  readonly #plan: Plan
  readonly #balances: Balances
  #state: PaymentState = 'staged'

  constructor(payment: Payment, plan: Plan, balances: Balances) {
    this.payment = payment
    this.#plan = plan
    this.#balances = balances
  }

  answered(): void {
    if (this.#state !== 'staged') return
    this.#state = 'credit-spent'
    // What the tickets are worth beyond this segment is credited there by now: others may count on it.
    this.#balances.add(this.#plan.balance, this.#plan.outlay.surplus)
  }

  completed(pixels: bigint): void {
    this.answered()
    if (this.#state !== 'credit-spent') return
    this.#state = 'received-change'
    const cost = this.#plan.price.mul(Rational.of(pixels < 0n ? 0n : pixels))
    this.#balances.add(this.#plan.balance, this.#plan.outlay.held.sub(cost))
  }

  abandoned(): void {
    if (this.#state !== 'staged') return
    this.#state = 'abandoned'
    this.#balances.add(this.#plan.balance, this.#plan.outlay.taken)
  }
}

/** Pays nothing: for orchestrators that ask for nothing, offchain. */
export class NoPayments implements Payer {
  async validate(): Promise<void> {}

  open(): PaymentSession {
    return {
      update() {},
      needsRefresh: () => false,
      stage: async () => ({ payment: null, answered() {}, completed() {}, abandoned() {} }),
      close() {},
    }
  }
}

function priceOf(info: OrchestratorInfo): PricePerPixel {
  if (!info.priceInfo) throw refusal('no-price', 'missing orchestrator price')
  return pricePerPixel(info.priceInfo)
}

function refusal(code: SenderRefusal, message: string, cause?: unknown): NodeError<SenderRefusal> {
  return new NodeError(code, message, { cause })
}
