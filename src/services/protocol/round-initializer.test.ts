import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsTo } from '../../../test/fakes/events.ts'
import { FakeLeader } from '../../../test/fakes/leader.ts'
import type { CallResult } from '../../domain/chain-call.ts'
import { ManualClock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { openLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import type { Leads } from '../../lib/terms.ts'
import { RoundInitializer, type RoundInitializerChain } from './round-initializer.ts'

const LENGTH = 10n
const BLOCK_MS = 12_000
const HASH = `0x${'11'.repeat(32)}` as const

/** Rounds on a chain that initialises none by itself, as any number of nodes see them. */
class FakeRounds {
  l1Block = 100n
  lastInitialized = 10n
  /** Attempts in the order of sending, by the name of the node. */
  readonly sent: string[] = []
  isDown = false
  /** What comes of sending instead of success. */
  outcome: CallResult | null = null
  readonly roundListeners = new Set<(round: bigint) => void>()
  readonly blockListeners = new Set<(block: bigint) => void>()

  get round(): bigint {
    return this.l1Block / LENGTH
  }

  mine(): void {
    this.l1Block++
    if (this.isDown) return
    for (const tell of [...this.blockListeners]) tell(this.l1Block)
  }

  initialize(): void {
    this.lastInitialized = this.round
    for (const tell of [...this.roundListeners]) tell(this.round)
  }

  chainOf(name: string): RoundInitializerChain {
    const up = () => {
      if (this.isDown) throw new Error('no answer from the chain')
    }
    return {
      initialization: async () => {
        up()
        return { round: this.round, isDone: this.lastInitialized === this.round }
      },
      initializeRound: async () => {
        up()
        this.sent.push(`${name} ${this.round}`)
        if (this.outcome) return this.outcome
        this.initialize()
        return { kind: 'mined', success: true, txHash: HASH, fee: 7n }
      },
      initializationInFlight: () => null,
    }
  }
}

function node(
  world: FakeRounds,
  clock: ManualClock,
  over: { name?: string; delay?: number; max?: number; leads?: Leads } = {},
) {
  const lines: { level: string; msg: string }[] = []
  const told: string[] = []
  const dice: Dice = { bytes: (length) => new Uint8Array(length), fraction: () => over.delay ?? 0 }
  const listen = <Listener>(listeners: Set<Listener>, listener: Listener, signal: AbortSignal) => {
    listeners.add(listener)
    signal.addEventListener('abort', () => listeners.delete(listener))
  }
  const service = new RoundInitializer(
    { maxDelayMs: over.max ?? 30_000 },
    {
      chain: world.chainOf(over.name ?? 'node'),
      rounds: {
        get roundClock() {
          const start = world.round * LENGTH
          const { l1Block, round } = world
          return { currentRound: round, startL1Block: start, roundLength: LENGTH, l1Block }
        },
        get lastInitializedRound() {
          return world.lastInitialized
        },
        onRound: (listener, signal) => listen(world.roundListeners, listener, signal),
        onL1Block: (listener, signal) => listen(world.blockListeners, listener, signal),
      },
      leads: over.leads ?? null,
      clock,
      dice,
      log: openLog({ level: 'info', write: (line) => lines.push(JSON.parse(line)) }),
      events: eventsTo({
        'round-initialized': ({ round, fee }) => told.push(`initialised ${round} for ${fee}`),
        'round-initialization-failed': ({ round, reason }) => told.push(`failed ${round} ${reason}`),
      }),
    },
  )
  return { service, told, lines }
}

async function mine(world: FakeRounds, clock: ManualClock, blocks: number): Promise<void> {
  for (let i = 0; i < blocks; i++) {
    world.mine()
    await clock.wind(BLOCK_MS)
  }
}

test('a round is initialised when it is due, and once', async () => {
  const [world, clock, supervisor] = [new FakeRounds(), new ManualClock(), new Supervisor()]
  const { service, told } = node(world, clock)
  await supervisor.start(service)
  await mine(world, clock, 9)
  assert.deepEqual(world.sent, [])
  assert.equal(service.status().state, 'waits')
  await mine(world, clock, 12)
  assert.deepEqual(world.sent, ['node 11', 'node 12'])
  assert.deepEqual(told, ['initialised 11 for 7', 'initialised 12 for 7'])
  assert.deepEqual(service.status(), {
    currentRound: 12n,
    lastInitializedRound: 12n,
    nextRoundL1Block: 130n,
    state: 'waits',
    inFlight: null,
    initialized: 2,
    lastError: null,
  })
  await supervisor.stop()
})

test('a node that does not lead initialises nothing, and what is due as soon as it leads', async () => {
  const [world, clock, supervisor] = [new FakeRounds(), new ManualClock(), new Supervisor()]
  world.l1Block = 115n
  const leads = new FakeLeader()
  await supervisor.start(node(world, clock, { leads }).service)
  await clock.wind(60_000)
  assert.deepEqual(world.sent, [])
  leads.set(1n)
  await clock.wind(1)
  assert.deepEqual(world.sent, ['node 11'])
  await supervisor.stop()
})

test('a node that starts inside a round not yet initialised initialises it', async () => {
  const [world, clock, supervisor] = [new FakeRounds(), new ManualClock(), new Supervisor()]
  world.l1Block = 115n
  await supervisor.start(node(world, clock).service)
  await clock.wind(1)
  assert.deepEqual(world.sent, ['node 11'])
  await supervisor.stop()
})

test('it waits a random part of the longest delay, and sends nothing when another was first', async () => {
  const [world, clock, supervisor] = [new FakeRounds(), new ManualClock(), new Supervisor()]
  const slow = node(world, clock, { name: 'slow', delay: 0.9 })
  const fast = node(world, clock, { name: 'fast', delay: 0.5 })
  for (const { service } of [slow, fast]) await supervisor.start(service)
  world.l1Block = 109n
  world.mine()
  await clock.wind(14_999)
  assert.equal(slow.service.status().state, 'delays')
  assert.deepEqual(world.sent, [])
  await clock.wind(1)
  assert.deepEqual(world.sent, ['fast 11'])
  await clock.wind(60_000)
  assert.deepEqual(world.sent, ['fast 11'])
  assert.deepEqual(slow.told, [])
  await supervisor.stop()
})

test('a delay of 0 sends at once', async () => {
  const [world, clock, supervisor] = [new FakeRounds(), new ManualClock(), new Supervisor()]
  await supervisor.start(node(world, clock, { delay: 0.9, max: 0 }).service)
  world.l1Block = 109n
  world.mine()
  await clock.wind(1)
  assert.deepEqual(world.sent, ['node 11'])
  await supervisor.stop()
})

test('what fails is tried again with each L1 block, and told once for each reason', async () => {
  const [world, clock, supervisor] = [new FakeRounds(), new ManualClock(), new Supervisor()]
  const { service, told, lines } = node(world, clock)
  await supervisor.start(service)
  world.outcome = { kind: 'not-sent', why: 'gas-too-high', reason: 'gas above the maximum' }
  await mine(world, clock, 12)
  assert.equal(world.sent.length, 3)
  assert.deepEqual(told, Array(3).fill('failed 11 gas above the maximum'))
  assert.equal(service.status().lastError?.message, 'gas above the maximum')
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['could not initialise the round, retrying'],
  )
  world.outcome = null
  await mine(world, clock, 1)
  assert.equal(told.at(-1), 'initialised 11 for 7')
  assert.equal(service.status().lastError, null)
  await supervisor.stop()
})

test('a chain that does not answer is asked again until it does', async () => {
  const [world, clock, supervisor] = [new FakeRounds(), new ManualClock(), new Supervisor()]
  const { service, told } = node(world, clock)
  await supervisor.start(service)
  world.isDown = true
  await mine(world, clock, 15)
  assert.ok(told.length > 0 && told.every((line) => line === 'failed null no answer from the chain'))
  world.isDown = false
  await clock.wind(60_000)
  assert.deepEqual(world.sent, ['node 11'])
  await supervisor.stop()
})

test('a transaction that failed because another was first is no failure', async () => {
  const [world, clock, supervisor] = [new FakeRounds(), new ManualClock(), new Supervisor()]
  const { service, told, lines } = node(world, clock)
  await supervisor.start(service)
  Object.defineProperty(world, 'outcome', {
    get: () => {
      world.initialize()
      return { kind: 'mined', success: false, txHash: HASH, fee: 7n }
    },
  })
  await mine(world, clock, 12)
  assert.equal(world.lastInitialized, 11n)
  assert.deepEqual(world.sent, ['node 11'])
  assert.deepEqual(told, [])
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['round initialised by another account'],
  )
  await supervisor.stop()
})
