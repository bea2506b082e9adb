import { DatabaseSync } from 'node:sqlite'
import { pricePerPixel } from '../../src/domain/price.ts'
import { isWinning, type Payment, ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { recipientRandOf } from '../../src/domain/ticket-params.ts'
import { ticketsOf } from '../../src/domain/ticket-rules.ts'
import { formatHex, type Hex } from '../../src/lib/bytes.ts'
import { ManualClock, settle } from '../../src/lib/clock.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { silentLog } from '../../src/lib/log.ts'
import { FakeChain } from '../fakes/chain.ts'
import { FakePayer, type Offer } from '../fakes/payer.ts'
import { quickDice } from '../fakes/quick-dice.ts'
import { FakeRewardChain, RewardDisk } from '../fakes/reward-chain.ts'
import { Calendar, Faults, faultOf, moodOf, ROUND, SHORT } from './cluster-faults.ts'
import { ClusterLink } from './cluster-link.ts'
import {
  ClusterNode,
  type Counts,
  FACE_VALUE,
  type Machine,
  OPERATOR,
  type OrchestratorNode,
  type RedeemerNode,
  startOrchestrator,
  startRedeemer,
  type World,
} from './cluster-nodes.ts'

const BLOCK_MS = 5_000
const GWEI = 10n ** 9n
const DEAR = 200n * GWEI
/** A process that is to die does so within this many requests and answers. */
const AWAITS_TO_DEATH = 60
const LOST_MESSAGES = 0.03
const PAYMENTS_PER_BLOCK = 0.1

/** Parameters of a run. */
export interface Plan {
  readonly seed: string
  /** The folder of all processes' files. */
  readonly folder: string
  readonly rounds: number
  readonly ticketsPerPayment: number
  /** Nothing fails, and all payers have funds. */
  readonly isHealthy?: boolean
  /** How many there are, instead of three and two. */
  readonly orchestrators?: number
  readonly redeemers?: number
  /** Blocks of a round, the seconds between two, and after how many blocks a round is initialised. */
  readonly roundBlocks?: number
  readonly blockMs?: number
  readonly initialisedAfter?: number
  readonly clock?: ManualClock
  /** The log of each process; silent where absent. */
  readonly log?: World['log']
  readonly hear?: World['hear']
  /** Called before each block with the running processes. */
  look?(running: {
    readonly orchestrators: readonly OrchestratorNode[]
    readonly redeemers: readonly RedeemerNode[]
  }): void
}

/** A ticket in one process's store. */
export interface KeptTicket {
  readonly hash: Hex
  readonly state: string
  readonly reason: string
  readonly paid: bigint | null
  /** Whether it paid for the redemption's gas. */
  readonly isOwn: boolean
}

/** The final state of one process. */
export interface NodeReport {
  readonly name: string
  readonly isRedeemer: boolean
  readonly tickets: readonly KeptTicket[]
  /** Wei that it believes senders still owe. */
  readonly pending: bigint
  readonly counts: ReadonlyMap<string, number>
}

/** The result of a run. */
export interface Report {
  readonly trace: readonly string[]
  readonly tickets: number
  /** Winning tickets of payments acknowledged by an orchestrator. */
  readonly acknowledged: ReadonlyMap<Hex, WinningTicket>
  readonly acknowledgedTickets: number
  readonly nodes: readonly NodeReport[]
  readonly chain: FakeChain
  readonly rewards: FakeRewardChain
  readonly deaths: number
  readonly reorganisations: number
  readonly longOutages: number
}

/** A payer's state with one orchestrator. */
interface Dealing {
  session: number
  offer: Offer | null
  unanswered: { readonly payment: Payment; readonly winners: readonly WinningTicket[] } | null
  isBusy: boolean
}

interface Payer {
  readonly name: string
  readonly fake: FakePayer
  /** The level to which it refills its deposit and reserve, in wei. */
  readonly deposit: bigint
  readonly reserve: bigint
  readonly dealings: readonly Dealing[]
}

/** A place for a process, which starts and dies. */
interface Slot<Node extends ClusterNode> {
  readonly name: string
  readonly location: string
  readonly counts: Counts
  readonly disk: RewardDisk
  node: Node | null
  /** Resolves once the last process's file is closed. */
  closing: Promise<void>
  lives: number
}

/**
 * An operator's cluster: three orchestrators that hand their winning tickets to two redeemers, each a process with a
 * store of its own; gateways that pay them; and everything between them failing now and then, by dice.
 *
 * Left out, since 100,000 tickets are to take seconds: segments and the debits for them (`simulation.ts` has those), the
 * wire between orchestrator and redeemer, and the account's nonces. Payers sign with `quickSigner`.
 */
export class ClusterSimulation {
  readonly #plan: Plan
  readonly #round: number
  readonly #dice: Dice
  readonly #world: World
  readonly #trace: string[] = []
  readonly #faults = new Faults((what) => this.#note(what))
  readonly #calendar: Calendar
  readonly #orchestrators: readonly Slot<OrchestratorNode>[]
  readonly #redeemers: readonly Slot<RedeemerNode>[]
  /** By orchestrator and redeemer, for the running processes. */
  readonly #links: ClusterLink[][] = [[], [], []]
  readonly #payers: readonly Payer[]
  readonly #acknowledged = new Map<Hex, WinningTicket>()
  /** Winning tickets handed to an orchestrator, by sender, until they are redeemed. */
  readonly #owed = new Map<Hex, WinningTicket>()
  #tickets = 0
  #acknowledgedTickets = 0
  #deaths = 0
  #reorganisations = 0

  constructor(plan: Plan) {
    this.#plan = plan
    this.#round = plan.roundBlocks ?? ROUND
    this.#dice = quickDice(plan.seed)
    this.#world = {
      seed: plan.seed,
      clock: plan.clock ?? new ManualClock(),
      chain: new FakeChain({
        roundLength: BigInt(this.#round),
        initialisedAfter: BigInt(plan.initialisedAfter ?? 0),
      }),
      rewards: new FakeRewardChain(OPERATOR, { roundLength: this.#round }),
      log: plan.log ?? (() => silentLog),
      hear: plan.hear ?? (() => {}),
      note: (what) => this.#note(what),
    }
    const slot = (name: string) => ({
      ...{ name, location: `${plan.folder}/${name}.sqlite3`, node: null, lives: 0 },
      ...{ counts: new Map(), disk: new RewardDisk(), closing: Promise.resolve() },
    })
    this.#orchestrators = ['o1', 'o2', 'o3'].slice(0, plan.orchestrators).map(slot)
    this.#redeemers = ['r1', 'r2'].slice(0, plan.redeemers).map(slot)
    const names = (slots: readonly { name: string }[]) => slots.map(({ name }) => name)
    this.#calendar = new Calendar(quickDice(`calendar of ${plan.seed}`), {
      rounds: plan.rounds,
      orchestrators: names(this.#orchestrators),
      redeemers: names(this.#redeemers),
    })
    this.#payers = [
      { name: 'rich', deposit: 10n ** 24n, reserve: 10n ** 24n },
      { name: 'thrifty', deposit: 20n * FACE_VALUE, reserve: 20n * FACE_VALUE },
      { name: 'poor', deposit: 2n * FACE_VALUE, reserve: 2n * FACE_VALUE },
    ].map((payer) => ({
      ...payer,
      ...(plan.isHealthy && { deposit: 10n ** 24n, reserve: 10n ** 24n }),
      fake: new FakePayer(payer.name, { quick: true }),
      dealings: this.#orchestrators.map(() => {
        return { session: 0, offer: null, unanswered: null, isBusy: false }
      }),
    }))
  }

  async run(): Promise<Report> {
    const { chain, rewards } = this.#world
    rewards.balances.set(OPERATOR, 10n ** 24n)
    rewards.initializedAfter = this.#plan.initialisedAfter ?? 0
    for (const { deposit, fake, reserve } of this.#payers) chain.fund(fake.address, deposit, reserve)
    const end = this.#plan.rounds * this.#round
    while (this.#block < end) await (this.#plan.isHealthy ? this.#step(() => this.#mine()) : this.#live())
    this.#note('the end of all faults')
    this.#faults.clear([])
    // Tickets won last can be redeemed until the end of the next round.
    while (this.#block < (this.#plan.rounds + 2) * this.#round + 10) await this.#step(() => this.#mine())
    return this.#report()
  }

  get #block(): number {
    return Number(this.#world.chain.head.number)
  }

  /** One block with its faults and payments. */
  async #live(): Promise<void> {
    const block = this.#block
    const long = this.#calendar.longAt(block)
    const calmFor = this.#calendar.calmFor(block)
    this.#faults.expire(block)
    if (calmFor === 0) this.#faults.clear(long?.what ?? [])
    if (long) for (const what of long.what) this.#faults.inject(what, long.to)
    if (calmFor < 0) this.#fail()
    else if (this.#calendar.mayFlap(block)) this.#kill()
    else for (const slot of this.#slots) slot.node?.dieAfter(null)
    if (calmFor === 0) this.#fillUp()
    await this.#step(() => {
      const { chance } = SHORT.reorganisation
      if (this.#calendar.mayFlap(block) && this.#chance(chance)) this.#reorganise()
      else this.#mine()
    })
  }

  async #step(next: () => void): Promise<void> {
    this.#apply()
    if (this.#block < this.#plan.rounds * this.#round) {
      if (this.#chance(PAYMENTS_PER_BLOCK)) void this.#pay()
    }
    await this.#rest()
    this.#plan.look?.({
      orchestrators: this.#orchestrators.flatMap(({ node }) => (node?.isReady ? [node] : [])),
      redeemers: this.#redeemers.flatMap(({ node }) => (node?.isReady ? [node] : [])),
    })
    next()
    await this.#world.clock.wind(this.#plan.blockMs ?? BLOCK_MS)
  }

  #mine(): void {
    this.#world.rewards.mine()
    this.#world.chain.mine()
  }

  /** Never past the start of the round, which would change its hash and void its tickets. */
  #reorganise(): void {
    const depth = Math.min(this.#upTo(SHORT.reorganisation.blocks), this.#block % this.#round)
    this.#reorganisations++
    this.#note(`reorganisation of ${depth} blocks`)
    this.#world.rewards.reorganise(depth, this.#chance(0.7))
    this.#world.chain.reorganise(depth, () => this.#chance(0.7))
  }

  /** Injects faults that end by themselves. */
  #fail(): void {
    const block = this.#block
    const injects = ({ blocks, chance }: { blocks: number; chance: number }, what: string) => {
      if (this.#chance(chance)) this.#faults.inject(what, block + this.#upTo(blocks))
    }
    this.#links.forEach((links, i) => {
      links.forEach((link, j) => {
        injects(SHORT.cut, faultOf.cut(i, j))
        if (this.#chance(SHORT.brokenStream.chance)) link.reset()
      })
    })
    for (const { name } of this.#slots) injects(SHORT.offline, faultOf.offline(name))
    injects(SHORT.stuck, faultOf.stuck)
    injects(SHORT.dear, faultOf.dear)
    for (const { fake, name } of this.#payers.slice(1)) {
      if (this.#faults.has(faultOf.drained(name)) || !this.#chance(SHORT.drained.chance)) continue
      // All of it: a transaction in flight would take a remainder.
      this.#world.chain.setSender(fake.address, { deposit: 0n, fundsRemaining: 0n })
      this.#faults.inject(faultOf.drained(name), block + SHORT.drained.blocks)
    }
    this.#kill()
  }

  #kill(): void {
    for (const { node } of this.#slots) {
      if (this.#chance(SHORT.death.chance)) node?.dieAfter(this.#upTo(AWAITS_TO_DEATH))
    }
  }

  /** Payers deposit what they owe, and more. */
  #fillUp(): void {
    const { chain } = this.#world
    for (const [hash] of this.#owed)
      if ((chain.redemptions.get(hash)?.length ?? 0) > 0) this.#owed.delete(hash)
    for (const { deposit, fake, reserve } of this.#payers) {
      const owed = [...this.#owed.values()].filter(({ sender }) => sender === fake.address)
      const wanted = deposit + owed.reduce((sum, { faceValue }) => sum + faceValue, 0n)
      const has = chain.fundsOf(fake.address)
      const missing = (of: bigint, there: bigint) => (of > there ? of - there : 0n)
      chain.fund(fake.address, missing(wanted, has.deposit), missing(reserve, has.fundsRemaining))
    }
  }

  /** Applies the current faults to chain, links and processes. */
  #apply(): void {
    const { chain, rewards } = this.#world
    const faults = this.#faults
    rewards.includesNothing = chain.includesNothing = faults.has(faultOf.stuck)
    rewards.gasPrice = chain.gasPrice = faults.has(faultOf.dear) ? DEAR : GWEI
    for (const slot of this.#slots) {
      if (slot.node && faults.has(faultOf.dead(slot.name)) && slot.node.isReady) slot.node.gate.kill()
    }
    this.#orchestrators.forEach((slot, i) => {
      if (!slot.node && !faults.has(faultOf.dead(slot.name))) this.#startOrchestrator(slot, i)
    })
    for (const slot of this.#redeemers) {
      if (!slot.node && !faults.has(faultOf.dead(slot.name))) this.#startRedeemer(slot)
    }
    for (const { name, node } of this.#slots) if (node) node.line.isDown = faults.has(faultOf.offline(name))
    for (const { node } of this.#redeemers) if (node) node.rewards.isCutOff = node.line.isDown
    this.#links.forEach((links, i) => {
      links.forEach((link, j) => {
        const isCut = faults.has(faultOf.cut(i, j))
        if (!isCut) link.mood = 'well'
        else if (link.mood === 'well') link.mood = moodOf(this.#dice)
      })
    })
  }

  get #slots(): readonly Slot<ClusterNode>[] {
    return [...this.#orchestrators, ...this.#redeemers]
  }

  #machine(slot: Slot<ClusterNode>, onDeath: () => void): Machine {
    const { location, name } = slot
    return {
      ...{ name, location, isOffline: this.#faults.has(faultOf.offline(name)) },
      onDeath: () => {
        this.#deaths++
        this.#note(`${name} dies`)
        slot.closing = slot.node!.closed
        slot.node = null
        const isCalm = this.#calendar.calmFor(this.#block) >= 0
        this.#faults.inject(faultOf.dead(name), this.#block + (isCalm ? 1 : this.#upTo(SHORT.death.blocks)))
        onDeath()
      },
    }
  }

  #startOrchestrator(slot: Slot<OrchestratorNode>, index: number): void {
    const { clock, seed } = this.#world
    const life = slot.lives++
    const node = new ClusterNode(
      this.#machine(slot, () => {
        this.#links[index] = []
      }),
      this.#world,
      life,
    )
    const links = this.#redeemers.map((redeemer) => {
      return new ClusterLink(
        { name: redeemer.name, faultChance: this.#plan.isHealthy ? 0 : LOST_MESSAGES },
        {
          ...{ clock, gate: node.gate, dice: quickDice(`${slot.name}-${redeemer.name} ${life} ${seed}`) },
          redeemer: () => (redeemer.node?.isReady ? redeemer.node : null),
        },
      )
    })
    this.#links[index] = links
    slot.node = startOrchestrator(node, this.#world, {
      life,
      links,
      counts: slot.counts,
      after: slot.closing,
    })
  }

  #startRedeemer(slot: Slot<RedeemerNode>): void {
    const life = slot.lives++
    const index = this.#redeemers.indexOf(slot)
    const node: ClusterNode = new ClusterNode(
      this.#machine(slot, () => {
        rewards.isDead = true
        for (const links of this.#links) links[index]?.reset()
      }),
      this.#world,
      life,
    )
    slot.node = startRedeemer(node, this.#world, {
      ...{ life, rewardDisk: slot.disk, counts: slot.counts, after: slot.closing },
    })
    const { rewards } = slot.node
  }

  /** One payment to one orchestrator, over a network that loses answers. */
  async #pay(): Promise<void> {
    const payer = this.#pick(this.#payers)
    const index = this.#upTo(this.#orchestrators.length) - 1
    const { node } = this.#orchestrators[index]!
    const dealing = payer.dealings[index]!
    const count = this.#upTo(this.#plan.ticketsPerPayment)
    const lost = this.#plan.isHealthy ? 0 : LOST_MESSAGES
    const [asksAnew, newSession, isLost] = [0.3, 0.02, lost].map((chance) => this.#chance(chance))
    if (!node?.isReady || dealing.isBusy) return
    dealing.isBusy = true
    if (newSession) dealing.session++
    // A payment with expired params is not sent, and none is acknowledged.
    if (dealing.unanswered && isOver(dealing.unanswered.payment, this.#l1Block)) dealing.unanswered = null
    const heard = <T>(answer: Promise<T>): Promise<T> => Promise.race([answer, node.died])
    const session = `${payer.name} ${dealing.session}`
    try {
      if (!dealing.unanswered) {
        if (!dealing.offer || asksAnew || dealing.offer.ticketParams.expirationBlock <= this.#l1Block) {
          dealing.offer = await heard(node.recipient.quote(payer.fake.address, session))
        }
        const payment = payer.fake.pay(dealing.offer, count)
        dealing.unanswered = { payment, winners: winnersOf(payment, node.secret.keys[0]!) }
        this.#tickets += count
        for (const ticket of dealing.unanswered.winners) this.#owed.set(formatHex(ticketHash(ticket)), ticket)
      }
      await heard(node.recipient.receive(dealing.unanswered.payment, session))
      if (isLost) return
      this.#learn(dealing, 'accepted')
      this.#note(`${payer.name} paid ${node.name}`)
    } catch (error) {
      const code = error instanceof NodeError ? error.code : 'no answer'
      this.#note(`${payer.name} did not pay ${node.name}: ${code}`)
      if (code !== 'no answer') this.#learn(dealing, code)
    } finally {
      dealing.isBusy = false
    }
  }

  #learn(dealing: Dealing, code: string): void {
    // Seen before: the first attempt was recorded although its answer was lost.
    if (dealing.unanswered && (code === 'accepted' || code === 'nonce-already-seen')) {
      const { payment, winners } = dealing.unanswered
      this.#acknowledgedTickets += payment.tickets.length
      for (const ticket of winners) this.#acknowledged.set(formatHex(ticketHash(ticket)), ticket)
    }
    if (code !== 'sender-info-unavailable') dealing.unanswered = null
    if (code !== 'accepted') dealing.offer = null
  }

  get #l1Block(): bigint {
    return this.#world.chain.head.l1Block
  }

  async #report(): Promise<Report> {
    const { chain, rewards } = this.#world
    const nodes: NodeReport[] = []
    for (const { counts, location, name, node } of this.#slots as readonly Slot<
      OrchestratorNode | RedeemerNode
    >[]) {
      const pending = this.#payers.reduce((sum, { fake }) => sum + node!.senders.pending(fake.address), 0n)
      node!.gate.kill()
      await node!.closed
      nodes.push({ name, isRedeemer: name.startsWith('r'), pending, counts, tickets: ticketsIn(location) })
    }
    return {
      ...{ trace: this.#trace, tickets: this.#tickets, acknowledged: this.#acknowledged },
      ...{ acknowledgedTickets: this.#acknowledgedTickets, nodes, chain, rewards },
      ...{ deaths: this.#deaths, reorganisations: this.#reorganisations },
      longOutages: this.#calendar.longOutages.length,
    }
  }

  /** Runs everything that can run without time passing. */
  async #rest(): Promise<void> {
    for (let i = 0; i < 4; i++) await settle()
  }

  #note(what: string): void {
    this.#trace.push(`${this.#block} ${what}`)
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

function isOver({ ticketParams }: Payment, l1Block: bigint): boolean {
  return ticketParams!.expirationBlock <= l1Block
}

/** The winning tickets of a payment, computed independently of the orchestrators. */
function winnersOf(payment: Payment, secret: Uint8Array): WinningTicket[] {
  const recipientRand = recipientRandOf(secret, payment, pricePerPixel(payment.expectedPrice!))!
  return ticketsOf(payment)
    .filter((ticket) => isWinning(ticket.sig, recipientRand, ticket.winProb))
    .map((ticket) => ({ ...ticket, recipientRand }))
}

function ticketsIn(location: string): KeptTicket[] {
  const file = new DatabaseSync(location, { readOnly: true })
  const rows = file.prepare('select hash, state, reason, paid, fee from tickets order by hash').all()
  file.close()
  return rows.map((row) => ({
    hash: String(row.hash) as Hex,
    state: String(row.state),
    reason: String(row.reason),
    paid: row.paid === null ? null : BigInt(String(row.paid)),
    isOwn: row.fee !== null,
  }))
}
