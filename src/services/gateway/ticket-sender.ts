import { estimatePixels, feeFor, outlayFor } from '../../domain/balance.ts'
import type { Outcome } from '../../domain/dealings.ts'
import type { SenderInfo } from '../../domain/float.ts'
import { pricePerPixel } from '../../domain/price.ts'
import type { Profile } from '../../domain/rendition.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import {
  areParamsExpired,
  type SenderLimits,
  type SenderRefusal,
  validateParams,
  validatePrice,
} from '../../domain/sender-rules.ts'
import {
  type ExpirationParams,
  expectedValue,
  isZeroHash,
  type Payment,
  type PricePerPixel,
  type SenderParams,
  type Ticket,
  type TicketParams,
  ticketHash,
} from '../../domain/ticket.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address, Signer } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { Rational } from '../../lib/rational.ts'
import type { OrchestratorAccounts } from './orchestrator-accounts.ts'
import type { Payer, PaymentSession, StagedPayment } from './payer.ts'
import { NonceCounters, OwnBalances } from './sender-ledger.ts'
import { type Doubts, type Plan, TicketPayment } from './ticket-payment.ts'

/**
 * The most tickets in one payment: recipients credit 600 tickets of one offer and ignore the rest, and tickets sent
 * with a segment that fails are lost (payments.md §15).
 */
export const MAX_TICKETS_PER_BATCH = 100

/** The chain's time, as the sender needs it. */
export interface SenderRounds {
  readonly lastInitializedRound: bigint
  readonly l1Block: bigint
  /** For recipients that leave the round to the sender. */
  readonly expirationParams: ExpirationParams
}

/** The sender's own funds on chain. */
export interface SenderFunds {
  info(sender: Address): Promise<SenderInfo>
}

/** What the sender works with. */
export interface TicketSenderParts {
  readonly signer: Signer
  readonly rounds: SenderRounds
  readonly funds: SenderFunds
  readonly clock: Clock
  readonly accounts: OrchestratorAccounts
  /** Counts what is sent; absent: nobody asks. */
  readonly spending?: { add(wei: bigint): void }
}

/** Pays with tickets; keeps the credit with each orchestrator and the nonces used. */
export class TicketSender implements Payer {
  readonly #limits: SenderLimits
  readonly #parts: TicketSenderParts
  readonly #balances: OwnBalances
  readonly #nonces: NonceCounters

  constructor(limits: SenderLimits, parts: TicketSenderParts) {
    this.#limits = limits
    this.#parts = parts
    this.#balances = new OwnBalances(parts.clock)
    this.#nonces = new NonceCounters(parts.rounds)
  }

  async validate(info: OrchestratorInfo): Promise<void> {
    this.#validateParams(info.ticketParams, 1, await this.#readFunds())
    priceOf(info)
  }

  isLeftOut(from: string): boolean {
    return this.#parts.accounts.isLeftOut(from)
  }

  open(info: OrchestratorInfo, from = info.transcoder): PaymentSession {
    const { accounts, rounds, signer, spending } = this.#parts
    return new TicketSession(info, {
      spent: (value) => spending?.add(value.floor()),
      rounds,
      signer,
      settle: (outcome) => accounts.settle(from, outcome),
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

/** Shared by all sessions of a sender. */
interface SharedParts {
  readonly rounds: SenderRounds
  readonly signer: Signer
  readonly balances: OwnBalances
  readonly nonces: NonceCounters
  /** Counts the outcome of a payment to this orchestrator. */
  settle(outcome: Outcome): void
  /** Counts the expected value of tickets that were sent. */
  spent(value: Rational): void
  readFunds(): Promise<SenderInfo>
  validateParams(params: TicketParams, tickets: number, funds: SenderInfo): void
}

class TicketSession implements PaymentSession {
  readonly #shared: SharedParts
  /** Token, params and price of the same offer. */
  #info: OrchestratorInfo
  #initialPrice: PricePerPixel | null = null
  /** Balances that the orchestrator made this session abandon: credit returned to them later is lost too. */
  readonly #forsaken = new Set<string>()
  /** What may have been charged to the present balance for work that never came. */
  #inDoubt = Rational.zero

  constructor(info: OrchestratorInfo, shared: SharedParts) {
    this.#shared = shared
    this.#info = info
    this.update(info, true)
  }

  update(info: OrchestratorInfo, isDue: boolean): void {
    const before = balanceKey(this.#info)
    const left = this.#shared.balances.amountOf(before)
    // An answer without params keeps the last offer, with its price.
    const { ticketParams, priceInfo } = info.ticketParams ? info : this.#info
    this.#info = { ...info, ticketParams, priceInfo }
    if (info.priceInfo && info.priceInfo.pixelsPerUnit > 0n) this.#initialPrice ??= priceOf(info)
    const now = balanceKey(this.#info)
    if (now !== before) this.#inDoubt = Rational.zero
    if (now === before || isDue) return
    this.#forsaken.delete(now)
    this.#forsake(before, left)
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
      // Other segments may have been staged or answered meanwhile, or the offer renewed.
      plan = this.#plan(pixels)
      if (plan.outlay.tickets > 0) this.#shared.validateParams(plan.params, plan.outlay.tickets, funds)
    }
    // No await between planning and taking credit and nonces: exactly the plan is taken.
    const taken = this.#take(plan)
    const credit = (change: Rational) => {
      this.#shared.balances.add(plan.balance, change)
      if (this.#forsaken.has(plan.balance)) this.#lose(change)
    }
    try {
      const payment = { ...taken.payment, tickets: await this.#sign(taken.tickets) }
      const { settle, spent } = this.#shared
      return new TicketPayment(payment, plan, { settle, spent, credit, doubts: this.#doubtsOf(plan) })
    } catch (error) {
      // The nonces stay used: none may be signed twice.
      credit(plan.outlay.taken)
      throw error
    }
  }

  /** The charges in doubt of the balance that a plan draws on; of an abandoned one there are none. */
  #doubtsOf({ balance }: Plan): Doubts {
    const isPresent = () => balance === balanceKey(this.#info)
    return {
      areThere: () => isPresent() && this.#inDoubt.sign > 0,
      add: (charge) => {
        if (isPresent()) this.#inDoubt = this.#inDoubt.add(charge)
      },
      concede: () => {
        if (!isPresent()) return
        const left = this.#shared.balances.amountOf(balance)
        const gone = this.#inDoubt.cmp(left) < 0 ? this.#inDoubt : left
        this.#inDoubt = Rational.zero
        if (gone.sign <= 0) return
        this.#shared.balances.add(balance, Rational.zero.sub(gone))
        this.#lose(gone)
      },
    }
  }

  close(isFault: boolean): void {
    // Credit and nonces outlive the session: the same offer may be opened again, although that is not certain.
    const balance = balanceKey(this.#info)
    if (isFault) this.#forsake(balance, this.#shared.balances.amountOf(balance))
  }

  #forsake(balance: string, left: Rational): void {
    this.#forsaken.add(balance)
    this.#lose(left)
  }

  #lose(credit: Rational): void {
    if (credit.sign > 0) this.#shared.settle({ earned: 0n, lost: credit.ceil() })
  }

  #plan(pixels: Rational): Plan {
    const price = priceOf(this.#info)
    if (this.#initialPrice) validatePrice(this.#initialPrice, price)
    const { ticketParams: params } = this.#info
    if (!params) throw refusal('params-refused', 'ticketParams is nil')
    const balance = balanceKey(this.#info)
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
    return { params, price, balance, outlay, paid: ev.mul(Rational.of(BigInt(outlay.tickets))) }
  }

  /** Takes the credit and nonces of a payment; its tickets are still to be signed. */
  #take({ params, balance, outlay }: Plan): { payment: Payment; tickets: readonly Ticket[] } {
    const sender = this.#shared.signer.address
    const expectedPrice = this.#info.priceInfo
    let payment: Payment = { sender, ticketParams: null, expirationParams: null, tickets: [], expectedPrice }
    let tickets: readonly Ticket[] = []
    if (outlay.tickets > 0) {
      const expirationParams = this.#expirationParamsOf(params)
      tickets = this.#makeTickets(params, expirationParams, outlay.tickets)
      payment = { sender, ticketParams: params, expirationParams, tickets: [], expectedPrice }
    }
    this.#shared.balances.add(balance, Rational.zero.sub(outlay.taken))
    return { payment, tickets }
  }

  #makeTickets(params: TicketParams, expirationParams: ExpirationParams, count: number): Ticket[] {
    const { nonces, signer } = this.#shared
    const first = nonces.take(params, count)
    return Array.from({ length: count }, (_, index) => ({
      recipient: params.recipient,
      sender: signer.address,
      faceValue: params.faceValue,
      winProb: params.winProb,
      senderNonce: first + index,
      recipientRandHash: params.recipientRandHash,
      expirationParams,
      paramsExpirationBlock: params.expirationBlock,
    }))
  }

  #sign(tickets: readonly Ticket[]): Promise<SenderParams[]> {
    const { signer } = this.#shared
    return Promise.all(
      tickets.map(async (ticket) => ({
        senderNonce: ticket.senderNonce,
        sig: await signer.sign(ticketHash(ticket)),
      })),
    )
  }

  /** The recipient's, to which its rand is bound; this node's own only if it gives none (payments.md §6). */
  #expirationParamsOf({ expirationParams: theirs }: TicketParams): ExpirationParams {
    const isNamed = theirs.creationRound !== 0n && !isZeroHash(theirs.creationRoundBlockHash)
    return isNamed ? theirs : this.#shared.rounds.expirationParams
  }
}

/** Pays nothing, for offchain orchestrators, which require no payment. */
export class NoPayments implements Payer {
  async validate(): Promise<void> {}

  open(): PaymentSession {
    return {
      update() {},
      needsRefresh: () => false,
      stage: async () => ({
        ...{ payment: null, isInDoubt: false, answered() {}, doubted() {}, uncovered() {} },
        ...{ completed() {}, abandoned() {}, settled() {} },
      }),
      close() {},
    }
  }

  isLeftOut(): boolean {
    return false
  }
}

/** The key of a credit balance: the recipient and its auth session (payments.md §9). */
function balanceKey({ authToken, ticketParams }: OrchestratorInfo): string {
  return `${ticketParams?.recipient ?? ''} ${authToken?.sessionId ?? ''}`
}

function priceOf(info: OrchestratorInfo): PricePerPixel {
  if (!info.priceInfo) throw refusal('no-price', 'missing orchestrator price')
  return pricePerPixel(info.priceInfo)
}

function refusal(code: SenderRefusal, message: string, cause?: unknown): NodeError<SenderRefusal> {
  return new NodeError<SenderRefusal>(code, message, { cause })
}
