import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Anvil } from '../../devnet/anvil.ts'
import { devnetKeyBytes } from '../../devnet/artifacts.ts'
import { walletOfKey } from '../../src/io/chain/wallet.ts'
import { HABITS, type Habit, startHabits } from './rpc-habits.ts'

let anvil: Anvil

before(async () => {
  anvil = await Anvil.start()
  await anvil.mine(200)
})
after(() => anvil.stop())

interface Answer {
  readonly status: number
  readonly retryAfter: string | null
  readonly text: string
}

async function post(url: string, body: unknown): Promise<Answer> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  const retryAfter = response.headers.get('retry-after')
  return { status: response.status, retryAfter, text: await response.text() }
}

const item = (method: string, params: unknown[] = [], id = 1) => ({ jsonrpc: '2.0', id, method, params })

async function resultOf(url: string, method: string, params: unknown[] = []): Promise<unknown> {
  const { text } = await post(url, item(method, params))
  return JSON.parse(text).result
}

async function rawTransaction(nonce: number): Promise<string> {
  const wallet = walletOfKey(devnetKeyBytes('habits'))
  await anvil.setBalance(wallet.address, 10n ** 18n)
  const { raw } = await wallet.signTransaction({
    ...{ type: 'eip1559', chainId: anvil.chainId, nonce, to: wallet.address, value: 1n, gas: 21_000n },
    ...{ maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n },
  })
  return raw
}

test('a limit of 15 allows 15 of 20 in a second, and 15 more in the next', async () => {
  const cases: [Habit, number, string | null, RegExp][] = [
    [HABITS.rateRetryAfter, 429, '1', /Too Many/],
    [HABITS.rateJson429, 429, null, /-32007.*15\/second request limit reached/],
    [HABITS.rateJson200, 200, null, /-32007.*15\/second request limit reached/],
    [HABITS.credits200, 200, null, /-32012.*credits limited/],
    [HABITS.credits429, 429, null, /-32012.*credits limited/],
  ]
  for (const [habit, status, retryAfter, words] of cases) {
    let now = 0
    await using shim = await startHabits(anvil.url, [habit], { now: () => now })
    const ask = async () => {
      const call = item('eth_call', [{ to: `0x${'00'.repeat(20)}`, data: '0x' }, 'latest'])
      const answers = await Promise.all(Array.from({ length: 20 }, () => post(shim.url, call)))
      return answers.filter(({ text }) => !('result' in parsed(text)))
    }
    const refused = await ask()
    assert.deepEqual(
      refused.map((answer) => [answer.status, answer.retryAfter]),
      Array(5).fill([status, retryAfter]),
      habit.name,
    )
    assert.match(refused[0]!.text, words)
    assert.equal((await ask()).length, 20)
    now = 1_001
    assert.equal((await ask()).length, 5)
    assert.equal(shim.asked.get('eth_call'), 60)
  }
})

function parsed(text: string): object {
  return text.startsWith('{') ? JSON.parse(text) : {}
}

test('each batch is handled as configured', async () => {
  const batch = [item('eth_blockNumber', [], 1), item('eth_chainId', [], 2)]
  const refusal = { code: -32600, message: 'batch requests are not supported' }
  const cases: [Habit, number, unknown][] = [
    [
      HABITS.none,
      200,
      [
        { jsonrpc: '2.0', id: 1, result: '0xc8' },
        { jsonrpc: '2.0', id: 2, result: '0xd431' },
      ],
    ],
    [HABITS.batchHttp400, 400, 'Bad Request'],
    [HABITS.batchOneError, 200, { jsonrpc: '2.0', id: null, error: refusal }],
    [HABITS.batchItemErrors, 200, [1, 2].map((id) => ({ jsonrpc: '2.0', id, error: refusal }))],
  ]
  for (const [habit, status, expected] of cases) {
    await using shim = await startHabits(anvil.url, [habit])
    const answer = await post(shim.url, batch)
    assert.equal(answer.status, status)
    assert.deepEqual(answer.text.startsWith('B') ? answer.text : JSON.parse(answer.text), expected)
    assert.equal(await resultOf(shim.url, 'eth_blockNumber'), '0xc8')
    assert.equal(shim.posts, 2)
  }
})

test('log ranges beyond the limit are refused with the provider’s own text', async () => {
  const cases: [Habit, number, RegExp][] = [
    [HABITS.ranges100, 100, /requested too many blocks from 1 to 101, maximum is set to 100/],
    [HABITS.rangesUnknownWords, 10, /upgrade your plan/],
    [HABITS.rangesOfOne, 1, /"no"/],
    [HABITS.ranges400, 50, /"no"/],
  ]
  for (const [habit, most, words] of cases) {
    await using shim = await startHabits(anvil.url, [habit])
    const logs = (blocks: number) =>
      post(shim.url, item('eth_getLogs', [{ fromBlock: '0x1', toBlock: `0x${blocks.toString(16)}` }]))
    assert.deepEqual(JSON.parse((await logs(most)).text).result, [])
    assert.match((await logs(most + 1)).text, words)
  }
})

test('the chain has every transaction whose answer was lost, and none that was falsely refused', async () => {
  let nonce = Number(
    await anvil.request('eth_getTransactionCount', [walletOfKey(devnetKeyBytes('habits')).address, 'latest']),
  )
  await using lost = await startHabits(anvil.url, [HABITS.lostAnswers])
  assert.equal(
    (await post(lost.url, item('eth_sendRawTransaction', [await rawTransaction(nonce++)]))).status,
    502,
  )
  assert.equal(
    (await post(lost.url, item('eth_sendRawTransaction', [await rawTransaction(nonce++)]))).status,
    200,
  )
  await using cut = await startHabits(anvil.url, [HABITS.cutAfterTaking])
  await assert.rejects(post(cut.url, item('eth_sendRawTransaction', [await rawTransaction(nonce++)])))
  await using falsely = await startHabits(anvil.url, [HABITS.falseNonceTooLow])
  await post(falsely.url, item('eth_sendRawTransaction', [await rawTransaction(nonce++)]))
  const refused = await post(falsely.url, item('eth_sendRawTransaction', [await rawTransaction(nonce)]))
  assert.match(refused.text, /nonce too low/)
  const account = walletOfKey(devnetKeyBytes('habits')).address
  assert.equal(Number(await anvil.request('eth_getTransactionCount', [account, 'latest'])), nonce)
})

test('a lagging replica does not know the newest blocks', async () => {
  await using shim = await startHabits(anvil.url, [HABITS.laggingReplicas])
  const newest = Number(await anvil.request('eth_blockNumber'))
  const seen: number[] = []
  for (let i = 0; i < 4; i++) seen.push(Number(await resultOf(shim.url, 'eth_blockNumber')))
  assert.deepEqual(seen, [newest, newest - 3, newest, newest - 3])
  const block = (number: number) =>
    resultOf(shim.url, 'eth_getBlockByNumber', [`0x${number.toString(16)}`, false])
  assert.notEqual(await block(newest), null)
  assert.equal(await block(newest), null)
  const balance = item('eth_getBalance', [`0x${'00'.repeat(20)}`, `0x${newest.toString(16)}`])
  assert.match((await post(shim.url, balance)).text, /"result":"0x/)
  assert.match((await post(shim.url, balance)).text, /header not found/)
})

test('times and fees are changed in every answer that contains them', async () => {
  await using ahead = await startHabits(anvil.url, [HABITS.clockAhead])
  const newest = (await resultOf(ahead.url, 'eth_getBlockByNumber', ['latest', false])) as {
    timestamp: string
  }
  const truth = await anvil.request<{ timestamp: string }>('eth_getBlockByNumber', ['latest', false])
  assert.equal(Number(newest.timestamp) - Number(truth.timestamp), 3_600)
  await using absurd = await startHabits(anvil.url, [HABITS.absurdFees])
  for (const method of ['eth_gasPrice', 'eth_maxPriorityFeePerGas']) {
    assert.ok(BigInt(String(await resultOf(absurd.url, method))) > 10n ** 15n)
  }
  const history = (await resultOf(absurd.url, 'eth_feeHistory', ['0x2', 'latest', [50]])) as {
    baseFeePerGas: string[]
  }
  assert.ok(history.baseFeePerGas.every((fee) => BigInt(fee) > 10n ** 15n))
})

test('random faults happen about as often as their names say', async () => {
  const habits = [
    HABITS.headerNotFound,
    HABITS.trieNode,
    HABITS.json503,
    HABITS.json500Revert,
    HABITS.html502,
  ]
  for (const habit of [...habits, HABITS.unknownWords]) {
    await using shim = await startHabits(anvil.url, [habit])
    let refused = 0
    for (let i = 0; i < 100; i++) {
      const { text } = await post(shim.url, item('eth_getBalance', [`0x${'00'.repeat(20)}`, 'latest']))
      if (!('result' in parsed(text))) refused++
    }
    const percent = Number(/^(\d+) %/.exec(habit.name)![1])
    assert.ok(Math.abs(refused - percent) < 15, `${habit.name}: ${refused}`)
  }
})
