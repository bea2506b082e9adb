import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { type Dice, seededDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { RewardService } from '../../src/services/protocol/reward-service.ts'
import { eventsTo } from '../fakes/events.ts'
import { FakeRewardChain, RewardDisk, RewardProcess } from '../fakes/reward-chain.ts'

const ORCHESTRATOR: Address = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const GWEI = 10n ** 9n
const ROUND_BLOCKS = 20
const BLOCK_MS = 15_000
/** A round counts as rewardable if the chain answers and accepts transactions for this many consecutive blocks. */
const LONG_ENOUGH_BLOCKS = 8
const MAX_GAS_PRICE = 4n * GWEI

interface Story {
  readonly trace: readonly string[]
  /** Rounds with enough time for a reward. */
  readonly possible: readonly bigint[]
  /** Number of successful and failed transactions per round. */
  readonly succeeded: ReadonlyMap<bigint, number>
  readonly reverted: number
  readonly mostInPool: number
  readonly outages: number
  readonly kills: number
}

interface Node {
  readonly process: RewardProcess
  readonly leave: AbortController
}

/** Chances per block. */
const FAULT_CHANCES = { outage: 0.03, kill: 0.02, gasRises: 0.02, stuck: 0.01, drop: 0.01, late: 0.1 }

/** Runs two nodes with one key through rounds with random faults. */
async function play(seed: string, rounds: number): Promise<Story> {
  const dice = seededDice(seed)
  const happens = (chance: number) => dice.fraction() < chance
  const clock = new ManualClock()
  const chain = new FakeRewardChain(ORCHESTRATOR, { roundLength: ROUND_BLOCKS })
  chain.balances.set(ORCHESTRATOR, 10n ** 24n)
  const disks = [new RewardDisk(), new RewardDisk()]
  const told: string[] = []
  const possible: bigint[] = []
  const nodes: Node[] = []
  let mostInPool = 0
  let outages = 0
  let kills = 0
  for (const disk of disks) nodes.push(await begin(disk, { chain, clock, dice, told }))
  let faultBlocks = 0
  let calm = 0
  for (let block = 0; block < rounds * ROUND_BLOCKS; block++) {
    const round = chain.round
    if (faultBlocks > 0) faultBlocks--
    if (faultBlocks === 0) {
      Object.assign(chain, { isDown: false, includesNothing: false, gasPrice: GWEI })
      if (happens(FAULT_CHANCES.outage)) chain.isDown = true
      else if (happens(FAULT_CHANCES.gasRises)) chain.gasPrice = 5n * GWEI
      else if (happens(FAULT_CHANCES.stuck)) chain.includesNothing = true
      if (chain.isDown || chain.includesNothing || chain.gasPrice > GWEI) {
        faultBlocks = 1 + Math.floor(dice.fraction() * 2 * ROUND_BLOCKS)
        outages++
      }
    }
    if (faultBlocks === 0 && happens(FAULT_CHANCES.drop)) chain.dropPool()
    if (happens(FAULT_CHANCES.kill)) {
      const index = Math.floor(dice.fraction() * nodes.length)
      nodes[index]!.process.isDead = true
      nodes[index]!.leave.abort()
      nodes[index] = await begin(disks[index]!, { chain, clock, dice, told })
      kills++
    }
    await clock.wind(BLOCK_MS)
    mostInPool = Math.max(mostInPool, chain.inPool)
    chain.mine()
    if (chain.round !== round) {
      chain.initializedAfter = happens(FAULT_CHANCES.late) ? 5 : 0
      calm = 0
    }
    calm = faultBlocks === 0 && chain.isInitialized ? calm + 1 : 0
    if (calm === LONG_ENOUGH_BLOCKS) possible.push(chain.round)
  }
  const succeeded = new Map<bigint, number>()
  let reverted = 0
  for (const { round, success } of chain.receipts.values()) {
    if (success) succeeded.set(round, (succeeded.get(round) ?? 0) + 1)
    else reverted++
  }
  return { trace: [...chain.trace, ...told], possible, succeeded, reverted, mostInPool, outages, kills }
}

/** Starts a node from its disk; a killed one hears nothing any more. */
async function begin(
  disk: RewardDisk,
  world: { chain: FakeRewardChain; clock: ManualClock; dice: Dice; told: string[] },
): Promise<Node> {
  const { chain, clock, dice, told } = world
  const process = new RewardProcess(chain, { account: ORCHESTRATOR, disk, clock, dice })
  process.maxGasPrice = MAX_GAS_PRICE
  const leave = new AbortController()
  const listen = <Listener>(listeners: Set<Listener>, listener: Listener) => {
    listeners.add(listener)
    leave.signal.addEventListener('abort', () => listeners.delete(listener), { once: true })
  }
  const service = new RewardService(
    { mode: 'automatic', account: ORCHESTRATOR, orchestrator: ORCHESTRATOR, alone: true },
    {
      chain: process,
      watch: { subscribe: (listener) => listen(chain.listeners, listener) },
      rounds: { onRound: (listener) => listen(chain.roundListeners, listener) },
      gas: { gasPrice: GWEI },
      clock,
      log: silentLog,
      events: eventsTo({
        'reward-called': ({ round }) => told.push(`called ${round}`),
        'reward-failed': ({ round, reason }) => told.push(`failed ${round} ${reason}`),
        'rewards-missed': ({ first, last }) => told.push(`missed ${first} ${last}`),
      }),
    },
  )
  await new Supervisor().start(service)
  return { process, leave }
}

test('a thousand rounds of outages, kills, stuck transactions and expensive gas: no possible reward missed, none called twice', async (t) => {
  const story = await play(process.env.LIVEPEER_TEST_SEED ?? 'rewards', 1_000)
  const missed = story.possible.filter((round) => !story.succeeded.has(round))
  assert.deepEqual(missed, [], 'every round in which there was time is rewarded')
  assert.deepEqual(
    [...story.succeeded.values()].filter((count) => count > 1),
    [],
    'no round is rewarded twice',
  )
  assert.equal(story.mostInPool, 1, 'never is more than one transaction on its way')
  assert.ok(story.possible.length > 400, `${story.possible.length} rounds could be rewarded`)
  assert.ok(story.outages > 300 && story.kills > 300, `${story.outages} outages, ${story.kills} kills`)
  t.diagnostic(
    `${story.succeeded.size} rounds rewarded, ${story.possible.length} of them with time enough; ` +
      `${story.reverted} transactions reverted; ${story.outages} outages, ${story.kills} kills`,
  )
})

test('the same seed gives the same history', async () => {
  const [first, second] = [await play('twice', 60), await play('twice', 60)]
  assert.deepEqual(first.trace, second.trace)
  assert.ok(first.trace.length > 60)
  assert.notDeepEqual((await play('another', 60)).trace, first.trace)
})
