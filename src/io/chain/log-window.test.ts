import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Anvil } from '../../../devnet/anvil.ts'
import { HABITS, type Habit, startHabits } from '../../../test/chain/rpc-habits.ts'
import { HttpFault, RpcFault, RpcShim } from '../../../test/chain/rpc-shim.ts'
import { systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { LogWindow } from './log-window.ts'
import { Rpc } from './rpc.ts'

const BLOCKS = 800n
let anvil: Anvil

before(async () => {
  anvil = await Anvil.start()
  await anvil.mine(Number(BLOCKS))
})
after(() => anvil.stop())

function connect(url: string): Rpc {
  return new Rpc({ urls: [url], chainId: anvil.chainId }, { clock: systemClock, log: silentLog })
}

/** Fetches everything up to the last block; gives the windows that were answered. */
async function fetchAll(rpc: Rpc, window: LogWindow, from = 1n): Promise<bigint[]> {
  const sizes: bigint[] = []
  for (let at = from; at <= BLOCKS; ) {
    const { to } = await rpc.pinned((pin) => window.fetch(pin.request, at, BLOCKS))
    sizes.push(to - at + 1n)
    at = to + 1n
  }
  return sizes
}

test('whatever words a range is refused with, the window is halved until it is answered, and that is remembered', async () => {
  const rows: [Habit, bigint, number][] = [
    [HABITS.ranges100, 100n, 25],
    [HABITS.rangesUnknownWords, 6n, 160],
    [HABITS.ranges400, 50n, 50],
  ]
  for (const [habit, size, most] of rows) {
    await using shim = await startHabits(anvil.url, [habit])
    const window = new LogWindow(1_000, { address: [], topics: [] })
    const sizes = await fetchAll(connect(shim.url), window)
    assert.equal(
      sizes.reduce((sum, part) => sum + part),
      BLOCKS,
    )
    assert.equal(sizes[0], size, habit.name)
    // Hardly more is asked than is answered: a larger window is tried now and then.
    const asked = shim.asked.get('eth_getLogs')!
    assert.ok(asked <= sizes.length + 12, `${habit.name}: ${asked} for ${sizes.length}`)
    assert.ok(asked <= most, `${habit.name}: ${asked}`)
  }
})

test('where only single blocks are answered, single blocks are asked for', async () => {
  await using shim = await startHabits(anvil.url, [HABITS.rangesOfOne])
  const sizes = await fetchAll(
    connect(shim.url),
    new LogWindow(1_000, { address: [], topics: [] }),
    BLOCKS - 9n,
  )
  assert.deepEqual(sizes, Array(10).fill(1n))
})

test('a window grows back once the endpoint allows more', async () => {
  await using shim = await startHabits(anvil.url, [HABITS.rangesUnknownWords])
  const rpc = connect(shim.url)
  const window = new LogWindow(1_000, { address: [], topics: [] })
  await rpc.pinned((pin) => window.fetch(pin.request, 1n, BLOCKS))
  assert.ok(window.size < 10n)
  shim.intercept = async ({ forward, method }) => (method === 'eth_getLogs' ? [] : forward())
  for (let i = 0; window.size < 1_000n; i++) {
    assert.ok(i < 5_000)
    await rpc.pinned((pin) => window.fetch(pin.request, 1n, BLOCKS * 10n))
  }
})

test('a request of several blocks that fails with a server error is smaller the next time, and soon as large as before', async () => {
  let isDown = true
  await using shim = await RpcShim.start(anvil.url, ({ forward, method }) => {
    if (isDown && method === 'eth_getLogs') throw new HttpFault(504, 'Gateway Timeout')
    return forward()
  })
  const rpc = connect(shim.url)
  const window = new LogWindow(1_000, { address: [], topics: [] })
  const fetch = () => rpc.pinned((pin) => window.fetch(pin.request, 1n, BLOCKS))
  await assert.rejects(fetch(), { code: 'rpc-unreachable' })
  assert.ok(window.size <= 400n)
  isDown = false
  for (let i = 0; i < 3; i++) await rpc.pinned((pin) => window.fetch(pin.request, 1n, BLOCKS * 10n))
  assert.equal(window.size, 1_000n)
})

test('a replica that does not know the newest block yet makes no window smaller', async () => {
  let asked = 0
  await using shim = await RpcShim.start(anvil.url, ({ forward, method }) => {
    if (method === 'eth_getLogs' && asked++ % 2 === 0) {
      throw new RpcFault(-32000, 'block range extends beyond current head block')
    }
    return forward()
  })
  const window = new LogWindow(1_000, { address: [], topics: [] })
  assert.deepEqual(await fetchAll(connect(shim.url), window), [BLOCKS])
  assert.equal(window.size, 1_000n)
})
