import { LeaderRecords } from '../../src/io/store/leader-records.ts'
import { SharedAccounts } from '../../src/io/store/shared-accounts.ts'
import type { Store } from '../../src/io/store/store.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Rational } from '../../src/lib/rational.ts'
import { Leadership } from '../../src/services/cluster/leadership.ts'
import { PriceBook } from '../../src/services/orchestrator/price-book.ts'
import { SecretRing } from '../../src/services/orchestrator/secret-ring.ts'
import { TicketRecipient } from '../../src/services/orchestrator/ticket-recipient.ts'
import { Activity } from '../../src/services/protocol/activity.ts'
import { RewardService } from '../../src/services/protocol/reward-service.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import { LedRedeemer } from '../../src/services/redemption/led-redeemer.ts'
import { OpenTickets } from '../../src/services/redemption/open-tickets.ts'
import { Redeemer } from '../../src/services/redemption/redeemer.ts'
import { eventsTo } from '../fakes/events.ts'
import { quickDice } from '../fakes/quick-dice.ts'
import { type RewardDisk, RewardProcess } from '../fakes/reward-chain.ts'
import { FACE_VALUE, OPERATOR } from './cluster-nodes.ts'
import { explain, isAwayFault, type MemoryDisk, type StoreProcess, type StoreWorld } from './store-process.ts'
import { LedNonces, ledRecords, type Term } from './store-terms.ts'

const GWEI = 10n ** 9n
const REDEEM_GAS = 350_000n
const TICKETS_PER_WINNER = 5n
/** Wei that a ticket is worth on average. */
export const TICKET_EV = FACE_VALUE / TICKETS_PER_WINNER
/** What each node goes on with while it does not reach the store. */
export const GRACE = { graceMs: 20_000, valueWei: 10n * TICKET_EV }
/** The secret that all nodes have from the store. */
export const TICKET_SECRET = new Uint8Array(32).fill(5)

/** An orchestrator of the cluster. */
export interface StoreOrchestrator {
  readonly recipient: TicketRecipient
  readonly accounts: SharedAccounts
}

/** Starts an orchestrator; resolves once it takes payments. Rejects when the store does not answer. */
export async function startOrchestrator(
  process: StoreProcess,
  world: StoreWorld,
  disk: MemoryDisk,
): Promise<StoreOrchestrator> {
  const { clock, gate, link, name, timers } = process
  const { model } = world
  const ask = <T>(work: () => T, limitMs?: number) => gate.pass(() => link.ask(work, limitMs))
  const accounts = new SharedAccounts(
    {
      ...{ schema: 's', writer: `${name}/${process.life}`, node: name, takenBy: name, explain },
      call: (_, values, limitMs) => ask(() => model.call(values), limitMs),
      bookingAt: () => ({ day: 0, round: null }),
      isServersFault: isAwayFault,
      onFault: () => {},
      grace: {
        ...{ cluster: 'simulated', limits: GRACE, journal: gate.wrap(disk.open()), log: silentLog },
        monotonic: () => world.clock.now(),
        onAway: (why) => world.told(process, why === null ? 'back' : 'away'),
        onRefused: async (text, error) => void world.violations.push(`refused ${String(error)}: ${text}`),
        onShownTwice: (sender) => world.told(process, `shown twice ${sender.slice(0, 6)}`),
      },
    },
    { timers },
  )
  await ask(() => {})
  await accounts.recover(disk.content)
  const chain = gate.wrap(process.line)
  const env = { chain, watch: chain, clock, log: silentLog, events: eventsTo() }
  const rounds = new Rounds(env)
  const senders = new Senders({ claimant: OPERATOR }, { ...env, rounds })
  const activity = new Activity({ recipient: OPERATOR }, { ...env, rounds })
  const secret = new SecretRing('ticket', {
    ...env,
    secrets: {
      secrets: () => ask(() => [TICKET_SECRET]),
      rotateSecret: async () => {},
      retireSecrets: async () => {},
    },
  })
  const recipient = new TicketRecipient(
    {
      ...{ recipient: OPERATOR, ticketEv: TICKET_EV, redeemGas: REDEEM_GAS, maxFaceValue: FACE_VALUE },
      ...{ autoAdjustPrice: false, process: `${name}/${process.life}` },
    },
    {
      ...{ secret, senders, rounds, activity, gas: chain, clock, log: silentLog },
      nonces: {
        noncesOf: async (hash) =>
          accounts.isAway
            ? { used: accounts.noncesAway(`0x${Buffer.from(hash).toString('hex')}`), revealed: false }
            : ask(() => model.noncesOf(hash)),
        reveal: async () => {},
        forgetNonces: async () => {},
      },
      balances: {
        balance: async () => Rational.zero,
        debit: async () => Rational.zero,
        carryOver: async () => Rational.zero,
        owed: () => ask(() => Rational.zero),
        forgetSessions: async () => {},
      },
      prices: {
        price: (sender, session) => ask(() => model.price(sender, session)),
        fixPrice: async (_sender, _session, price) => price,
      },
      records: {
        beginSegment: (start) => accounts.begin(start),
        endSegment: async (end) => void (await accounts.end(end)),
        addTickets: async (tickets, nowMs) => {
          if (tickets.length === 0) return []
          if (accounts.isAway) return accounts.keep(tickets, nowMs)
          try {
            return await ask(() => model.addTickets(tickets, nowMs))
          } catch (error) {
            if (!isAwayFault(error)) throw error
            return accounts.keep(tickets, nowMs)
          }
        },
      },
      winners: { adopt: () => {} },
      priceBook: new PriceBook(() => Rational.of(GWEI)),
      dice: seededDice(`seeds of ${name} ${process.life} ${world.seed}`),
      events: eventsTo(),
    },
  )
  await process.run([rounds, senders, activity, secret, recipient])
  return { recipient, accounts }
}

/** Starts a redeemer; one of them at a time leads. Rejects when the store does not answer. */
export async function startRedeemer(process: StoreProcess, world: StoreWorld): Promise<void> {
  const { clock, gate, name } = process
  const { model } = world
  const chain = gate.wrap(process.line)
  const events = eventsTo()
  const env = { chain, watch: chain, clock, log: silentLog, events }
  const rounds = new Rounds(env)
  const senders = new Senders({ claimant: OPERATOR }, { ...env, rounds })
  const records = ledRecords(process, model)
  const openTickets = new OpenTickets({ ...env, tickets: records, senders, rounds })
  const leads = leadershipOf('redeem', process, world)
  const ofTerm = (epoch: bigint) => {
    const term: Term = { process, world, fence: { lease: 'redeem', epoch, instance: instanceOf(process) } }
    const tickets = new LeaderRecords({
      ...{ store: records as unknown as Store, fence: term.fence },
      lost: (of) => leads.lost(of),
    })
    const nonces = new LedNonces(term)
    const counted = { currentFunds: (sender: Address) => senders.currentFunds(sender), addPending: () => {} }
    const redeeming = new Proxy(chain, {
      get: (target, key) => {
        if (key !== 'redeem') return Reflect.get(target, key, target)
        return async (...args: Parameters<typeof chain.redeem>) => {
          await nonces.spendOn(args[0])
          return chain.redeem(...args)
        }
      },
    })
    return new Redeemer({
      ...{ ...env, tickets, nonces: tickets, chain: redeeming, rounds, senders: counted, gas: chain },
    })
  }
  const redeemer = new LedRedeemer({ ...env, leads, ofTerm, openTickets, tickets: records })
  world.note(`${name} starts`)
  await process.run([rounds, senders, openTickets, leads, redeemer])
}

/** Starts a reward service; one of them at a time leads. */
export async function startReward(process: StoreProcess, world: StoreWorld): Promise<void> {
  const { clock, gate, link, name } = process
  const { model } = world
  const chain = gate.wrap(process.line)
  const env = { watch: chain, clock, log: silentLog, events: eventsTo() }
  const rounds = new Rounds({ ...env, chain })
  const leads = leadershipOf('reward', process, world)
  let epoch = 0n
  const checkFence = () => model.checkFence({ lease: 'reward', epoch, instance: instanceOf(process) })
  const disk: Pick<RewardDisk, 'open'> = {
    get open() {
      return world.rewardDisk.open
    },
    set open(open) {
      checkFence()
      world.rewardDisk.open = open
    },
  }
  const rewards = new RewardProcess(world.rewards, {
    ...{ account: OPERATOR, disk: disk as RewardDisk, clock },
    dice: quickDice(`rewards of ${name} ${process.life} ${world.seed}`),
  })
  process.onDeath(() => {
    rewards.isDead = true
  })
  const fenced = Object.assign(Object.create(rewards) as RewardProcess, {
    rewardView: (of: Address) => rewards.rewardView(of),
    balance: () => rewards.balance(),
    rewardInFlight: () => rewards.rewardInFlight(),
    callReward: async (...args: Parameters<RewardProcess['callReward']>) => {
      epoch = leads.epoch ?? 0n
      await gate.pass(() => link.ask(checkFence))
      return rewards.callReward(...args)
    },
  })
  const reward = new RewardService(
    { mode: 'automatic', account: OPERATOR, orchestrator: OPERATOR, alone: true },
    { ...env, chain: fenced, rounds, gas: chain, leads },
  )
  world.note(`${name} starts`)
  await process.run([rounds, leads, reward])
}

/** One run of a process, as leases know it. */
const instanceOf = ({ life, name }: StoreProcess) => `${name}/${life}`

function leadershipOf(lease: string, process: StoreProcess, world: StoreWorld): Leadership {
  const { clock, gate, link, name } = process
  const { model } = world
  return new Leadership(
    { lease, instance: instanceOf(process), node: name, rank: () => 1 },
    {
      ...{ clock, log: silentLog, session: { isHeld: false }, monotonic: () => world.clock.now() },
      leases: {
        take: (wish, ms) => gate.pass(() => link.ask(() => model.take(wish, ms))),
        release: (of, by) => gate.pass(() => link.ask(() => model.release(of, by))),
      },
    },
  )
}
