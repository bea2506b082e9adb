import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsTo } from '../../../test/fakes/events.ts'
import { FakeLeader } from '../../../test/fakes/leader.ts'
import { FakeRewardChain, RewardDisk, RewardProcess } from '../../../test/fakes/reward-chain.ts'
import { ManualClock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { type LogLevel, openLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import type { Leads } from '../../lib/terms.ts'
import { type RewardOptions, RewardService } from './reward-service.ts'

const ORCHESTRATOR: Address = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const CALLER: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const BLOCK_MS = 12_000
const GWEI = 10n ** 9n
/** What one call costs on the fake chain. */
const COST = 400_000n * GWEI

interface Line {
  readonly level: LogLevel
  readonly msg: string
  readonly [field: string]: unknown
}

const WARNINGS: readonly LogLevel[] = ['warn', 'error']
const ERRORS: readonly LogLevel[] = ['error']

/** A reward service with its process, on a chain that several may share. */
function processOf(
  chain: FakeRewardChain,
  clock: ManualClock,
  over: Partial<RewardOptions> & { disk?: RewardDisk; seed?: string; leads?: Leads } = {},
) {
  const { account = ORCHESTRATOR, disk = new RewardDisk(), seed = 'one' } = over
  const node = new RewardProcess(chain, { account, disk, clock, dice: seededDice(seed) })
  const lines: Line[] = []
  const told: string[] = []
  const service = new RewardService(
    { mode: 'on', orchestrator: ORCHESTRATOR, alone: true, ...over, account },
    {
      chain: node,
      watch: {
        subscribe: (listener, signal) => {
          chain.listeners.add(listener)
          signal.addEventListener('abort', () => chain.listeners.delete(listener))
        },
      },
      rounds: {
        onRound: (listener, signal) => {
          chain.roundListeners.add(listener)
          signal.addEventListener('abort', () => chain.roundListeners.delete(listener))
        },
      },
      gas: {
        get gasPrice() {
          return chain.gasPrice
        },
      },
      leads: over.leads ?? null,
      clock,
      log: openLog({ level: 'info', write: (line) => lines.push(JSON.parse(line)) }),
      events: eventsTo({
        'reward-called': ({ round }) => told.push(`called ${round}`),
        'reward-failed': ({ round, reason }) => told.push(`failed ${round} ${reason}`),
        'rewards-missed': ({ first, last }) => told.push(`missed ${first} to ${last}`),
      }),
    },
  )
  const said = (levels = WARNINGS) =>
    lines.filter(({ level }) => levels.includes(level)).map(({ msg }) => msg)
  return { node, service, told, lines, said, disk }
}

interface Scene {
  readonly chain: FakeRewardChain
  readonly clock: ManualClock
  readonly supervisor: Supervisor
  /** Blocks, one every twelve seconds. */
  mine(blocks: number): Promise<void>
}

function scene(roundLength = 10): Scene {
  const chain = new FakeRewardChain(ORCHESTRATOR, { roundLength })
  chain.balances.set(ORCHESTRATOR, 1_000n * COST)
  chain.balances.set(CALLER, 1_000n * COST)
  const clock = new ManualClock()
  const mine = async (blocks: number) => {
    for (let i = 0; i < blocks; i++) {
      await clock.wind(BLOCK_MS)
      chain.mine()
    }
    await clock.wind(BLOCK_MS - 1)
  }
  return { chain, clock, supervisor: new Supervisor(), mine }
}

/** Starts while time goes on. */
async function start({ clock, supervisor }: Scene, service: RewardService): Promise<void> {
  const starting = supervisor.start(service)
  starting.catch(() => {})
  await clock.wind(5_000)
  await starting
}

const successes = ({ trace }: FakeRewardChain) => trace.filter((line) => line.endsWith('true')).length

test('a process that does not lead calls nothing, and what is due as soon as it leads', async () => {
  const stage = scene()
  const leads = new FakeLeader()
  const { service, said, told } = processOf(stage.chain, stage.clock, { leads })
  await start(stage, service)
  await stage.mine(3)
  assert.deepEqual([told, said()], [[], []])
  assert.equal(service.status().state, 'due')
  leads.set(1n)
  await stage.mine(2)
  assert.equal(told.length, 1)
  leads.set(null)
  await stage.mine(10)
  assert.equal(told.length, 1)
  await stage.supervisor.stop()
})

test('reward is called at the start, then once in every round', async () => {
  const stage = scene()
  const { service, told } = processOf(stage.chain, stage.clock)
  await start(stage, service)
  await stage.mine(2)
  assert.deepEqual(told, ['called 100'])
  await stage.mine(20)
  assert.deepEqual(told, ['called 100', 'called 101', 'called 102'])
  assert.equal(stage.chain.trace.length, 3)
  const { nextLookMs, ...status } = service.status()
  assert.ok(nextLookMs! > stage.clock.now())
  assert.deepEqual(status, {
    mode: 'on',
    state: 'called',
    why: null,
    orchestrator: ORCHESTRATOR,
    account: ORCHESTRATOR,
    currentRound: 102n,
    lastRewardRound: 102n,
    inFlight: null,
    balance: 997n * COST,
    roundsLeft: 997n,
    lastError: null,
    called: 3,
    missed: 0n,
  })
  await stage.supervisor.stop()
})

test('no event is needed: the chain is looked at every few minutes', async () => {
  const stage = scene(40)
  const { service, told } = processOf(stage.chain, stage.clock)
  await start(stage, service)
  stage.chain.listeners.clear()
  stage.chain.roundListeners.clear()
  await stage.mine(155)
  assert.deepEqual(told, ['called 100', 'called 101', 'called 102', 'called 103'])
  await stage.supervisor.stop()
})

test('a round that is not initialised yet is waited for', async () => {
  const stage = scene(40)
  const { service, told } = processOf(stage.chain, stage.clock)
  await start(stage, service)
  stage.chain.initializedAfter = 32
  await stage.mine(66)
  assert.equal(service.status().state, 'round-not-initialized')
  assert.deepEqual(told, ['called 100'])
  await stage.mine(8)
  assert.deepEqual(told, ['called 100', 'called 101'])
})

test('an outage at the start of a round: reward is called as soon as the chain answers', async () => {
  const stage = scene(40)
  const { service, told, said } = processOf(stage.chain, stage.clock)
  await start(stage, service)
  await stage.mine(38)
  stage.chain.isDown = true
  await stage.mine(36)
  assert.deepEqual(told, ['called 100'])
  assert.match(service.status().lastError!.message, /no answer/)
  stage.chain.isDown = false
  await stage.mine(2)
  assert.deepEqual(told, ['called 100', 'called 101'])
  assert.equal(service.status().lastError, null)
  assert.deepEqual(said(), ['reward call failed, retrying'])
  await stage.supervisor.stop()
})

test('a process that is killed while its call is on its way: the next one waits for it, and sends nothing', async () => {
  const stage = scene()
  stage.chain.includesNothing = true
  const killed = processOf(stage.chain, stage.clock)
  await start(stage, killed.service)
  await stage.clock.wind(2_000)
  assert.equal(stage.chain.inPool, 1)
  killed.node.isDead = true
  const next = processOf(stage.chain, stage.clock, { disk: killed.disk })
  assert.equal(next.service.status().inFlight?.attempts, 1)
  await start(stage, next.service)
  stage.chain.includesNothing = false
  await stage.mine(2)
  assert.deepEqual(next.told, ['called 100'])
  assert.equal(stage.chain.trace.length, 1)
})

test('two instances with one key: one transaction in each round', async () => {
  const stage = scene()
  const one = processOf(stage.chain, stage.clock, { seed: 'one' })
  const other = processOf(stage.chain, stage.clock, { seed: 'other' })
  await Promise.all([
    stage.supervisor.start(one.service),
    stage.supervisor.start(other.service),
    stage.mine(1),
  ])
  await stage.mine(98)
  assert.equal(stage.chain.trace.length, 10)
  assert.equal(successes(stage.chain), 10)
  assert.deepEqual([...new Set([...one.told, ...other.told])].length, 10)
  await stage.supervisor.stop()
})

test('what an instance that died left in the pool is waited for, then its place is taken', async () => {
  const stage = scene()
  stage.chain.includesNothing = true
  const killed = processOf(stage.chain, stage.clock, { seed: 'one' })
  await start(stage, killed.service)
  await stage.clock.wind(2_000)
  killed.node.isDead = true
  const other = processOf(stage.chain, stage.clock, { seed: 'other' })
  await start(stage, other.service)
  await stage.clock.wind(60_000)
  assert.deepEqual(other.said(), [
    'reward waits: another process of this account has a transaction in the pool',
  ])
  assert.equal(stage.chain.inPool, 1)
  await stage.clock.wind(5 * 60_000)
  assert.equal(stage.chain.inPool, 1)
  stage.chain.includesNothing = false
  await stage.mine(2)
  assert.equal(stage.chain.trace.length, 1)
  assert.equal(stage.chain.lastRewardRound, 100n)
  assert.ok(other.told.includes('called 100'))
})

test('gas above the maximum: one sentence, then reward as soon as gas is cheap enough', async () => {
  const stage = scene()
  const { node, service, told, said } = processOf(stage.chain, stage.clock)
  node.maxGasPrice = 2n * GWEI
  stage.chain.gasPrice = 3n * GWEI
  await start(stage, service)
  await stage.mine(5)
  assert.equal(stage.chain.inPool, 0)
  assert.deepEqual(said(), ['reward not called, retrying: the gas price is above -maxGasPrice'])
  assert.ok(told.length > 2 && told.every((line) => line === 'failed 100 gas-too-high'))
  stage.chain.gasPrice = GWEI
  await stage.mine(4)
  assert.equal(told.at(-1), 'called 100')
  await stage.supervisor.stop()
})

test('a round that ends without its reward is told as missed, once', async () => {
  const stage = scene()
  const { node, service, told, said } = processOf(stage.chain, stage.clock)
  node.maxGasPrice = 2n * GWEI
  stage.chain.gasPrice = 3n * GWEI
  await start(stage, service)
  await stage.mine(22)
  assert.deepEqual(
    told.filter((line) => line.startsWith('missed')),
    ['missed 100 to 100', 'missed 101 to 101'],
  )
  assert.deepEqual(said(ERRORS), ['rounds ended without a reward call', 'rounds ended without a reward call'])
  assert.equal(service.status().missed, 2n)
  await stage.supervisor.stop()
})

test('a call that is late is sent again with a higher fee, up to the maximum', async () => {
  const stage = scene()
  stage.chain.includesNothing = true
  const { node, service, told, said } = processOf(stage.chain, stage.clock)
  await start(stage, service)
  await stage.clock.wind(3_000)
  stage.chain.includesNothing = false
  stage.chain.gasPrice = 5n * GWEI
  node.maxGasPrice = 4n * GWEI
  await stage.mine(11)
  assert.equal(service.status().inFlight?.attempts, 1)
  assert.deepEqual(said(), ['reward transaction not mined yet'])
  node.maxGasPrice = 6n * GWEI
  await stage.mine(4)
  assert.equal(stage.chain.trace.length, 1)
  // Sent in round 100, mined in the next: that is the one it rewards.
  assert.equal(stage.chain.lastRewardRound, 101n)
  assert.ok(told.includes('called 101') && !told.includes('called 100'), told.join(', '))
  await stage.supervisor.stop()
})

test('a call that an earlier process sent, mined before the round began, is no reward of this round', async () => {
  const stage = scene()
  const { clock } = stage
  const disk = new RewardDisk()
  const before = processOf(stage.chain, clock, { disk })
  // Sent and mined in round 100, while its process is gone.
  stage.chain.includesNothing = true
  await start(stage, before.service)
  before.node.isDead = true
  assert.ok(disk.open)
  stage.chain.includesNothing = false
  await stage.mine(1)
  assert.equal(stage.chain.lastRewardRound, 100n)
  while (stage.chain.round < 101n) await stage.mine(1)
  const { service, told } = processOf(stage.chain, clock, { disk })
  await start(stage, service)
  await clock.wind(20_000)
  await stage.mine(1)
  assert.equal(stage.chain.lastRewardRound, 101n)
  assert.deepEqual(told, ['called 100', 'called 101'])
})

test('no money: the operator is told which account, and for how many rounds the rest lasts', async () => {
  const stage = scene()
  stage.chain.balances.set(ORCHESTRATOR, COST / 2n)
  const { service, told, lines } = processOf(stage.chain, stage.clock)
  await start(stage, service)
  await stage.mine(1)
  const line = lines.find(({ level }) => level === 'error')!
  assert.equal(line.msg, 'reward not called: the account has too little ether, send it some')
  assert.equal(line.account, ORCHESTRATOR)
  assert.equal(line.rounds, '0')
  stage.chain.balances.set(ORCHESTRATOR, 5n * COST)
  await stage.mine(4)
  assert.equal(told.at(-1), 'called 100')
  assert.equal(service.status().roundsLeft, 4n)
  await stage.mine(6)
  const few = lines.filter(
    ({ msg }) => msg === 'account balance covers only a few more reward calls: send it ether',
  )
  assert.equal(few.at(-1)!.rounds, '4')
  await stage.supervisor.stop()
})

test('a deactivated orchestrator is logged, and no reward counts as missed', async () => {
  const stage = scene()
  const { service, told, said } = processOf(stage.chain, stage.clock)
  await start(stage, service)
  stage.chain.deactivationRound = 101n
  await stage.mine(25)
  assert.deepEqual(told, ['called 100'])
  assert.equal(service.status().state, 'not-active')
  assert.match(service.status().why!, /is not active in round 102/)
  assert.deepEqual(said(), [
    'reward not called: the orchestrator is not active in this round',
    'reward not called: the orchestrator is not active in this round',
  ])
  stage.chain.activationRound = 103n
  stage.chain.deactivationRound = 2n ** 256n - 1n
  await stage.mine(8)
  assert.deepEqual(told, ['called 100', 'called 103'])
  await stage.supervisor.stop()
})

test('a reward caller calls for another orchestrator, until it is revoked', async () => {
  const stage = scene()
  stage.chain.rewardCaller = CALLER
  const { service, told, lines } = processOf(stage.chain, stage.clock, { account: CALLER, mode: 'automatic' })
  await start(stage, service)
  await stage.mine(1)
  assert.deepEqual(told, ['called 100'])
  assert.match(stage.chain.trace[0]!, new RegExp(`${CALLER} 0 true`))
  stage.chain.rewardCaller = null
  await stage.mine(10)
  assert.equal(service.status().state, 'off')
  const line = lines.find(({ level }) => level === 'warn')!
  assert.equal(line.msg, 'reward is off: this account cannot call it')
  assert.equal(
    line.why,
    `${CALLER} is neither a registered orchestrator nor the reward caller of ${ORCHESTRATOR}: let ${ORCHESTRATOR} make it its reward caller, or use the key of ${ORCHESTRATOR}`,
  )
  assert.equal(stage.chain.trace.length, 1)
  stage.chain.rewardCaller = CALLER
  await stage.mine(10)
  assert.equal(told.at(-1), 'called 102')
  await stage.supervisor.stop()
})

test('-reward on an account that cannot call it is refused at the start, in one sentence', async () => {
  const stage = scene()
  const stranger = processOf(stage.chain, stage.clock, { account: CALLER })
  await assert.rejects(start(stage, stranger.service), {
    code: 'cannot-call-reward',
    message: `cannot call reward: ${CALLER} is neither a registered orchestrator nor the reward caller of ${ORCHESTRATOR}: let ${ORCHESTRATOR} make it its reward caller, or use the key of ${ORCHESTRATOR}, or leave -reward out`,
  })
  stage.chain.registered = false
  stage.chain.deactivationRound = 0n
  const unregistered = processOf(stage.chain, stage.clock)
  await assert.rejects(start(stage, unregistered.service), {
    code: 'cannot-call-reward',
    message: `cannot call reward: ${ORCHESTRATOR} is not a registered orchestrator: register it, or leave -reward out`,
  })
})

test('a start while the chain does not answer waits for it', async () => {
  const stage = scene()
  stage.chain.isDown = true
  const { service, told } = processOf(stage.chain, stage.clock)
  const starting = stage.supervisor.start(service)
  await stage.clock.wind(20_000)
  stage.chain.isDown = false
  await stage.mine(4)
  await starting
  assert.deepEqual(told, ['called 100'])
  await stage.supervisor.stop()
})

test('automatic: off with a warning where the node has nothing else to do, and on once the account is registered', async () => {
  const stage = scene()
  stage.chain.registered = false
  stage.chain.activationRound = 102n
  const idle = processOf(stage.chain, stage.clock, { mode: 'automatic' })
  const busy = processOf(stage.chain, stage.clock, { mode: 'automatic', alone: false, seed: 'busy' })
  await start(stage, idle.service)
  await start(stage, busy.service)
  await stage.mine(3)
  assert.deepEqual(idle.said(), ['reward is off: this account cannot call it'])
  assert.deepEqual(busy.said(), [])
  assert.equal(busy.lines.length, 1)
  assert.equal(idle.service.status().why, `${ORCHESTRATOR} is not a registered orchestrator: register it`)
  stage.chain.registered = true
  await stage.mine(20)
  assert.deepEqual([...new Set([...idle.told, ...busy.told])], ['called 102'])
  assert.equal(stage.chain.trace.length, 1)
  await stage.supervisor.stop()
})

test('-reward=false: nothing is looked at and nothing is sent', async () => {
  const stage = scene()
  const { service, lines } = processOf(stage.chain, stage.clock, { mode: 'off' })
  await start(stage, service)
  await stage.mine(12)
  assert.equal(stage.chain.trace.length, 0)
  assert.equal(stage.chain.listeners.size, 0)
  assert.equal(service.status().state, 'off')
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['reward is off'],
  )
})

test('that another was first is no failure', async () => {
  const stage = scene()
  stage.chain.rewardCaller = CALLER
  const own = processOf(stage.chain, stage.clock, { seed: 'own' })
  const caller = processOf(stage.chain, stage.clock, { seed: 'caller', account: CALLER })
  await Promise.all([
    stage.supervisor.start(own.service),
    stage.supervisor.start(caller.service),
    stage.mine(1),
  ])
  await stage.mine(50)
  assert.equal(successes(stage.chain), 6)
  assert.deepEqual(
    [...own.told, ...caller.told].filter((line) => !line.startsWith('called')),
    [],
  )
  assert.deepEqual([...own.said(), ...caller.said()], [])
  await stage.supervisor.stop()
})

test('a reward that a reorganisation undid is called again', async () => {
  const stage = scene()
  const { service, told } = processOf(stage.chain, stage.clock)
  await start(stage, service)
  await stage.mine(2)
  stage.chain.lastRewardRound = 99n
  stage.chain.announce(true)
  await stage.mine(2)
  assert.deepEqual(told, ['called 100', 'called 100'])
  assert.equal(stage.chain.lastRewardRound, 100n)
  await stage.supervisor.stop()
})

test('an account that may well be no orchestrator’s, as a gateway’s, is advised nothing', async () => {
  const stage = scene()
  stage.chain.registered = false
  stage.chain.activationRound = 102n
  const { lines, service } = processOf(stage.chain, stage.clock, {
    ...{ mode: 'automatic', alone: false, isOptional: true },
  })
  await start(stage, service)
  assert.deepEqual(lines, [])
  assert.equal(service.status().why, `${ORCHESTRATOR} is not a registered orchestrator`)
  await stage.supervisor.stop()
})
