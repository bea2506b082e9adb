import { DatabaseSync } from 'node:sqlite'
import { pricePerPixel } from '../../src/domain/price.ts'
import {
  expectedValue,
  isWinning,
  type Payment,
  ticketHash,
  type WinningTicket,
} from '../../src/domain/ticket.ts'
import { recipientRandOf } from '../../src/domain/ticket-params.ts'
import { ticketsOf } from '../../src/domain/ticket-rules.ts'
import { Store } from '../../src/io/store/store.ts'
import { formatHex, type Hex, parseHex } from '../../src/lib/bytes.ts'
import { ManualClock, settle } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { type Dice, seededDice } from '../../src/lib/dice.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Rational } from '../../src/lib/rational.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { PriceBook } from '../../src/services/orchestrator/price-book.ts'
import type { TicketRecipient } from '../../src/services/orchestrator/ticket-recipient.ts'
import type { Rounds } from '../../src/services/protocol/rounds.ts'
import type { Senders } from '../../src/services/protocol/senders.ts'
import { Redeemer } from '../../src/services/redemption/redeemer.ts'
import { FakeChain } from '../fakes/chain.ts'
import { eventsTo } from '../fakes/events.ts'
import { FakePayer, type Offer } from '../fakes/payer.ts'
import { recipientOn, reserve } from '../fakes/recipient-world.ts'
import { Gate } from './gate.ts'

const ORCHESTRATOR: Address = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const REDEEM_GAS = 350_000n
const GWEI = 10n ** 9n
/** A quarter of the tickets win. */
const TICKET_EV = (REDEEM_GAS * GWEI * 100n) / 4n
export const ROUND = 100n
/** A crash happens at one of this many awaits, so that it can hit the first and the last of a busy moment. */
const AWAITS_TO_CRASH = 300

/** Parameters of a run. */
export interface Plan {
  readonly seed: string
  /** The store file that all orchestrators share. */
  readonly location: string
  readonly orchestrators: number
  readonly steps: number
  readonly ticketsPerPayment: number
  /** Chance per step that an orchestrator dies at one of its next awaits of store or chain. */
  readonly crashes: number
  /** Crashes exactly at this await, counted over the whole run. */
  readonly crashAt?: number
  /** Chances per step. */
  readonly outages: number
  readonly reorganisations: number
  readonly lostMessages: number
}

/** The result of a run. */
export interface Report {
  readonly trace: readonly string[]
  readonly awaits: number
  readonly crashes: number
  readonly tickets: number
  /** Winning tickets acknowledged by an orchestrator. */
  readonly acknowledgedWinners: ReadonlySet<Hex>
  readonly rows: readonly {
    readonly hash: Hex
    readonly state: string
    readonly reason: string
    readonly paid: bigint | null
    /** Whether the round of its creation still has that block hash. */
    readonly couldBeRedeemed: boolean
  }[]
  readonly chain: FakeChain
  /** Wei by sender: the minimum that must be left, what is left, and the maximum. */
  readonly credit: readonly { least: Rational; found: Rational; most: Rational }[]
}

interface Node {
  readonly recipient: TicketRecipient
  readonly redeemer: Redeemer | null
  readonly died: Promise<never>
  isReady: boolean
}

interface Payer {
  readonly fake: FakePayer
  session: number
  offer: Offer | null
  unanswered: Payment | null
}

interface Account {
  acknowledged: Rational
  attempted: Rational
  debitsAttempted: Rational
  debitsDone: Rational
  sessions: number
}

/** Gateways' payments, dying orchestrators, a failing chain, and a record of every answer. */
export class Simulation {
  readonly #plan: Plan
  readonly #dice: Dice
  readonly #clock = new ManualClock()
  readonly #chain = new FakeChain({ roundLength: ROUND })
  readonly #store: Store
  readonly #trace: string[] = []
  readonly #nodes: (Node | null)[] = []
  readonly #payers: Payer[]
  readonly #accounts = new Map<Address, Account>()
  readonly #acknowledgedWinners = new Set<Hex>()
  readonly #sleepingUntil: number[] = []
  #awaits = 0
  #crashes = 0
  #crashAt = 0
  #tickets = 0
  #step = 0
  #isCalm = false
  #downUntil = 0
  #stuckUntil = 0

  constructor(plan: Plan) {
    this.#plan = plan
    this.#dice = seededDice(plan.seed)
    this.#store = new Store({ location: plan.location }, { dice: seededDice(`secrets of ${plan.seed}`) })
    this.#payers = ['rich', 'thrifty', 'poor'].map((name) => {
      return { fake: new FakePayer(name), session: 0, offer: null, unanswered: null }
    })
  }

  async run(): Promise<Report> {
    await this.#store.open()
    const [rich, thrifty, poor] = this.#payers.map(({ fake }) => fake.address)
    this.#chain.fund(rich!, 10n ** 24n, 10n ** 24n)
    this.#chain.fund(thrifty!, 10n ** 18n, 10n ** 24n)
    this.#chain.fund(poor!, 4n * 10n ** 17n)
    this.#chain.mine()
    for (let i = 0; i < this.#plan.orchestrators; i++) this.#start(i)
    await this.#rest()
    for (this.#step = 0; this.#step < this.#plan.steps; this.#step++) await this.#live()
    await this.#calmDown()
    const report = await this.#report()
    await this.#store.close()
    return report
  }

  async #live(): Promise<void> {
    const { crashes, outages, reorganisations } = this.#plan
    if (this.#chance(crashes)) this.#crashAt = this.#awaits + this.#upTo(AWAITS_TO_CRASH)
    if (this.#chain.isDown ? this.#step >= this.#downUntil : this.#chance(outages)) {
      if (this.#chain.isDown) this.#chain.recover()
      else this.#chain.isDown = true
      this.#downUntil = this.#step + this.#upTo(10)
      this.#note(this.#chain.isDown ? 'chain away' : 'chain back')
    }
    if (this.#chance(outages)) this.#stuckUntil = this.#step + this.#upTo(10)
    this.#chain.includesNothing = this.#step < this.#stuckUntil
    this.#chain.gasPrice = this.#chance(0.05) ? 200n * GWEI : GWEI
    if (this.#chance(0.01)) this.#chain.fund(this.#payers[2]!.fake.address, 10n ** 17n)
    this.#nodes.forEach((node, i) => {
      if (!node && this.#step >= (this.#sleepingUntil[i] ?? 0)) this.#start(i)
    })
    for (const payer of this.#payers) void this.#payOnce(payer)
    await this.#rest()
    if (this.#chance(reorganisations)) {
      this.#note('reorganisation')
      this.#chain.reorganise(this.#upTo(4), () => this.#chance(0.7))
    } else if (this.#chance(0.9)) this.#chain.mine()
    await this.#rest()
    await this.#clock.wind(1_000 * this.#upTo(8))
    await this.#rest()
  }

  /** Runs without faults and payments until every ticket is redeemed or refused. */
  async #calmDown(): Promise<void> {
    this.#isCalm = true
    this.#note('calm')
    if (this.#chain.isDown) this.#chain.recover()
    this.#chain.includesNothing = false
    this.#chain.gasPrice = GWEI
    this.#nodes.forEach((node, i) => {
      if (!node) this.#start(i)
    })
    for (let blocks = 0n; blocks < 2n * ROUND + 30n; blocks += 4n) {
      const [first] = this.#nodes
      const isDone = first?.isReady && first.redeemer?.waiting().length === 0
      if (isDone && (await Array.fromAsync(this.#store.unfinishedTickets())).flat().length === 0) return
      for (let i = 0; i < 4; i++) this.#chain.mine()
      await this.#rest()
      await this.#clock.wind(10_000)
      await this.#rest()
    }
  }

  #start(index: number): void {
    const supervisor = new Supervisor()
    const died = Promise.withResolvers<never>()
    died.promise.catch(() => {})
    const gate = new Gate(
      () => this.#crashesNow(),
      () => {
        this.#crashes++
        this.#note(`orchestrator ${index} dies`)
        this.#nodes[index] = null
        this.#sleepingUntil[index] = this.#step + this.#upTo(6)
        died.reject(new Error('connection lost'))
        void supervisor.stop()
      },
    )
    const store = gate.wrap(this.#store)
    const chain = gate.wrap(this.#chain)
    const clock = this.#clock
    const parts = recipientOn(
      {
        ...{ chain, clock, store, priceBook: new PriceBook(() => Rational.of(10n ** 9n)) },
        winners: { adopt: (tickets) => this.#nodes[0]?.redeemer?.adopt(tickets) },
        dice: seededDice(`seeds of ${this.#plan.seed} ${index} ${this.#crashes} ${this.#step}`),
      },
      {
        recipient: ORCHESTRATOR,
        ticketEv: TICKET_EV,
        redeemGas: REDEEM_GAS,
        maxFaceValue: 4n * TICKET_EV,
      },
    )
    const { activity, recipient, rounds, secret, senders } = parts
    const needs = { chain, watch: chain, clock, log: silentLog }
    // One of them redeems for all, as in a cluster.
    const redeemer = index === 0 ? this.#redeemer(needs, store, rounds, senders) : null
    const node: Node = { recipient, redeemer, died: died.promise, isReady: false }
    this.#nodes[index] = node
    const startAll = async () => {
      const services = [rounds, senders, activity, secret, ...(redeemer ? [redeemer] : []), recipient]
      for (const service of services) await supervisor.start(service)
      node.isReady = true
    }
    startAll().catch((error) => {
      if (!gate.isDead) throw error
    })
    supervisor.failed.catch((error) => {
      if (!gate.isDead) throw error
    })
  }

  #redeemer(
    needs: { chain: FakeChain; watch: FakeChain; clock: ManualClock; log: typeof silentLog },
    store: Store,
    rounds: Rounds,
    senders: Senders,
  ): Redeemer {
    return new Redeemer({
      ...needs,
      tickets: store,
      nonces: store,
      rounds,
      senders,
      gas: needs.chain,
      events: eventsTo({
        'ticket-won': ({ faceValue }) => this.#note(`won ${faceValue}`),
        'ticket-redeemed': ({ paid }) => this.#note(`redeemed ${paid}`),
        'ticket-refused': ({ reason }) => this.#note(`refused ${reason}`),
        'ticket-reopened': () => this.#note('reopened'),
        'redemption-failed': ({ reason }) => this.#note(`failed ${reason}`),
      }),
    })
  }

  /** One payment of one sender: offer, payment, work, over a network that loses messages. */
  async #payOnce(payer: Payer): Promise<void> {
    const node = this.#nodes[this.#upTo(this.#plan.orchestrators) - 1]
    if (!node?.isReady) return
    const heard = <T>(answer: Promise<T>): Promise<T> => Promise.race([answer, node.died])
    const account = this.#accountOf(payer.fake.address)
    if (this.#chance(0.02)) payer.session++
    account.sessions = Math.max(account.sessions, payer.session + 1)
    const session = `${payer.session}`
    try {
      if (!payer.offer || this.#chance(0.2)) {
        payer.offer = await heard(node.recipient.quote(payer.fake.address, session))
      }
      if (!payer.unanswered) {
        payer.unanswered = payer.fake.pay(payer.offer, this.#upTo(this.#plan.ticketsPerPayment))
        this.#tickets += payer.unanswered.tickets.length
        account.attempted = account.attempted.add(worthOf(payer.unanswered))
      }
      const payment = payer.unanswered
      const answer = await this.#deliver(heard(node.recipient.receive(payment, session)))
      await this.#learn(payer, payment, answer)
      if (answer !== 'accepted') return
      const reservation = await heard(reserve(node.recipient, payer.fake.address, session, 1_000n))
      const fee = pricePerPixel(payer.offer.priceInfo).mul(Rational.of(1_000n))
      account.debitsAttempted = account.debitsAttempted.add(fee.add(fee))
      await heard(reservation.charge(1_000n))
      account.debitsDone = account.debitsDone.add(fee.div(Rational.of(2n)))
    } catch (error) {
      if (!(error instanceof NodeError)) this.#note('no answer')
      else this.#note(`refused to pay: ${error.code}`)
      if (error instanceof NodeError && error.code === 'insufficient-sender-reserve') payer.offer = null
    }
  }

  /** The answer that the sender gets; it may be lost. */
  async #deliver(receiving: Promise<void>): Promise<'accepted' | 'nothing' | NodeError> {
    try {
      await receiving
      return this.#chance(this.#plan.lostMessages) ? 'nothing' : 'accepted'
    } catch (error) {
      return error instanceof NodeError ? error : 'nothing'
    }
  }

  async #learn(payer: Payer, payment: Payment, answer: 'accepted' | 'nothing' | NodeError): Promise<void> {
    if (answer === 'nothing') return this.#note('no answer')
    const account = this.#accountOf(payer.fake.address)
    const code = answer === 'accepted' ? 'accepted' : answer.code
    this.#note(code)
    // Seen before: the first attempt was recorded although its answer was lost.
    const isRecorded = code === 'accepted' || code === 'nonce-already-seen'
    if (isRecorded) account.acknowledged = account.acknowledged.add(worthOf(payment))
    if (isRecorded || code === 'params-expired') await this.#expectWinners(payment)
    if (code !== 'sender-info-unavailable') payer.unanswered = null
    if (code !== 'accepted') payer.offer = null
  }

  async #expectWinners(payment: Payment): Promise<void> {
    for (const ticket of await winnersOf(payment, this.#store)) {
      this.#acknowledgedWinners.add(formatHex(ticketHash(ticket)))
    }
  }

  #accountOf(sender: Address): Account {
    const zero = Rational.zero
    const account = this.#accounts.get(sender) ?? {
      acknowledged: zero,
      attempted: zero,
      debitsAttempted: zero,
      debitsDone: zero,
      sessions: 0,
    }
    this.#accounts.set(sender, account)
    return account
  }

  async #report(): Promise<Report> {
    const file = new DatabaseSync(this.#plan.location, { readOnly: true })
    const rows = file.prepare('select * from tickets order by hash').all()
    const balances = file.prepare('select sender, amount from balances').all()
    file.close()
    const found = (sender: Address) =>
      balances
        .filter((row) => row.sender === sender)
        .reduce((sum, row) => sum.add(Rational.parse(String(row.amount))), Rational.zero)
    return {
      trace: this.#trace,
      awaits: this.#awaits,
      crashes: this.#crashes,
      tickets: this.#tickets,
      acknowledgedWinners: this.#acknowledgedWinners,
      rows: rows.map((row) => ({
        hash: String(row.hash) as Hex,
        state: String(row.state),
        reason: String(row.reason),
        paid: row.paid === null ? null : BigInt(String(row.paid)),
        couldBeRedeemed: this.#chain.knowsRound(
          BigInt(String(row.creation_round)),
          parseHex(String(row.creation_round_block_hash)),
        ),
      })),
      chain: this.#chain,
      credit: [...this.#accounts].map(([sender, account]) => ({
        least: account.acknowledged.sub(account.debitsAttempted),
        found: found(sender),
        // Carrying a remainder over to the next session rounds it up to whole wei.
        most: account.attempted.sub(account.debitsDone).add(Rational.of(BigInt(2 * account.sessions))),
      })),
    }
  }

  #crashesNow(): boolean {
    this.#awaits++
    if (this.#isCalm) return false
    return this.#awaits === this.#plan.crashAt || this.#awaits === this.#crashAt
  }

  /** Runs everything that can run without time passing. */
  async #rest(): Promise<void> {
    for (let before = -1; before !== this.#awaits; ) {
      before = this.#awaits
      for (let i = 0; i < 4; i++) await settle()
    }
  }

  #note(what: string): void {
    this.#trace.push(`${this.#step} ${what}`)
  }

  #chance(probability: number): boolean {
    return this.#dice.fraction() < probability
  }

  /** A number from 1 to `most`. */
  #upTo(most: number): number {
    return 1 + Math.floor(this.#dice.fraction() * most)
  }
}

function worthOf({ ticketParams, tickets }: Payment): Rational {
  return expectedValue(ticketParams!.faceValue, ticketParams!.winProb).mul(
    Rational.of(BigInt(tickets.length)),
  )
}

/** The winning tickets of a payment, computed independently of the orchestrators. */
async function winnersOf(payment: Payment, store: Store): Promise<WinningTicket[]> {
  const [secret] = await store.secrets('ticket')
  const recipientRand = recipientRandOf(secret!, payment, pricePerPixel(payment.expectedPrice!))!
  return ticketsOf(payment)
    .filter((ticket) => isWinning(ticket.sig, recipientRand, ticket.winProb))
    .map((ticket) => ({ ...ticket, recipientRand }))
}
