import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import { Anvil } from '../../../devnet/anvil.ts'
import { freePort } from '../../../devnet/free-port.ts'
import { HABITS, startHabits } from '../../../test/chain/rpc-habits.ts'
import { RpcFault, RpcShim } from '../../../test/chain/rpc-shim.ts'
import { eventually } from '../../../test/tools/until.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import type { ChainError } from './chain-error.ts'
import type { RpcOptions } from './endpoint-pool.ts'
import { Rpc } from './rpc.ts'

let anvil: Anvil

before(async () => {
  anvil = await Anvil.start()
})
after(() => anvil.stop())

/** Sleeps as it should but tells any time it is set to. */
class MovedClock implements Clock {
  moved = 0
  now(): number {
    return Date.now() + this.moved
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(Math.min(ms, 10), signal)
  }
}

function connect(urls: string[], over: Partial<RpcOptions> = {}, clock: Clock = systemClock): Rpc {
  return new Rpc({ urls, chainId: anvil.chainId, timeoutMs: 2_000, ...over }, { clock, log: silentLog })
}

const kinds = (rpc: Rpc) => rpc.health().map(({ state }) => state.kind)

test('the first endpoint is used while it is healthy', async () => {
  await using first = await RpcShim.start(anvil.url)
  await using second = await RpcShim.start(anvil.url)
  const rpc = connect([first.url, second.url])
  await rpc.quantity('eth_blockNumber')
  await rpc.quantity('eth_blockNumber')
  assert.equal(first.asked.get('eth_blockNumber'), 2)
  assert.deepEqual([...second.asked], [])
  assert.deepEqual(kinds(rpc), ['healthy', 'untried'])
})

test('requests made at once before the first answer all wait for the first look at the endpoint', async () => {
  await using shim = await RpcShim.start(anvil.url)
  const rpc = connect([shim.url])
  const answers = await Promise.all(Array.from({ length: 5 }, () => rpc.quantity('eth_gasPrice')))
  assert.ok(answers.every((price) => price > 0n))
  assert.equal(shim.asked.get('eth_chainId'), 1)
})

test('an endpoint that is down is passed over, and used again once it is back', async () => {
  await using second = await RpcShim.start(anvil.url)
  let down = true
  await using first = await RpcShim.start(anvil.url, ({ forward }) =>
    down ? Promise.resolve(undefined) : forward(),
  )
  const clock = new MovedClock()
  const rpc = connect([first.url, second.url], {}, clock)
  assert.equal(await rpc.quantity('eth_chainId'), 54321n)
  assert.deepEqual(kinds(rpc), ['down', 'healthy'])
  down = false
  clock.moved = 60_000
  await rpc.quantity('eth_chainId')
  await eventually('first is healthy', () => kinds(rpc)[0] === 'healthy')
  const before = second.asked.get('eth_gasPrice') ?? 0
  await rpc.quantity('eth_gasPrice')
  assert.equal(second.asked.get('eth_gasPrice') ?? 0, before)
})

test('a request in flight when its endpoint dies is answered by the next', async () => {
  await using first = await RpcShim.start(anvil.url, ({ method, forward }) =>
    method === 'eth_gasPrice' ? Promise.resolve(undefined) : forward(),
  )
  await using second = await RpcShim.start(anvil.url)
  const rpc = connect([first.url, second.url])
  assert.ok((await rpc.quantity('eth_gasPrice')) > 0n)
  assert.deepEqual(kinds(rpc), ['down', 'healthy'])
})

test('an endpoint that does not answer in time is called slow, and the next is used', async () => {
  await using first = await RpcShim.start(anvil.url, () => new Promise(() => {}))
  await using second = await RpcShim.start(anvil.url)
  const rpc = connect([first.url, second.url], { timeoutMs: 200 })
  assert.equal(await rpc.quantity('eth_chainId'), 54321n)
  assert.deepEqual(kinds(rpc), ['slow', 'healthy'])
})

test('an endpoint of another chain is never used', async () => {
  await using other = await Anvil.start({ chainId: 777 })
  const rpc = connect([other.url, anvil.url])
  assert.equal(await rpc.quantity('eth_chainId'), 54321n)
  assert.deepEqual(kinds(rpc), ['wrong-chain', 'healthy'])
  const alone = connect([other.url])
  await assert.rejects(alone.request('eth_chainId'), {
    code: 'wrong-chain',
    message: `no usable RPC endpoint in -ethUrl: ${other.url} serves chain 777, this node is on chain 54321`,
  })
})

test('where no chain id is given, the first endpoint’s is demanded of the others', async () => {
  await using other = await Anvil.start({ chainId: 777 })
  const rpc = connect([anvil.url, other.url], { chainId: null })
  assert.equal(await rpc.chainId(), 54321)
  await assert.rejects(
    connect([other.url], { chainId: 54321 })
      .chainId()
      .then(() => connect([other.url]).request('eth_chainId')),
    {
      code: 'wrong-chain',
    },
  )
})

test('an endpoint whose newest block is much older than another’s is stale', async () => {
  await using old = await RpcShim.start(anvil.url, async ({ method, forward }) => {
    const result = await forward()
    if (method !== 'eth_getBlockByNumber') return result
    return { ...(result as object), number: '0x0', timestamp: '0x1000' }
  })
  const clock = new MovedClock()
  const rpc = connect([old.url, anvil.url], { staleAfterMs: 60_000 }, clock)
  const look = () =>
    rpc.pinned(async (pin) => {
      const header = (await rpc.header('latest'))!
      pin.sawHead(header)
      return header.number
    })
  await look()
  assert.deepEqual(kinds(rpc), ['healthy', 'untried'])
  await anvil.mine(2)
  // It stands still: the others are asked, one of them is far ahead.
  clock.moved = 61_000
  await look()
  await eventually('stale', () => kinds(rpc)[0] === 'stale')
  assert.ok((await look()) > 0n)
  assert.match(inspect(rpc.health()), /is stale: its newest block is \d+ s older than another endpoint's/)
})

test('an endpoint that stands still because the chain does is kept', async () => {
  await using first = await RpcShim.start(anvil.url)
  await using second = await RpcShim.start(anvil.url)
  const clock = new MovedClock()
  const rpc = connect([first.url, second.url], { staleAfterMs: 60_000 }, clock)
  const look = () => rpc.pinned(async (pin) => pin.sawHead((await rpc.header('latest'))!))
  await look()
  clock.moved = 61_000
  await look()
  await eventually('the other was looked at', () => kinds(rpc)[1] === 'healthy')
  assert.deepEqual(kinds(rpc), ['healthy', 'healthy'])
})

test('when nothing answers, the sentence names each endpoint and why, and no key of its URL', async () => {
  const port = await freePort()
  await using locked = await RpcShim.start(anvil.url, () => new Promise(() => {}))
  const rpc = connect([`http://user:password@127.0.0.1:${port}/v2/KEY?token=KEY`, `${locked.url}/KEY`], {
    timeoutMs: 150,
  })
  const error = (await rpc.request('eth_chainId').catch((reason) => reason)) as ChainError
  assert.equal(error.code, 'rpc-unreachable')
  assert.equal(
    error.message,
    'no usable RPC endpoint in -ethUrl: ' +
      `http://127.0.0.1:${port}: nothing listens there (connection refused); ` +
      `${locked.url} did not answer eth_chainId within 0.15 s`,
  )
  assert.doesNotMatch(inspect(rpc.health()), /KEY|password/)
})

test('a single endpoint that restarts is used again without waiting', async () => {
  const own = await Anvil.start()
  const rpc = connect([own.url])
  assert.equal(await rpc.quantity('eth_blockNumber'), 0n)
  await own.stop()
  await using restarted = await Anvil.start({ port: own.port })
  await restarted.mine(2)
  assert.equal(await rpc.quantity('eth_blockNumber'), 2n)
})

test('what passes by itself is asked again: limits and replicas that lag', async () => {
  for (const [code, message] of [
    [-32005, 'limit exceeded'],
    [429, 'Too Many Requests'],
    [-32000, 'header not found'],
    [-32000, 'unsupported block number 7'],
  ] as const) {
    let failures = 2
    await using shim = await RpcShim.start(anvil.url, ({ method, forward }) => {
      if (method === 'eth_gasPrice' && failures-- > 0) throw new RpcFault(code, message)
      return forward()
    })
    const rpc = connect([shim.url], {}, new MovedClock())
    assert.ok((await rpc.quantity('eth_gasPrice')) > 0n, message)
    assert.deepEqual(kinds(rpc), ['healthy'])
  }
})

test('a verdict of the chain is not asked for a second time elsewhere', async () => {
  await using first = await RpcShim.start(anvil.url, ({ method, forward }) => {
    if (method === 'eth_call') throw new RpcFault(3, 'execution reverted: no')
    return forward()
  })
  await using second = await RpcShim.start(anvil.url)
  const rpc = connect([first.url, second.url])
  await assert.rejects(rpc.request('eth_call', [{}, 'latest']), {
    code: 'reverted',
    message: 'the contract refused: no',
  })
  assert.deepEqual([...second.asked], [])
})

test('several requests that belong together see one endpoint', async () => {
  await using first = await RpcShim.start(anvil.url)
  await using second = await RpcShim.start(anvil.url)
  const rpc = connect([first.url, second.url])
  let tries = 0
  await rpc.pinned(async (pin) => {
    tries++
    await pin.request('eth_blockNumber', [])
    if (tries === 1) first.intercept = () => Promise.resolve(undefined)
    await pin.request('eth_gasPrice', [])
  })
  assert.equal(tries, 2)
  assert.equal(second.asked.get('eth_blockNumber'), 1)
  assert.equal(second.asked.get('eth_gasPrice'), 1)
})

test('an aborted request ends at once, and the endpoint is not blamed', async () => {
  await using shim = await RpcShim.start(anvil.url, ({ method, forward }) =>
    method === 'eth_gasPrice' ? new Promise(() => {}) : forward(),
  )
  const rpc = connect([shim.url])
  await rpc.chainId()
  await rpc.request('eth_blockNumber')
  const stop = new AbortController()
  const request = rpc.request('eth_gasPrice', [], stop.signal)
  const outcome = assert.rejects(request, { name: 'AbortError' })
  setTimeout(() => stop.abort(), 50)
  await outcome
  assert.deepEqual(kinds(rpc), ['healthy'])
})

test('answers that are not JSON-RPC are refused without a crash', async () => {
  const { createServer } = await import('node:http')
  const cases: [number, string, RegExp][] = [
    [200, '<html>', /did not answer with JSON-RPC$/],
    [200, '[]', /did not answer with JSON-RPC$/],
    [200, 'null', /did not answer with JSON-RPC$/],
    [200, '{"id":1}', /with neither result nor error$/],
    [200, '{"result":"0xzz"}', /answered eth_chainId in another form$/],
    [401, 'no', /answers with HTTP status 401: check the key in its URL$/],
    [404, 'no', /answers with HTTP status 404: check its path$/],
    [503, '{"x":1}', /answers with HTTP status 503$/],
  ]
  for (const [status, body, expected] of cases) {
    const server = createServer((_request, response) => response.writeHead(status).end(body))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    await assert.rejects(connect([`http://127.0.0.1:${port}`]).request('eth_chainId'), { message: expected })
    server.closeAllConnections()
    server.close()
  }
})

test('URLs that cannot be used are refused at once, without repeating what may be a key', () => {
  const cases: [string[], string][] = [
    [[], '-ethUrl needs 1 to 16 URLs, separated by commas'],
    [Array(17).fill('http://localhost'), '-ethUrl needs 1 to 16 URLs, separated by commas'],
    [
      ['localhost'],
      '-ethUrl has an entry that is neither a URL, such as http://localhost:8545, nor the path of an IPC socket',
    ],
    [
      ['secrets/geth'],
      '-ethUrl has an entry that is neither a URL, such as http://localhost:8545, nor the path of an IPC socket',
    ],
    [
      ['ftp://host:8546/KEY'],
      '-ethUrl: ftp://host:8546 cannot be used, only http, https, ws, wss and paths of IPC sockets are supported',
    ],
  ]
  for (const [urls, message] of cases) {
    assert.throws(() => connect(urls), { code: 'bad-endpoint', message })
  }
})

test('an endpoint whose timestamps are ahead of the clock makes no other stale', async () => {
  await using ahead = await startHabits(anvil.url, [HABITS.clockAhead])
  const clock = new MovedClock()
  const rpc = connect([anvil.url, ahead.url], { staleAfterMs: 60_000 }, clock)
  const look = () => rpc.pinned(async (pin) => pin.sawHead((await rpc.header('latest'))!))
  await look()
  clock.moved = 61_000
  await look()
  await eventually('the other was looked at', () => kinds(rpc)[1] === 'healthy')
  await look()
  assert.deepEqual(kinds(rpc), ['healthy', 'healthy'])
})

test('a question to two endpoints has two answers, and one where the others are out of reach', async () => {
  await using first = await RpcShim.start(anvil.url)
  await using second = await RpcShim.start(anvil.url)
  await using third = await RpcShim.start(anvil.url)
  first.intercept = ({ forward, method }) => (method === 'eth_gasPrice' ? Promise.resolve('0x1') : forward())
  const rpc = connect([first.url, second.url, third.url])
  const two = await rpc.askTwo('eth_gasPrice', [])
  assert.deepEqual([two.isLone, two.answers.length, two.answers[0]], [false, 2, '0x1'])
  assert.equal(third.asked.size, 0)
  second.intercept = third.intercept = async () => undefined
  assert.deepEqual(await rpc.askTwo('eth_gasPrice', []), { answers: ['0x1'], isLone: true })
  first.intercept = async () => undefined
  await assert.rejects(rpc.askTwo('eth_gasPrice', []), { code: 'rpc-unreachable' })
  const single = connect([anvil.url])
  assert.equal((await single.askTwo('eth_blockNumber', [])).isLone, false)
})
