import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Anvil } from '../../../devnet/anvil.ts'
import { HABITS, startHabits } from '../../../test/chain/rpc-habits.ts'
import { HttpFault, RpcFault, RpcShim } from '../../../test/chain/rpc-shim.ts'
import { FastClock } from '../../../test/fakes/fast-clock.ts'
import { eventually } from '../../../test/tools/until.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Rpc } from './rpc.ts'

let anvil: Anvil

before(async () => {
  anvil = await Anvil.start()
})
after(() => anvil.stop())

function connect(urls: string[], clock: Clock = systemClock): Rpc {
  return new Rpc({ urls, chainId: anvil.chainId }, { clock, log: silentLog })
}

const account = (i: number) => `0x${i.toString(16).padStart(40, '0')}`
const balances = (rpc: Rpc, count: number) =>
  Promise.all(Array.from({ length: count }, (_, i) => rpc.quantity('eth_getBalance', [account(i), 'latest'])))
const call = (rpc: Rpc, to: number) =>
  rpc.request('eth_call', [{ to: account(to), data: '0x12345678' }, 'latest'])

test('behind a limit every one of 100 reads is answered, and few are asked in vain', async () => {
  const { rateRetryAfter, rateJson429, rateJson200, credits200, credits429 } = HABITS
  for (const habit of [rateRetryAfter, rateJson429, rateJson200, credits200, credits429]) {
    const clock = new FastClock(5)
    await using shim = await startHabits(anvil.url, [habit], { now: () => clock.now() })
    const rpc = connect([shim.url], clock)
    assert.equal((await balances(rpc, 100)).length, 100)
    // The first burst of 32 tells the limit, and costs what it refuses.
    assert.ok(shim.requests < 150, `${habit.name}: ${shim.requests} requests`)
  }
})

test('an endpoint that says when to come back is left alone until then', async () => {
  const clock = new FastClock(20)
  const times: number[] = []
  let isLimited = true
  await using shim = await RpcShim.start(anvil.url, ({ forward, method }) => {
    if (method === 'eth_gasPrice') times.push(clock.now())
    if (method === 'eth_gasPrice' && isLimited) {
      isLimited = false
      throw new HttpFault(429, 'later', { 'retry-after': '7' })
    }
    return forward()
  })
  const rpc = connect([shim.url], clock)
  assert.ok((await rpc.quantity('eth_gasPrice')) > 0n)
  assert.ok(times[1]! - times[0]! >= 7_000, `${times[1]! - times[0]!} ms`)
})

test('a first endpoint that is of no use is passed over for one that is', async () => {
  for (const habit of [
    HABITS.neverWithinLimits,
    HABITS.rateJson429,
    HABITS.trieNode,
    HABITS.unknownWords,
    HABITS.json503,
  ]) {
    await using first = await startHabits(anvil.url, [habit])
    await using second = await RpcShim.start(anvil.url)
    const rpc = connect([first.url, second.url])
    const started = Date.now()
    assert.equal((await balances(rpc, 60)).length, 60, habit.name)
    assert.ok(Date.now() - started < 40_000, habit.name)
    assert.ok(second.requests > 0, habit.name)
  }
})

test('what is refused now and then is answered all the same', async () => {
  const habits = [
    HABITS.headerNotFound,
    HABITS.trieNode,
    HABITS.unknownWords,
    HABITS.json503,
    HABITS.html502,
    HABITS.json500Revert,
  ]
  for (const habit of habits) {
    await using shim = await startHabits(anvil.url, [habit])
    const rpc = connect([shim.url], new FastClock(10))
    const outcomes: string[] = []
    for (let i = 0; i < 40; i++) {
      await rpc.quantity('eth_getBalance', [account(i), 'latest']).then(
        () => outcomes.push('answered'),
        (error) => outcomes.push(error.message),
      )
    }
    assert.deepEqual(outcomes, Array(40).fill('answered'), habit.name)
  }
})

test('batches and calls in one request are used where they are answered, and given up where they are not', async () => {
  for (const habit of [HABITS.none, HABITS.batchHttp400, HABITS.batchOneError, HABITS.batchItemErrors]) {
    await using shim = await startHabits(anvil.url, [habit])
    const rpc = connect([shim.url])
    await rpc.request('eth_chainId')
    const before = shim.posts
    await balances(rpc, 40)
    // 32 are under way at once, at most twenty in a batch; where batches are refused, those and each request alone.
    const [least, most] = habit === HABITS.none ? [3, 3] : [41, 46]
    const posts = shim.posts - before
    assert.ok(posts >= least && posts <= most, `${habit.name}: ${posts}`)
    const then = shim.posts
    await balances(rpc, 40)
    if (habit !== HABITS.batchItemErrors)
      assert.equal(shim.posts - then, habit === HABITS.none ? 3 : 40, habit.name)
  }
})

test('calls of views at one block are one request; where that is refused each is made alone', async () => {
  for (const habit of [HABITS.none, HABITS.noCallsWithoutTarget]) {
    await using shim = await startHabits(anvil.url, [habit])
    const rpc = connect([shim.url])
    await rpc.request('eth_chainId')
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => call(rpc, 1_000 + i)))
    assert.deepEqual(answers, Array(100).fill('0x'))
    const asked = shim.asked.get('eth_call')!
    assert.equal(asked, habit === HABITS.none ? 2 : 102, habit.name)
    await Promise.all(Array.from({ length: 10 }, (_, i) => call(rpc, 2_000 + i)))
    assert.equal(shim.asked.get('eth_call')! - asked, habit === HABITS.none ? 1 : 10, habit.name)
  }
})

test('of calls made by one request each has its own outcome', async () => {
  await using shim = await RpcShim.start(anvil.url, ({ forward, params }) => {
    const [{ to } = {}] = params as [{ to?: string }?]
    if (to === account(1_007)) throw new RpcFault(3, 'execution reverted: seven')
    return to === account(1_008) ? Promise.resolve('0x08') : forward()
  })
  const rpc = connect([shim.url])
  await rpc.chainId()
  const outcomes = await Promise.allSettled([call(rpc, 1_007), call(rpc, 1_008), call(rpc, 1_009)])
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.message)),
    ['the contract refused: seven', '0x08', '0x'],
  )
  assert.equal(shim.asked.get('eth_call'), 1)
})

test('equal requests that wait share one call; one made after it was sent gets its own', async () => {
  await using shim = await RpcShim.start(anvil.url)
  const rpc = connect([shim.url])
  await rpc.request('eth_gasPrice')
  await Promise.all(Array.from({ length: 50 }, () => rpc.request('eth_gasPrice')))
  assert.equal(shim.asked.get('eth_gasPrice'), 2)
  const first = rpc.request('eth_gasPrice')
  await eventually('sent', () => shim.asked.get('eth_gasPrice') === 3)
  await Promise.all([first, rpc.request('eth_gasPrice')])
  assert.equal(shim.asked.get('eth_gasPrice'), 4)
})

test('where requests have to wait, transactions go first and nothing waits for ever', async () => {
  const clock = new FastClock(10)
  const order: string[] = []
  const limited = (await startHabits(anvil.url, [HABITS.rateRetryAfter], {
    now: () => clock.now(),
  })) as RpcShim
  await using shim = limited
  const pass = shim.intercept
  shim.intercept = async (request) => {
    const answer = await pass(request)
    order.push(request.method)
    return answer
  }
  const rpc = connect([shim.url], clock)
  const reads = balances(rpc, 60)
  await eventually('limited', () => shim.requests > 30)
  const sent = rpc
    .request('eth_sendRawTransaction', ['0x00'])
    .catch(() => order.push('eth_sendRawTransaction'))
  const prices = rpc.request('eth_gasPrice')
  await Promise.all([reads, sent, prices])
  const at = order.indexOf('eth_sendRawTransaction')
  assert.ok(at < 40, `${at} of ${order.length}`)
  assert.ok(order.includes('eth_gasPrice'))
})

test('a request that no caller wants any more is neither sent nor waited for', async () => {
  const clock = new FastClock(10)
  await using shim = await startHabits(anvil.url, [HABITS.rateRetryAfter])
  const rpc = connect([shim.url], clock)
  await rpc.request('eth_blockNumber')
  const limited = await startHabits(anvil.url, [HABITS.neverWithinLimits])
  await using _ = limited
  shim.intercept = limited.intercept
  const asked0 = shim.requests
  const stop = new AbortController()
  const asked = Promise.allSettled([
    rpc.request('eth_gasPrice', [], stop.signal),
    rpc.request('eth_blockNumber', [], stop.signal),
  ])
  await eventually('asked', () => shim.requests > asked0)
  stop.abort()
  const outcomes = await asked
  assert.ok(
    outcomes.every((outcome) => outcome.status === 'rejected' && outcome.reason.name === 'AbortError'),
  )
})

test('an endpoint that never takes a request again is told of as limited, with its words', async () => {
  const clock = new FastClock(200)
  let isLimited = false
  await using shim = await RpcShim.start(anvil.url, ({ forward }) => {
    if (isLimited) throw new HttpFault(429, 'no')
    return forward()
  })
  const rpc = connect([shim.url], clock)
  await rpc.request('eth_gasPrice')
  isLimited = true
  await assert.rejects(rpc.request('eth_gasPrice'), {
    code: 'rpc-limited',
    message: /waited too long for its turn \(.* limits requests: HTTP status 429\)$/,
  })
  assert.equal(rpc.health()[0]!.state.kind, 'limited')
  isLimited = false
  await rpc.request('eth_gasPrice')
  assert.equal(rpc.health()[0]!.state.kind, 'healthy')
})

test('a transaction that may have arrived is not sent a second time', async () => {
  for (const habit of [HABITS.lostAnswers, HABITS.cutAfterTaking]) {
    await using first = await startHabits(anvil.url, [habit])
    await using second = await RpcShim.start(anvil.url)
    const rpc = connect([first.url, second.url])
    await rpc.request('eth_blockNumber')
    first.intercept = (request) => {
      if (request.method === 'eth_sendRawTransaction') {
        if (habit === HABITS.cutAfterTaking) return Promise.resolve(undefined)
        throw new HttpFault(502, 'Bad Gateway')
      }
      return request.forward()
    }
    await assert.rejects(rpc.request('eth_sendRawTransaction', ['0x00']), { code: 'rpc-unreachable' })
    assert.equal(second.asked.get('eth_sendRawTransaction'), undefined)
  }
})

test('what an endpoint says of its key is not repeated', async () => {
  await using shim = await RpcShim.start(anvil.url, async ({ method }) => {
    throw new RpcFault(-32_000, `no ${method} for project KEYKEYKEY of me with token s3cr3t: /v2/KEYKEYKEY`)
  })
  const url = shim.url.replace('http://', 'http://me:pa%ss@')
  const rpc = connect([`${url}/v2/KEYKEYKEY?token=s3cr3t`])
  await assert.rejects(rpc.request('eth_gasPrice'), ({ message }: Error) => {
    assert.match(message, /no eth_chainId for project \*\*\* of me with token \*\*\*: \/\*\*\*/)
    return true
  })
  assert.doesNotMatch(
    JSON.stringify(rpc.health(), (_, value) => String(value)),
    /KEY|s3cr3t|pa%ss/,
  )
})
