import type { NodeEvent } from '../../src/domain/events.ts'
import { Store } from '../../src/io/store/store.ts'
import type { ManualClock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import type { Log } from '../../src/lib/log.ts'
import { Rational } from '../../src/lib/rational.ts'
import { type Service, Supervisor } from '../../src/lib/service.ts'
import { PriceBook } from '../../src/services/orchestrator/price-book.ts'
import { SecretRing } from '../../src/services/orchestrator/secret-ring.ts'
import { TicketRecipient } from '../../src/services/orchestrator/ticket-recipient.ts'
import { Activity } from '../../src/services/protocol/activity.ts'
import { RewardService } from '../../src/services/protocol/reward-service.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import { Redeemer } from '../../src/services/redemption/redeemer.ts'
import { RedeemerDesk } from '../../src/services/redemption/redeemer-desk.ts'
import { RedeemerOutbox } from '../../src/services/redemption/redeemer-outbox.ts'
import { RedeemerPeers } from '../../src/services/redemption/redeemer-peers.ts'
import { RemoteFloat } from '../../src/services/redemption/remote-float.ts'
import type { FakeChain } from '../fakes/chain.ts'
import { eventsTo } from '../fakes/events.ts'
import { quickDice } from '../fakes/quick-dice.ts'
import { type FakeRewardChain, type RewardDisk, RewardProcess } from '../fakes/reward-chain.ts'
import { ChainLine } from './cluster-line.ts'
import type { ClusterLink } from './cluster-link.ts'
import { Gate } from './gate.ts'

/** The recipient of all tickets of the cluster. */
export const OPERATOR: Address = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const GWEI = 10n ** 9n
const REDEEM_GAS = 350_000n
/** Face value of a ticket: a hundred times its gas. */
export const FACE_VALUE = REDEEM_GAS * GWEI * 100n
/** One ticket in this many wins. */
const TICKETS_PER_WINNER = 20n
const MAX_REWARD_GAS_PRICE = 4n * GWEI

/** The environment of the cluster's processes. */
export interface World {
  readonly seed: string
  readonly clock: ManualClock
  readonly chain: FakeChain
  readonly rewards: FakeRewardChain
  note(what: string): void
  /** The log of a process. */
  log(name: string): Log
  /** What happens in a living process. */
  hear(name: string, event: NodeEvent): void
}

/** What every process has: an RPC endpoint, a disk, and a possible crash at any await. */
export interface Machine {
  readonly name: string
  /** Its SQLite file. */
  readonly location: string
  readonly isOffline: boolean
  onDeath(): void
}

/** A running process. */
export class ClusterNode {
  readonly name: string
  readonly line: ChainLine
  readonly store: Store
  readonly gate: Gate
  readonly died: Promise<never>
  /** Resolves once its file is closed after its death. */
  readonly closed: Promise<void>
  isReady = false
  readonly #services = new AbortController()
  readonly #supervisors: Supervisor[] = []
  #awaits = 0
  #diesAt = 0

  constructor(machine: Machine, world: World, life: number) {
    this.name = machine.name
    const died = Promise.withResolvers<never>()
    const closed = Promise.withResolvers<void>()
    this.died = died.promise
    this.closed = closed.promise
    this.died.catch(() => {})
    const dice = (what: string) => seededDice(`${what} of ${machine.name} ${life} ${world.seed}`)
    this.store = new Store({ location: machine.location }, { dice: dice('secrets') })
    const needs = {
      ...world,
      dice: quickDice(`requests of ${machine.name} ${life} ${world.seed}`),
      signal: this.#services.signal,
    }
    this.line = new ChainLine({ account: machine.name, isDown: machine.isOffline }, needs)
    this.gate = new Gate(
      () => ++this.#awaits === this.#diesAt,
      () => {
        this.isReady = false
        machine.onDeath()
        died.reject(new Error('connection lost'))
        this.#services.abort()
        for (const supervisor of this.#supervisors) void supervisor.stop()
        void this.store.close().then(closed.resolve)
      },
    )
  }

  /** Makes it die after this many more requests or answers; null: never. */
  dieAfter(awaits: number | null): void {
    this.#diesAt = awaits === null ? 0 : this.#awaits + awaits
  }

  /** Starts services in order; each is abandoned when the process dies. */
  async run(services: readonly Service[]): Promise<void> {
    for (const service of services) {
      if (this.gate.isDead) return
      const supervisor = new Supervisor()
      this.#supervisors.push(supervisor)
      supervisor.failed.catch((error) => this.#fail(error))
      await supervisor.start(service).catch((error) => this.#fail(error))
    }
    this.isReady = !this.gate.isDead
  }

  #fail(error: unknown): void {
    if (!this.gate.isDead) throw error
  }
}

/** Reports events of a living process by name; a dead one reports nothing. */
function teller<Events extends object>(
  node: ClusterNode,
  world: World,
  seen: (name: string) => void,
): Events {
  return new Proxy({} as Events, {
    get: (_, name: string) => (event: Record<string, unknown>) => {
      if (node.gate.isDead) return
      seen(name)
      world.hear(node.name, event as unknown as NodeEvent)
      const { sender, ...facts } = event
      world.note(`${node.name} ${name} ${String(sender ?? '').slice(0, 6)} ${Object.values(facts).join(' ')}`)
    },
  })
}

/** Number of events by name. */
export type Counts = Map<string, number>

const counter = (counts: Counts) => (name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1)

/** An orchestrator that hands over its winning tickets. */
export interface OrchestratorNode extends ClusterNode {
  readonly outbox: RedeemerOutbox
  readonly rounds: Rounds
  readonly recipient: TicketRecipient
  readonly secret: SecretRing
  readonly senders: Senders
}

/** Starts an orchestrator process. */
export function startOrchestrator(
  node: ClusterNode,
  world: World,
  options: { life: number; links: readonly ClusterLink[]; counts: Counts; after: Promise<void> },
): OrchestratorNode {
  const { clock, seed } = world
  const store = node.gate.wrap(node.store)
  const chain = node.gate.wrap(node.line)
  const log = world.log(node.name)
  const events = teller<never>(node, world, counter(options.counts))
  const env = { chain, watch: chain, clock, log, events }
  const rounds = new Rounds(env)
  const senders = new Senders({ claimant: OPERATOR }, { ...env, rounds })
  const activity = new Activity({ recipient: OPERATOR }, { ...env, rounds })
  const secret = new SecretRing('ticket', { secrets: store, clock, log })
  const redeemers = new RedeemerPeers({ probed: OPERATOR }, { ...env, connections: options.links })
  const outbox = new RedeemerOutbox({ ...env, tickets: store, redeemers, rounds, senders, events })
  const float = new RemoteFloat({ ...env, senders, redeemers })
  const recipient = new TicketRecipient(
    {
      recipient: OPERATOR,
      ticketEv: FACE_VALUE / TICKETS_PER_WINNER,
      redeemGas: REDEEM_GAS,
      maxFaceValue: FACE_VALUE,
      autoAdjustPrice: true,
    },
    {
      ...{ secret, nonces: store, balances: store.sessions, prices: store.sessions, records: store },
      ...{ senders: float, rounds, activity, gas: chain, winners: outbox, clock, log },
      priceBook: new PriceBook(() => Rational.of(GWEI)),
      dice: seededDice(`seeds of ${node.name} ${options.life} ${seed}`),
      events: eventsTo(),
    },
  )
  void begin(node, options.after, [rounds, senders, activity, secret, redeemers, outbox, float, recipient])
  return Object.assign(node, { recipient, secret, senders, outbox, rounds })
}

/** A redeemer that also calls reward. */
export interface RedeemerNode extends ClusterNode {
  readonly reward: RewardService
  readonly rounds: Rounds
  readonly desk: RedeemerDesk
  readonly redeemer: Redeemer
  readonly senders: Senders
  readonly rewards: RewardProcess
}

/** Starts a redeemer process. */
export function startRedeemer(
  node: ClusterNode,
  world: World,
  options: { life: number; rewardDisk: RewardDisk; counts: Counts; after: Promise<void> },
): RedeemerNode {
  const { clock, seed } = world
  const store = node.gate.wrap(node.store)
  const chain = node.gate.wrap(node.line)
  const log = world.log(node.name)
  const events = teller<never>(node, world, counter(options.counts))
  const env = { chain, watch: chain, clock, log, events }
  const rounds = new Rounds(env)
  const senders = new Senders({ claimant: OPERATOR }, { ...env, rounds })
  const records = { tickets: store, nonces: store }
  const redeemer = new Redeemer({ ...env, ...records, rounds, senders, gas: chain, events })
  const desk = new RedeemerDesk(
    { recipient: OPERATOR, redeemGas: REDEEM_GAS },
    { ...env, redeemer, senders, rounds, gas: chain, events },
  )
  const rewards = new RewardProcess(world.rewards, {
    account: OPERATOR,
    disk: options.rewardDisk,
    clock,
    dice: quickDice(`rewards of ${node.name} ${options.life} ${seed}`),
  })
  rewards.maxGasPrice = MAX_REWARD_GAS_PRICE
  const reward = new RewardService(
    { mode: 'automatic', account: OPERATOR, orchestrator: OPERATOR, alone: false },
    { ...env, chain: rewards, rounds, gas: chain, events },
  )
  void begin(node, options.after, [rounds, senders, redeemer, desk, reward])
  return Object.assign(node, { desk, redeemer, senders, rewards, reward, rounds })
}

/** Opens the file once the previous process has closed it. */
async function begin(node: ClusterNode, after: Promise<void>, services: readonly Service[]): Promise<void> {
  await after
  await node.store.open()
  await node.run(services)
}
