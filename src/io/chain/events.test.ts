import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Anvil } from '../../../devnet/anvil.ts'
import { devnetKey } from '../../../devnet/artifacts.ts'
import { Protocol } from '../../../devnet/protocol.ts'
import { type ChainFixture, startChain } from '../../../test/chain/fixture.ts'
import { asOf, HABITS, startHabits } from '../../../test/chain/rpc-habits.ts'
import { RpcFault, RpcShim } from '../../../test/chain/rpc-shim.ts'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { eventually } from '../../../test/tools/until.ts'
import type { ChainUpdate } from '../../domain/chain.ts'
import { systemClock } from '../../lib/clock.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { ChainWatcher, type CursorStore, type WatcherOptions } from './events.ts'
import { Rpc } from './rpc.ts'

const ETHER = 10n ** 18n

class MemoryCursor implements CursorStore {
  json: string | null = null

  async loadCursor(): Promise<string | null> {
    return this.json
  }

  async saveCursor(json: string): Promise<void> {
    this.json = json
  }
}

interface Watching extends AsyncDisposable {
  readonly watcher: ChainWatcher
  readonly updates: ChainUpdate[]
  /** Problems told, as they began and ended. */
  readonly problems: string[]
  /** Every event told, with its kind and block. */
  kinds(): string[]
}

async function watching(
  chain: Pick<ChainFixture, 'client' | 'anvil'>,
  cursor: CursorStore = new MemoryCursor(),
  over: Partial<WatcherOptions> & { urls?: string[]; log?: Log } = {},
): Promise<Watching> {
  const { urls = [chain.anvil.url], log = silentLog, ...options } = over
  const causes = new RecordingCauses()
  const needs = { clock: systemClock, log }
  const rpc = new Rpc({ urls, chainId: chain.anvil.chainId, timeoutMs: 2_000 }, needs)
  const watcher = new ChainWatcher(
    { pollMs: 25, ...options },
    { ...needs, causes, rpc, addresses: chain.client.addresses, cursor },
  )
  const updates: ChainUpdate[] = []
  const stop = new AbortController()
  watcher.subscribe((update) => updates.push(update), stop.signal)
  const supervisor = new Supervisor()
  await supervisor.start(watcher)
  return {
    watcher,
    updates,
    problems: causes.told,
    kinds: () => updates.flatMap(({ events }) => events.map(({ kind }) => kind)),
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await supervisor.stop()
    },
  }
}

test('the first start tells the newest block and no history', async () => {
  await using chain = await startChain()
  await using watch = await watching(chain)
  assert.equal(watch.updates.length, 1)
  assert.deepEqual(watch.updates[0]!.events, [])
  assert.equal(watch.updates[0]!.reorganised, false)
  assert.equal(watch.watcher.head!.number, await chain.client.blockNumber())
  assert.equal(watch.watcher.health.kind, 'live')
})

test('every event of the protocol comes in the network’s words, from a single new block too', async () => {
  await using chain = await startChain()
  await using watch = await watching(chain)
  const orchestrator = await chain.protocol.bondAndRegister(devnetKey('o'), {
    stake: 10n * ETHER,
    serviceUri: 'https://127.0.0.1:1',
  })
  const sender = await chain.protocol.fundSender(devnetKey('s'), ETHER, 2n * ETHER)
  await chain.protocol.call(devnetKey('s'), 'TicketBroker', 'unlock')
  await chain.protocol.call(devnetKey('s'), 'TicketBroker', 'cancelUnlock')
  const round = await chain.protocol.nextRound()
  await chain.protocol.call(devnetKey('o'), 'BondingManager', 'reward')
  await eventually('reward seen', () => watch.kinds().includes('reward'))
  const events = watch.updates.flatMap((update) => update.events)
  const told = events.map(({ block: _b, txHash: _t, logIndex: _l, ...event }) => event)
  const state = await chain.client.roundState()
  assert.deepEqual(told.slice(0, -1), [
    { kind: 'orchestrator-activated', orchestrator, round },
    { kind: 'service-uri-updated', orchestrator, serviceUri: 'https://127.0.0.1:1' },
    { kind: 'reserve-funded', sender, amount: 2n * ETHER },
    { kind: 'deposit-funded', sender, amount: ETHER },
    { kind: 'unlock', sender },
    { kind: 'unlock-cancelled', sender },
    { kind: 'new-round', round, blockHash: state.blockHash },
  ])
  assert.equal(told.at(-1)!.kind, 'reward')
  assert.ok(events.every(({ block, txHash }) => block > 0n && /^0x[0-9a-f]{64}$/.test(txHash)))
})

test('what happened while the node was down is told in order, in windows, from the stored place on', async () => {
  await using chain = await startChain({ parameters: { roundLength: 20n } })
  const cursor = new MemoryCursor()
  {
    await using first = await watching(chain, cursor)
    assert.equal(first.updates.length, 1)
  }
  const rounds = [
    await chain.protocol.nextRound(),
    await chain.protocol.nextRound(),
    await chain.protocol.nextRound(),
  ]
  await using second = await watching(chain, cursor, { windowBlocks: 7 })
  const events = second.updates.flatMap((update) => update.events)
  assert.deepEqual(
    events.map((event) => event.kind === 'new-round' && event.round),
    rounds,
  )
  assert.ok(second.updates.length > 5)
  assert.ok(second.updates.every(({ head }, i, all) => i === 0 || head.number > all[i - 1]!.head.number))
  assert.equal(second.watcher.head!.number, await chain.client.blockNumber())
})

test('a foreign contract that emits the same event is not heard', async () => {
  await using chain = await startChain()
  // A second deployment on the same chain: the same events from other addresses.
  const foreign = await Protocol.deploy(chain.anvil)
  await using watch = await watching(chain)
  await foreign.fundSender(devnetKey('s'), ETHER, ETHER)
  await chain.protocol.fundSender(devnetKey('s'), 3n * ETHER, 4n * ETHER)
  await eventually('own events seen', () => watch.kinds().length >= 2)
  const amounts = watch.updates.flatMap(({ events }) =>
    events.map((event) => 'amount' in event && event.amount),
  )
  assert.deepEqual(amounts, [4n * ETHER, 3n * ETHER])
})

test('blocks that are replaced are noticed, and what came in their place is told', async () => {
  await using chain = await startChain()
  await chain.anvil.mine(5)
  await using watch = await watching(chain)
  await chain.protocol.fundSender(devnetKey('s'), ETHER, ETHER)
  await eventually('funding seen', () => watch.kinds().length === 2)
  await chain.anvil.request('anvil_reorg', [3, []])
  await eventually('reorganisation seen', () => watch.updates.some(({ reorganised }) => reorganised))
  const { number, hash } = watch.watcher.head!
  assert.equal((await chain.rpc.header(number))!.hash, hash)
  await chain.protocol.fundSender(devnetKey('s'), 2n * ETHER, ETHER)
  await eventually('new funding seen', () => watch.kinds().length >= 4)
  assert.equal(watch.updates.filter(({ reorganised }) => reorganised).length, 1)
})

test('a chain set back and grown past the old head differently is noticed', async () => {
  await using chain = await startChain()
  await chain.anvil.mine(3)
  await using watch = await watching(chain)
  const snapshot = await chain.anvil.request('evm_snapshot')
  await chain.protocol.fundSender(devnetKey('s'), ETHER, ETHER)
  await eventually('funding seen', () => watch.kinds().length === 2)
  await chain.anvil.request('evm_revert', [snapshot])
  await chain.anvil.mine(10)
  await eventually('reorganisation seen', () => watch.updates.some(({ reorganised }) => reorganised))
  await eventually('head seen', async () => watch.watcher.head!.number === (await chain.client.blockNumber()))
})

test('a chain set back that stays there is taken for the chain after a few looks', async () => {
  await using chain = await startChain()
  await using watch = await watching(chain)
  const snapshot = await chain.anvil.request('evm_snapshot')
  await chain.anvil.mine(4)
  await eventually(
    'blocks seen',
    async () => watch.watcher.head!.number === (await chain.client.blockNumber()),
  )
  await chain.anvil.request('evm_revert', [snapshot])
  await eventually('reorganisation seen', () => watch.updates.some(({ reorganised }) => reorganised))
  assert.equal(watch.watcher.head!.number, await chain.client.blockNumber())
})

test('a chain that parted before all remembered headers is read from its head', async () => {
  await using chain = await startChain()
  await using watch = await watching(chain, new MemoryCursor(), { rememberedHeaders: 2 })
  const snapshot = await chain.anvil.request('evm_snapshot')
  for (let i = 0; i < 4; i++) {
    await chain.anvil.mine()
    await eventually(
      'block seen',
      async () => watch.watcher.head!.number === (await chain.client.blockNumber()),
    )
  }
  await chain.anvil.request('evm_revert', [snapshot])
  await chain.anvil.request('evm_increaseTime', [100])
  await chain.anvil.mine(6)
  await eventually('reorganisation seen', () => watch.updates.some(({ reorganised }) => reorganised))
  await eventually('head seen', async () => watch.watcher.head!.number === (await chain.client.blockNumber()))
})

test('a stored place that the chain does not know makes everything be read again', async () => {
  await using chain = await startChain()
  const cursor = new MemoryCursor()
  cursor.json = JSON.stringify({ number: '3', hash: `0x${'ab'.repeat(32)}` })
  await using watch = await watching(chain, cursor)
  assert.deepEqual(
    watch.updates.map(({ reorganised, events }) => [reorganised, events.length]),
    [[true, 0]],
  )
  cursor.json = 'nonsense'
  await using fresh = await watching(chain, cursor)
  assert.deepEqual(
    fresh.updates.map(({ reorganised }) => reorganised),
    [false],
  )
})

test('a chain that is away at the start and later comes is followed, one that goes and comes back too', async () => {
  await using chain = await startChain()
  const { port } = chain.anvil
  await chain.anvil.stop()
  await using watch = await watching(chain)
  assert.equal(watch.watcher.health.kind, 'down')
  assert.equal(watch.watcher.head, null)
  {
    await using _anvil = await Anvil.start({ port })
    await eventually('first block seen', () => watch.watcher.head !== null)
    assert.equal(watch.watcher.health.kind, 'live')
  }
  await eventually('loss noticed', () => watch.watcher.health.kind === 'down')
  await using again = await Anvil.start({ port })
  await again.mine(50)
  await eventually('followed again', () => watch.watcher.head!.number === 50n)
  assert.ok(watch.updates.at(-1)!.reorganised)
  const once = ['chain-unreachable begun', 'chain-unreachable ended']
  assert.deepEqual(watch.problems, [...once, ...once])
})

test('when the first endpoint goes, the next one takes over without a gap', async () => {
  await using chain = await startChain()
  const first = await RpcShim.start(chain.anvil.url)
  await using second = await RpcShim.start(chain.anvil.url)
  await using watch = await watching(chain, new MemoryCursor(), { urls: [first.url, second.url] })
  assert.equal(second.asked.get('eth_getBlockByNumber'), undefined)
  await first[Symbol.asyncDispose]()
  await chain.protocol.fundSender(devnetKey('s'), ETHER, ETHER)
  await eventually('events seen', () => watch.kinds().length === 2)
  assert.equal(watch.watcher.health.kind, 'live')
})

test('a window that is too much for the endpoint is split until it is not', async () => {
  await using chain = await startChain()
  const cursor = new MemoryCursor()
  {
    await using _first = await watching(chain, cursor)
  }
  for (let i = 0; i < 6; i++) await chain.protocol.fundSender(devnetKey('s'), ETHER, 0n)
  await using shim = await RpcShim.start(chain.anvil.url, async ({ method, params, forward }) => {
    if (method !== 'eth_getLogs') return forward()
    const { fromBlock, toBlock } = params[0] as { fromBlock: string; toBlock: string }
    if (BigInt(toBlock) - BigInt(fromBlock) >= 2n)
      throw new RpcFault(-32005, 'query returned more than 10000 results')
    return forward()
  })
  await using watch = await watching(chain, cursor, { urls: [shim.url] })
  assert.equal(watch.kinds().filter((kind) => kind === 'deposit-funded').length, 6)
})

test('a failed window keeps what came before it', async () => {
  await using chain = await startChain()
  const cursor = new MemoryCursor()
  {
    await using _first = await watching(chain, cursor)
  }
  for (let i = 0; i < 4; i++) await chain.protocol.fundSender(devnetKey('s'), ETHER, 0n)
  let allowed = 2
  await using shim = await RpcShim.start(chain.anvil.url, async ({ method, forward }) => {
    if (method === 'eth_getLogs' && allowed-- <= 0) throw new RpcFault(-32000, 'broken')
    return forward()
  })
  await using watch = await watching(chain, cursor, { urls: [shim.url], windowBlocks: 1 })
  assert.equal(watch.kinds().filter((kind) => kind === 'deposit-funded').length, 2)
  await eventually('down', () => watch.watcher.health.kind === 'down')
  assert.equal(watch.kinds().filter((kind) => kind === 'deposit-funded').length, 2)
  allowed = Number.POSITIVE_INFINITY
  await eventually(
    'the rest seen',
    () => watch.kinds().filter((kind) => kind === 'deposit-funded').length === 4,
  )
})

test('the L1 block comes as text, as a number, or is the block’s own number', async () => {
  await using chain = await startChain()
  const own = await chain.client.blockNumber()
  const cases: [unknown, bigint][] = [
    ['0x10', 16n],
    [17, 17n],
    [undefined, own],
    [null, own],
    ['', own],
  ]
  for (const [l1BlockNumber, expected] of cases) {
    await using shim = await RpcShim.start(chain.anvil.url, async ({ method, forward }) => {
      const result = await forward()
      return method === 'eth_getBlockByNumber' ? { ...(result as object), l1BlockNumber } : result
    })
    await using watch = await watching(chain, new MemoryCursor(), { urls: [shim.url] })
    assert.equal(watch.watcher.head!.l1Block, expected, String(l1BlockNumber))
  }
})

test('anvil under Arbitrum’s chain id writes the L1 block as a number, and it is read', async () => {
  await using anvil = await Anvil.start({ chainId: 42161 })
  const rpc = new Rpc({ urls: [anvil.url], chainId: 42161 }, { clock: systemClock, log: silentLog })
  await anvil.mine(3)
  const raw = (await rpc.request('eth_getBlockByNumber', ['latest', false])) as { l1BlockNumber: unknown }
  assert.equal(typeof raw.l1BlockNumber, 'number')
  assert.equal((await rpc.header('latest'))!.l1Block, BigInt(raw.l1BlockNumber as number))
})

test('a listener that throws disturbs neither the others nor the following', async () => {
  await using chain = await startChain()
  await using watch = await watching(chain)
  const stop = new AbortController()
  watch.watcher.subscribe(() => {
    throw new Error('a mistake')
  }, stop.signal)
  const later: ChainUpdate[] = []
  watch.watcher.subscribe((update) => later.push(update), stop.signal)
  await chain.anvil.mine(2)
  await eventually('told', () => later.length > 0)
  stop.abort()
  assert.equal(watch.watcher.health.kind, 'live')
})

test('a chain without new blocks is reported as standing still', async () => {
  await using chain = await startChain()
  await using watch = await watching(chain, new MemoryCursor(), { staleAfterMs: 100 })
  await eventually('standing still', () => watch.watcher.health.kind === 'standing-still')
  await chain.anvil.mine()
  await eventually('live', () => watch.watcher.health.kind === 'live')
  assert.deepEqual(watch.problems.slice(0, 2), ['chain-standing-still begun', 'chain-standing-still ended'])
})

test('replicas of which one lags three blocks make no reorganisation and no outage, and every event is told once', async () => {
  await using chain = await startChain()
  await using shim = await startHabits(chain.anvil.url, [HABITS.laggingReplicas])
  const log = new RecordingLog()
  await using watch = await watching(chain, new MemoryCursor(), { urls: [shim.url], log })
  for (let i = 1n; i <= 20n; i++) {
    await chain.protocol.fundSender(devnetKey('s'), i, 0n)
    await sleep(30)
  }
  await eventually('all seen', () => watch.kinds().filter((kind) => kind === 'deposit-funded').length >= 20)
  const amounts = watch.updates.flatMap(({ events }) =>
    events.flatMap((event) => (event.kind === 'deposit-funded' ? [event.amount] : [])),
  )
  assert.deepEqual(
    amounts,
    Array.from({ length: 20 }, (_, i) => BigInt(i + 1)),
  )
  assert.deepEqual(
    watch.updates.filter(({ reorganised }) => reorganised),
    [],
  )
  assert.deepEqual(log.of('error'), [])
  assert.deepEqual(log.of('warn'), [])
})

test('an endpoint that has not got to the first block seen is waited for', async () => {
  await using chain = await startChain()
  await chain.anvil.mine(5)
  let lag = 0
  await using shim = await RpcShim.start(chain.anvil.url, (request) => asOf(request, lag))
  await using watch = await watching(chain, new MemoryCursor(), { urls: [shim.url], pollMs: 100 })
  lag = 3
  const asked = shim.asked.get('eth_getBlockByNumber')!
  await eventually('looked again', () => shim.asked.get('eth_getBlockByNumber')! >= asked + 2)
  lag = 0
  await chain.anvil.mine()
  await eventually('the next block', () => watch.updates.length === 2)
  assert.deepEqual(
    watch.updates.map(({ reorganised }) => reorganised),
    [false, false],
  )
})

test('a block that one answer alone calls replaced is no reorganisation', async () => {
  await using chain = await startChain()
  await chain.anvil.mine(5)
  let lies = 0
  await using shim = await RpcShim.start(chain.anvil.url, async ({ method, params, forward }) => {
    const block = (await forward()) as { number: string } | null
    const isOld = method === 'eth_getBlockByNumber' && params[0] !== 'latest'
    return isOld && lies-- > 0 ? { ...block, hash: `0x${'ab'.repeat(32)}` } : block
  })
  await using watch = await watching(chain, new MemoryCursor(), { urls: [shim.url] })
  lies = 1
  await chain.anvil.mine(3)
  const head = await chain.client.blockNumber()
  await eventually('the new blocks', () => watch.watcher.head!.number === head)
  assert.ok(lies <= 0)
  assert.deepEqual(
    watch.updates.filter(({ reorganised }) => reorganised),
    [],
  )
})

test('a reorganisation tells which blocks are kept', async () => {
  await using chain = await startChain()
  await using watch = await watching(chain)
  await chain.anvil.mine()
  const kept = await chain.client.blockNumber()
  await eventually('seen', () => watch.watcher.head!.number === kept)
  const snapshot = await chain.anvil.request('evm_snapshot')
  await chain.anvil.mine(2)
  await eventually('seen', () => watch.watcher.head!.number === kept + 2n)
  await chain.anvil.request('evm_revert', [snapshot])
  await chain.anvil.request('evm_increaseTime', [100])
  await chain.anvil.mine(5)
  await eventually('reorganised', () => watch.updates.some(({ reorganised }) => reorganised))
  assert.equal(watch.updates.find(({ reorganised }) => reorganised)!.keptTo, kept)
})

test('after a restart what is not confirmed is told once more, and nothing older', async () => {
  await using chain = await startChain()
  const cursor = new MemoryCursor()
  {
    await using first = await watching(chain, cursor)
    const fund = async (amount: bigint) => {
      await chain.protocol.fundSender(devnetKey('s'), amount, 0n)
      await eventually('seen', async () => first.watcher.head!.number === (await chain.client.blockNumber()))
    }
    await fund(1n)
    for (let i = 0; i < 20; i++) {
      await chain.anvil.mine()
      const head = await chain.client.blockNumber()
      await eventually('seen', () => first.watcher.head!.number === head)
    }
    await fund(2n)
  }
  await using second = await watching(chain, cursor)
  const amounts = second.updates.flatMap(({ events }) =>
    events.flatMap((event) => (event.kind === 'deposit-funded' ? [event.amount] : [])),
  )
  assert.deepEqual(amounts, [2n])
})
