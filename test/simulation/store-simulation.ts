import { pricePerPixel } from '../../src/domain/price.ts'
import { expectedValue, isWinning, type Payment, ticketHash } from '../../src/domain/ticket.ts'
import { recipientRandOf } from '../../src/domain/ticket-params.ts'
import { ticketsOf } from '../../src/domain/ticket-rules.ts'
import { formatHex, type Hex } from '../../src/lib/bytes.ts'
import { ManualClock, settle } from '../../src/lib/clock.ts'
import { keccak256 } from '../../src/lib/crypto.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { messageOf, NodeError } from '../../src/lib/errors.ts'
import { Rational } from '../../src/lib/rational.ts'
import { FakeChain } from '../fakes/chain.ts'
import { FakePayer, type Offer } from '../fakes/payer.ts'
import { quickDice } from '../fakes/quick-dice.ts'
import { FakeRewardChain, RewardDisk } from '../fakes/reward-chain.ts'
import { moodOf } from './cluster-faults.ts'
import { OPERATOR } from './cluster-nodes.ts'
import { StoreModel } from './store-model.ts'
import {
  type StoreOrchestrator,
  startOrchestrator,
  startRedeemer,
  startReward,
  TICKET_SECRET,
} from './store-nodes.ts'
import { isAwayFault, MemoryDisk, StoreProcess, type StoreWorld } from './store-process.ts'

/** Blocks of a round, of which the last ones are without new faults. */
export const ROUND = 60
const CALM_FROM = 40
/** Tickets made later could not be redeemed in the next calm time. */
const PAID_UNTIL = 45
const BLOCK_MS = 1_000
const MAX_SKEW_MS = 5_000
const GATEWAY_PATIENCE_MS = 8_000
const TRIES = 3
/** A process that is to die does so within this many requests and answers. */
const AWAITS_TO_DEATH = 40
/** Chance per block, and most blocks. */
const FAULTS = {
  cut: { chance: 0.03, blocks: 30 },
  outage: { chance: 0.01, blocks: 25 },
  pause: { chance: 0.02, blocks: 15 },
  death: { chance: 0.02, blocks: 20 },
} as const
/** Chance that a leader is paused right before it stores a transaction, for longer than its lease. */
const PAUSED_WRITES = 0.2
const LEASE_BLOCKS = 7
const SEGMENTS_PER_BLOCK = 0.3
const GWEI = 10n ** 9n

/** A place for a process, which starts and dies. */
interface Place {
  readonly name: string
  readonly disk: MemoryDisk
  readonly skewMs: number
  process: StoreProcess | null
  orchestrator: StoreOrchestrator | null
  lives: number
  /** By fault: the block at which it ends. */
  readonly until: Map<'dead' | 'cut' | 'paused', number>
}

/** A payment that a gateway made. */
interface Shown {
  readonly payment: Payment
  /** Hashes of its tickets that win. */
  readonly winners: readonly Hex[]
}

interface Session {
  readonly id: string
  offer: Offer | null
  isBusy: boolean
}

interface Payer {
  readonly name: string
  readonly isHostile: boolean
  readonly fake: FakePayer
  readonly sessions: readonly Session[]
}

/** What became of a history. */
export interface StoreReport {
  readonly trace: readonly string[]
  readonly violations: readonly string[]
  readonly model: StoreModel
  readonly chain: FakeChain
  readonly rewards: FakeRewardChain
  /** Nonces of payments that gateways know to be taken, and hashes of their winners. */
  readonly acknowledged: {
    readonly nonces: readonly [rand: Hex, nonce: number][]
    readonly winners: ReadonlySet<Hex>
  }
  /** By sender: wei of charges that nodes know to be taken, and of those that may have been. */
  readonly charged: ReadonlyMap<string, { readonly known: Rational; readonly unknown: Rational }>
  readonly hostile: string
  /** Wei that each ticket is worth on average. */
  readonly worth: Rational
  readonly counts: Readonly<Record<string, number>>
}

/**
 * Three orchestrators, two redeemers and two reward services on one store, each with a clock up to 5 s wrong: they are cut
 * off from the store alone or together, paused for longer than their leases, and die, by dice. Gateways send each segment of
 * a session to any orchestrator, and one shows its tickets to all of them while some do not reach the store.
 */
export class StoreSimulation {
  readonly #rounds: number
  readonly #dice: Dice
  readonly #world: StoreWorld
  readonly #trace: string[] = []
  readonly #places: readonly Place[]
  readonly #payers: readonly Payer[]
  readonly #nonces: [Hex, number][] = []
  readonly #winners = new Set<Hex>()
  readonly #charged = new Map<string, { known: Rational; unknown: Rational }>()
  readonly #counts: Record<string, number> = {}
  #segments = 0
  #worth = Rational.zero

  constructor({ rounds, seed }: { rounds: number; seed: string }) {
    this.#rounds = rounds
    this.#dice = quickDice(seed)
    const clock = new ManualClock()
    const violations: string[] = []
    this.#world = {
      ...{ seed, clock, violations, rewardDisk: new RewardDisk() },
      chain: new FakeChain({ roundLength: BigInt(ROUND) }),
      rewards: new FakeRewardChain(OPERATOR, { roundLength: ROUND }),
      model: new StoreModel(clock),
      note: (what) => this.#note(what),
      mayPause: (process) => this.#mayPause(process),
      told: ({ name }, what) => {
        this.#count(what.replace(/ 0x.*/, ''))
        this.#note(`${name} ${what}`)
      },
    }
    this.#places = ['o1', 'o2', 'o3', 'r1', 'r2', 'w1', 'w2'].map((name) => ({
      ...{ name, disk: new MemoryDisk(), process: null, orchestrator: null, lives: 0, until: new Map() },
      skewMs: Math.round((2 * this.#dice.fraction() - 1) * MAX_SKEW_MS),
    }))
    this.#payers = ['alice', 'bob', 'eve'].map((name) => ({
      ...{ name, isHostile: name === 'eve', fake: new FakePayer(name, { quick: true }) },
      sessions: [1, 2].map((i) => ({ id: `${name} ${i}`, offer: null, isBusy: false })),
    }))
  }

  async run(): Promise<StoreReport> {
    const { chain, model, rewards, violations } = this.#world
    rewards.balances.set(OPERATOR, 10n ** 26n)
    for (const { fake } of this.#payers) chain.fund(fake.address, 10n ** 26n, 10n ** 26n)
    const end = this.#rounds * ROUND
    while (this.#block < end) await this.#step(true)
    while (this.#block < end + 2 * ROUND) await this.#step(false)
    for (const { process } of this.#places) process?.gate.kill()
    this.#counts.fenced = model.fenced
    this.#counts.terms = Number(model.termsOf('redeem') + model.termsOf('reward'))
    return {
      ...{ trace: this.#trace, model, chain, rewards, charged: this.#charged, counts: this.#counts },
      violations: [...violations, ...model.violations],
      worth: this.#worth,
      acknowledged: { nonces: this.#nonces, winners: this.#winners },
      hostile: this.#payers.find(({ isHostile }) => isHostile)!.fake.address,
    }
  }

  get #block(): number {
    return Number(this.#world.chain.head.number)
  }

  async #step(isLive: boolean): Promise<void> {
    const { chain, clock, rewards } = this.#world
    const inRound = this.#block % ROUND
    if (isLive && inRound < CALM_FROM) this.#fail()
    this.#apply(!isLive || inRound >= CALM_FROM)
    if (isLive && inRound < PAID_UNTIL && this.#chance(SEGMENTS_PER_BLOCK)) this.#sendSegment()
    for (let i = 0; i < 3; i++) await settle()
    rewards.mine()
    chain.mine()
    await clock.wind(BLOCK_MS)
  }

  /** Begins faults that end by themselves. */
  #fail(): void {
    const hits = ({ chance }: { chance: number }) => this.#chance(chance)
    const begin = (place: Place, what: 'dead' | 'cut' | 'paused', blocks: number) => {
      const until = this.#block + this.#upTo(blocks)
      place.until.set(what, Math.max(until, place.until.get(what) ?? 0))
    }
    if (hits(FAULTS.outage)) {
      this.#note('the store is away')
      this.#count('outages')
      for (const place of this.#places) begin(place, 'cut', FAULTS.outage.blocks)
    }
    for (const place of this.#places) {
      if (hits(FAULTS.cut)) begin(place, 'cut', FAULTS.cut.blocks)
      if (hits(FAULTS.pause) && place.process?.isReady) begin(place, 'paused', FAULTS.pause.blocks)
      if (hits(FAULTS.death) && place.process) {
        begin(place, 'dead', FAULTS.death.blocks)
        place.process.dieAfter(this.#upTo(AWAITS_TO_DEATH))
      }
    }
  }

  /** Pauses a leader for longer than its lease in the middle of its work. */
  #mayPause(process: StoreProcess): void {
    if (this.#block % ROUND >= CALM_FROM || !this.#chance(PAUSED_WRITES)) return
    const place = this.#places.find((each) => each.process === process)
    if (!place || process.isPaused) return
    place.until.set('paused', this.#block + LEASE_BLOCKS + this.#upTo(LEASE_BLOCKS))
    this.#count('pauses')
    this.#note(`${place.name} paused before a write`)
    process.pause()
  }

  /** Lets faults begin and end; in calm times none lasts. */
  #apply(isCalm: boolean): void {
    for (const place of this.#places) {
      for (const [what, until] of place.until) {
        if (isCalm || until <= this.#block) place.until.delete(what)
      }
      if (isCalm) place.process?.dieAfter(Number.MAX_SAFE_INTEGER - 1e9)
      if (!place.process && !place.until.has('dead')) this.#start(place)
      const { process } = place
      if (!process) continue
      process.link.isFlawless = isCalm
      const isCut = place.until.has('cut')
      if (!isCut) process.link.mood = 'well'
      else if (process.link.mood === 'well') {
        process.link.mood = moodOf(this.#dice)
        this.#count('cuts')
        this.#note(`${place.name} ${process.link.mood}`)
      }
      if (place.until.has('paused') && !process.isPaused) {
        this.#count('pauses')
        this.#note(`${place.name} paused`)
        process.pause()
      } else if (!place.until.has('paused') && process.isPaused) {
        this.#note(`${place.name} goes on`)
        process.resume()
      }
    }
  }

  #start(place: Place): void {
    const life = ++place.lives
    const process: StoreProcess = new StoreProcess(
      {
        ...{ name: place.name, life, skewMs: place.skewMs },
        onDeath: () => {
          this.#count('deaths')
          this.#note(`${place.name} dies`)
          if (place.process === process) Object.assign(place, { process: null, orchestrator: null })
        },
      },
      this.#world,
    )
    place.process = process
    const started = async () => {
      if (place.name.startsWith('o')) {
        const orchestrator = await startOrchestrator(process, this.#world, place.disk)
        if (process.isReady) place.orchestrator = orchestrator
      } else if (place.name.startsWith('r')) await startRedeemer(process, this.#world)
      else await startReward(process, this.#world)
    }
    started().catch((error) => {
      // As a node that does not reach its store: it is started again.
      if (!place.until.has('dead')) place.until.set('dead', this.#block + 2)
      process.exit(error)
    })
  }

  #sendSegment(): void {
    const payer = this.#pick(this.#payers)
    const session = this.#pick(payer.sessions)
    const order = [...this.#places.slice(0, 3)].sort(() => this.#dice.fraction() - 0.5)
    const facts = {
      tickets: this.#upTo(4),
      pixels: BigInt(this.#upTo(12_000_000)),
      isFailed: this.#chance(0.1),
    }
    const workMs = this.#upTo(3_000)
    if (session.isBusy) return
    session.isBusy = true
    void this.#segment(payer, session, order, { ...facts, workMs }).finally(() => {
      session.isBusy = false
    })
  }

  async #segment(
    { fake, isHostile, name }: Payer,
    session: Session,
    order: readonly Place[],
    facts: { tickets: number; pixels: bigint; isFailed: boolean; workMs: number },
  ): Promise<void> {
    const l1Block = this.#world.chain.head.l1Block
    const segment = keccak256(new TextEncoder().encode(`${name} ${++this.#segments}`))
    if (!session.offer || session.offer.ticketParams.expirationBlock <= l1Block + 10n) {
      session.offer = await this.#quote(fake, session.id, order)
      if (!session.offer) return
    }
    const shown = this.#pay(fake, session.offer, facts.tickets)
    const ask = (place: Place, payment: Payment | null) =>
      this.#ask(place, { sender: fake.address, sessionId: session.id, segment, payment }, facts)
    const isAway = order.some(({ orchestrator }) => orchestrator?.accounts.isAway)
    if (isHostile && isAway) {
      this.#count('shown to all')
      const answers = await Promise.all(order.map((place) => ask(place, shown.payment)))
      for (const answer of answers) this.#learn(shown, answer)
      return
    }
    let payment: Payment | null = shown.payment
    for (const place of order.slice(0, TRIES)) {
      const answer = await ask(place, payment)
      this.#learn(shown, answer)
      if (answer === 'taken') return
      if (answer === 'nonce-already-seen') payment = null
      if (answer === 'insufficient-balance') return
      if (answer !== 'no answer' && answer !== 'store-unavailable' && answer !== 'nonce-already-seen') {
        session.offer = null
        return
      }
    }
  }

  async #quote(fake: FakePayer, sessionId: string, order: readonly Place[]): Promise<Offer | null> {
    for (const { orchestrator, process } of order) {
      if (!orchestrator || !process) continue
      const offer = process.gate.pass(() => orchestrator.recipient.quote(fake.address, sessionId))
      const heard = await this.#heard(process, offer).catch(() => null)
      if (heard) return heard
    }
    return null
  }

  #pay(fake: FakePayer, offer: Offer, count: number): Shown {
    const payment = fake.pay(offer, count)
    this.#worth = expectedValue(offer.ticketParams.faceValue, offer.ticketParams.winProb)
    const rand = recipientRandOf(TICKET_SECRET, payment, pricePerPixel(payment.expectedPrice!))!
    const winners = ticketsOf(payment).filter(({ sig, winProb }) => isWinning(sig, rand, winProb))
    this.#count('tickets', count)
    return { payment, winners: winners.map((ticket) => formatHex(ticketHash(ticket))) }
  }

  /** Sends a segment to a node, and gives what its gateway hears of the payment. */
  async #ask(
    { name, orchestrator, process }: Place,
    order: { sender: FakePayer['address']; sessionId: string; segment: Uint8Array; payment: Payment | null },
    { isFailed, pixels, workMs }: { pixels: bigint; isFailed: boolean; workMs: number },
  ): Promise<string> {
    if (!orchestrator || !process) return 'no answer'
    const work = async () => {
      const reservation = await orchestrator.recipient.admit({
        ...{ ...order, pixels, manifestId: 'm', lifeMs: 88_000 },
      })
      this.#note(`${name} takes ${order.sessionId}`)
      void this.#work(process, reservation, { sender: order.sender, isFailed, pixels, workMs })
    }
    try {
      await this.#heard(
        process,
        process.gate.pass(() => work()),
      )
      this.#count('segments')
      return 'taken'
    } catch (error) {
      const code =
        error instanceof NodeError ? error.code : isAwayFault(error) ? 'store-unavailable' : 'no answer'
      if (code === 'no answer' && !(error instanceof Unheard)) {
        this.#world.violations.push(`${name}: ${messageOf(error)}`)
      }
      this.#count(code)
      this.#note(`${name} does not take ${order.sessionId}: ${code}`)
      const isKept =
        code === 'store-unavailable' && /until it is back|-storeGrace allows/.test(messageOf(error))
      return isKept ? 'refused while away' : code
    }
  }

  async #work(
    process: StoreProcess,
    reservation: { charge(pixels: bigint): Promise<void>; release(): void },
    {
      isFailed,
      pixels,
      sender,
      workMs,
    }: { sender: string; isFailed: boolean; pixels: bigint; workMs: number },
  ): Promise<void> {
    await process.clock.sleep(workMs)
    if (isFailed) return reservation.release()
    const fee = Rational.of(pixels * GWEI)
    const sums = this.#charged.get(sender) ?? { known: Rational.zero, unknown: Rational.zero }
    this.#charged.set(sender, sums)
    sums.unknown = sums.unknown.add(fee)
    try {
      await reservation.charge(pixels)
      sums.unknown = sums.unknown.sub(fee)
      sums.known = sums.known.add(fee)
    } catch (error) {
      this.#note(`${process.name} could not charge: ${messageOf(error)}`)
    }
  }

  #learn({ payment, winners }: Shown, answer: string): void {
    const isTaken = ['taken', 'nonce-already-seen', 'insufficient-balance'].includes(answer)
    if (isTaken || answer === 'refused while away') for (const hash of winners) this.#winners.add(hash)
    if (!isTaken) return
    const rand = formatHex(payment.ticketParams!.recipientRandHash)
    for (const { senderNonce } of payment.tickets) this.#nonces.push([rand, senderNonce])
  }

  /** Its answer, unless it dies or takes too long. */
  async #heard<T>(process: StoreProcess, answer: Promise<T>): Promise<T> {
    const over = new AbortController()
    const late = this.#world.clock.sleep(GATEWAY_PATIENCE_MS, over.signal).then(() => {
      throw new Unheard('no answer in time')
    })
    late.catch(() => {})
    answer.catch(() => {})
    const died = process.died.catch(() => {
      throw new Unheard('connection lost')
    })
    died.catch(() => {})
    try {
      return await Promise.race([answer, late, died])
    } finally {
      over.abort(null)
    }
  }

  #note(what: string): void {
    this.#trace.push(`${this.#block} ${what}`)
  }

  #count(what: string, by = 1): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + by
  }

  #chance(probability: number): boolean {
    return this.#dice.fraction() < probability
  }

  /** A number from 1 to `most`. */
  #upTo(most: number): number {
    return 1 + Math.floor(this.#dice.fraction() * most)
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#upTo(of.length) - 1]!
  }
}

/** A gateway's request without an answer. */
class Unheard extends Error {}
