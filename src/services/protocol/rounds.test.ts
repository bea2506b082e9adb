import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeChain } from '../../../test/fakes/chain.ts'
import { eventsTo } from '../../../test/fakes/events.ts'
import { CONFIRMATIONS } from '../../domain/chain.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Rounds } from './rounds.ts'

async function started(chain = new FakeChain({ roundLength: 10n })) {
  const clock = new ManualClock()
  const begun: bigint[] = []
  const events = eventsTo({ 'round-begun': ({ round }) => void begun.push(round) })
  const rounds = new Rounds({ chain, watch: chain, events, clock, log: silentLog })
  const supervisor = new Supervisor()
  await supervisor.start(rounds)
  return { begun, chain, clock, rounds, supervisor }
}

const mine = (chain: FakeChain, blocks: number) => {
  for (let i = 0; i < blocks; i++) chain.mine()
}

test('rounds and L1 blocks follow the chain, and listeners hear of each once', async () => {
  const { begun, chain, rounds, supervisor } = await started()
  const heard: string[] = []
  const stop = new AbortController()
  rounds.onRound((round) => heard.push(`round ${round}`), stop.signal)
  rounds.onL1Block((block) => heard.push(`block ${block}`), stop.signal)
  mine(chain, 9)
  await settle()
  chain.mine()
  await settle()
  assert.equal(rounds.lastInitializedRound, 11n)
  assert.deepEqual(heard.slice(-2), ['block 1010', 'round 11'])
  assert.equal(heard.length, 11)
  assert.equal(begun.at(-1), 11n)
  stop.abort()
  chain.mine()
  assert.equal(heard.length, 11)
  await supervisor.stop()
})

test('a round whose state cannot be read is read later: no event is lost', async () => {
  const { chain, clock, rounds, supervisor } = await started()
  const read = chain.roundState.bind(chain)
  let failures = 2
  chain.roundState = async () => {
    if (failures-- > 0) throw new Error('no answer')
    return read()
  }
  mine(chain, 10)
  await settle()
  assert.equal(rounds.lastInitializedRound, 10n)
  assert.equal(rounds.roundClock.currentRound, 11n)
  await clock.wind(1_000)
  assert.equal(rounds.lastInitializedRound, 10n)
  await clock.wind(2_000)
  assert.equal(rounds.lastInitializedRound, 11n)
  await supervisor.stop()
})

test('the first block after an outage makes the state be read at once', async () => {
  const { chain, clock, rounds, supervisor } = await started()
  chain.isDown = true
  mine(chain, 10)
  await clock.wind(600_000)
  chain.recover()
  await settle()
  assert.equal(rounds.lastInitializedRound, 11n)
  await supervisor.stop()
})

test('a stale answer does not move the round back, a reorganisation does', async () => {
  const { chain, clock, rounds, supervisor } = await started()
  const stale = await chain.roundState()
  mine(chain, 10)
  await settle()
  const read = chain.roundState.bind(chain)
  chain.roundState = async () => stale
  await clock.wind(5 * 60_000)
  assert.equal(rounds.lastInitializedRound, 11n)
  chain.roundState = read
  await clock.wind(60_000)
  const block = rounds.l1Block
  chain.roundState = async () => stale
  chain.reorganise(2, () => true)
  await settle()
  assert.equal(rounds.lastInitializedRound, 10n)
  assert.equal(rounds.l1Block, block + 1n)
  await supervisor.stop()
})

test('starting waits for the first successful read', async () => {
  const chain = new FakeChain()
  chain.isDown = true
  const clock = new ManualClock()
  const rounds = new Rounds({ chain, watch: chain, clock, log: silentLog })
  assert.throws(() => rounds.lastInitializedRound, /have not been read/)
  const supervisor = new Supervisor()
  const starting = supervisor.start(rounds)
  await clock.wind(1_000)
  chain.isDown = false
  await clock.wind(2_000)
  await starting
  assert.equal(rounds.lastInitializedRound, 10n)
  await supervisor.stop()
})

test('tickets carry the round before while the hash of the last is not known', async () => {
  const { chain, clock, rounds, supervisor } = await started()
  const state = await chain.roundState()
  assert.equal(rounds.expirationParams.creationRound, 10n)
  chain.roundState = async () => ({
    ...state,
    blockHash: new Uint8Array(32),
    previousBlockHash: new Uint8Array(32).fill(9),
  })
  await clock.wind(5 * 60_000)
  assert.deepEqual(rounds.expirationParams, {
    creationRound: 9n,
    creationRoundBlockHash: new Uint8Array(32).fill(9),
  })
  await supervisor.stop()
})

test('the clock of rounds runs on between reads', async () => {
  const { chain, rounds, supervisor } = await started()
  chain.roundState = async () => {
    throw new Error('no answer')
  }
  mine(chain, 25)
  assert.deepEqual(rounds.roundClock, {
    currentRound: 12n,
    startL1Block: 1020n,
    roundLength: 10n,
    l1Block: 1025n,
  })
  await supervisor.stop()
})

test('a round that no event announced is believed once it has been read over enough blocks, forward and back', async () => {
  const { chain, clock, rounds, supervisor } = await started(new FakeChain({ roundLength: 100n }))
  const read = chain.roundState.bind(chain)
  const confirmed = () => rounds.confirmedClock
  const pass = async (blocks: number) => {
    for (let i = 0; i < blocks; i++) {
      chain.mine()
      await settle()
      await clock.wind(1_000)
    }
  }
  await pass(20)
  assert.equal(confirmed()?.currentRound, 10n)
  chain.roundState = async () => {
    const state = await read()
    return { ...state, lastInitialized: state.lastInitialized + 5n, current: state.current + 5n }
  }
  await clock.wind(5 * 60_000)
  await pass(8)
  const seen = () => [rounds.lastInitializedRound, rounds.roundClock.currentRound]
  assert.deepEqual(seen(), [10n, 10n])
  chain.roundState = read
  await clock.wind(60_000)
  await pass(30)
  assert.deepEqual(seen(), [10n, 10n])
  chain.roundState = async () => {
    const state = await read()
    return { ...state, lastInitialized: state.lastInitialized + 5n, current: state.current + 5n }
  }
  await clock.wind(5 * 60_000)
  await pass(15)
  assert.deepEqual(seen(), [15n, 15n])
  assert.equal(confirmed(), null)
  chain.roundState = read
  await clock.wind(5 * 60_000)
  await pass(15)
  assert.deepEqual(seen(), [10n, 10n])
  await pass(15)
  assert.equal(confirmed()?.currentRound, 10n)
  await supervisor.stop()
})

test('the confirmed clock is that of the least L1 block of the newest blocks, and there is none before those', async () => {
  const { chain, rounds, supervisor } = await started(new FakeChain({ roundLength: 100n }))
  const confirmed = () => rounds.confirmedClock
  assert.equal(confirmed(), null)
  const step = async () => {
    chain.mine()
    await settle()
  }
  for (let i = 0; i < 11; i++) await step()
  assert.equal(confirmed(), null)
  for (let i = 0; i < 9; i++) await step()
  assert.equal(confirmed()?.l1Block, rounds.l1Block - CONFIRMATIONS)
  chain.l1Ahead = 500n
  for (let i = 0; i < 8; i++) await step()
  assert.equal(rounds.roundClock.currentRound, 15n)
  assert.equal(confirmed()?.l1Block, 1_000n + chain.head.number - CONFIRMATIONS)
  chain.l1Ahead = 0n
  for (let i = 0; i < 14; i++) await step()
  assert.equal(rounds.l1Block, chain.head.l1Block)
  assert.equal(rounds.roundClock.currentRound, 10n)
  chain.reorganise(3, () => true)
  await settle()
  assert.equal(confirmed()?.l1Block, 1_000n + chain.head.number - CONFIRMATIONS)
  await supervisor.stop()
})

test('a state whose views do not agree is not believed, nor confirmed where it is the first', async () => {
  const chain = new FakeChain({ roundLength: 100n })
  const read = chain.roundState.bind(chain)
  const lie = async () => {
    const state = await read()
    return { ...state, current: state.current + 5n }
  }
  chain.roundState = lie
  const { clock, rounds, supervisor } = await started(chain)
  const pass = async (blocks: number) => {
    for (let i = 0; i < blocks; i++) {
      chain.mine()
      await settle()
      await clock.wind(1_000)
    }
  }
  await pass(40)
  assert.equal(rounds.confirmedClock, null)
  chain.roundState = read
  await clock.wind(60_000)
  assert.equal(rounds.roundClock.currentRound, 10n)
  chain.roundState = lie
  await clock.wind(5 * 60_000)
  await pass(40)
  assert.equal(rounds.roundClock.currentRound, 10n)
  await supervisor.stop()
})
