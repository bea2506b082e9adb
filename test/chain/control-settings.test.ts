import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import { accountAt, ControlledChain, type LocalNode, LPT } from './control-nodes.ts'

/** What an operator sets while a node runs, how long it lasts, and what is written down of it; becoming an orchestrator. */

const operator = accountAt(3)
let chain: ControlledChain
let node: LocalNode
let flags: string

before(async () => {
  chain = await ControlledChain.start()
  await chain.fund(operator, { lpt: 1_000n })
  const port = await freePort()
  flags = `-orchestrator -orchSecret s -serviceAddr 127.0.0.1:${port} -httpAddr 127.0.0.1:${port} -startupAvailabilityCheck=false -pricePerUnit 7 -reward=false`
  node = await chain.node('o', flags, operator)
})
after(() => chain[Symbol.asyncDispose]())

interface Shown {
  readonly settings?: readonly Record<string, unknown>[]
  readonly changes?: readonly { path: string; params: Record<string, string>; status: number; from: string }[]
}

test('a setting is in force at once, and status tells how it differs from the command line', async () => {
  assert.equal((await node.json<Shown>('/status')).settings, undefined)
  assert.equal((await node.post('/setMaxGasPrice', { amount: 5_000_000_000 })).status, 200)
  assert.equal((await node.ask('GET', '/maxGasPrice')).text, '5000000000')
  const low = await node.post('/setMinGasPrice', { minGasPrice: 6_000_000_000 })
  assert.equal(low.status, 400)
  assert.match(low.text, /is below the minimum gas price of 6000000000/)
  assert.equal((await node.ask('GET', '/minGasPrice')).text, '0')
  const price = { pricePerUnit: '1/3', pixelsPerUnit: 2, broadcasterEthAddr: 'default', persist: 'true' }
  assert.equal((await node.post('/setPriceForBroadcaster', price)).status, 200)
  const single = { ...price, pricePerUnit: 9, broadcasterEthAddr: accountAt(2).address }
  assert.equal((await node.post('/setPriceForBroadcaster', single)).status, 200)
  assert.equal(
    (await node.post('/setMaxFaceValue', { maxfacevalue: 10n ** 16n, persist: 'true' })).status,
    200,
  )
  assert.equal((await node.post('/setMaxSessions', { maxSessions: 4 })).status, 200)
  const { settings, BroadcasterPrices } = await node.json<Shown & { BroadcasterPrices: unknown }>('/status')
  assert.deepEqual(BroadcasterPrices, { default: '1/6', [accountAt(2).address.toLowerCase()]: '9/2' })
  assert.deepEqual(settings, [
    { name: 'maxSessions', flag: '-maxSessions', value: '4', commandLine: '10', kept: null },
    {
      name: 'price',
      flag: '-pricePerUnit',
      value: '1/3 wei per 2',
      commandLine: '7 wei per 1',
      kept: '1/3 wei per 2',
    },
    {
      ...{ name: 'maxFaceValue', flag: '-maxFaceValue', value: '10000000000000000' },
      ...{ commandLine: '0', kept: '10000000000000000' },
    },
    { name: 'maxGasPrice', flag: '-maxGasPrice', value: '5000000000', commandLine: '0', kept: null },
    {
      ...{ name: `price/${accountAt(2).address}`, flag: '-pricePerGateway', value: '9 wei per 2' },
      ...{ commandLine: 'none', kept: '9 wei per 2' },
    },
  ])
})

test('what was refused and what was done is written down, the newest first', async () => {
  const { changes } = await node.json<Shown>('/status')
  const [first, , , third] = changes!.map(({ from, params, path, status }) => ({
    from,
    params,
    path,
    status,
  }))
  assert.deepEqual(first, {
    ...{ from: '127.0.0.1', path: '/setMaxSessions', status: 200 },
    params: { maxSessions: '4' },
  })
  assert.equal(third!.path, '/setPriceForBroadcaster')
  assert.ok(changes!.some(({ path, status }) => path === '/setMinGasPrice' && status === 400))
})

test('after a restart what was kept is in force, the rest as on the command line, and the record goes on', async () => {
  await node.stop()
  node = await chain.node('o', flags, operator)
  const { changes, settings, BroadcasterPrices } = await node.json<Shown & { BroadcasterPrices: unknown }>(
    '/status',
  )
  assert.deepEqual(BroadcasterPrices, { default: '1/6', [accountAt(2).address.toLowerCase()]: '9/2' })
  assert.deepEqual(
    settings!.map(({ name }) => name),
    ['price', 'maxFaceValue', `price/${accountAt(2).address}`],
  )
  assert.equal(changes![0]!.path, '/setMaxSessions')
})

test('an activation that fails half-way tells what is done, and the same call goes on from there', async () => {
  const wanted = {
    ...{ blockRewardCut: 10, feeShare: 5, pricePerUnit: 3, pixelsPerUnit: 1 },
    ...{ serviceURI: 'https://127.0.0.1:9034', amount: 100n * LPT },
  }
  const balance = () => chain.protocol.read('LivepeerToken', 'balanceOf', [operator.address])
  const before = await balance()
  // What can be known before is: then nothing is sent.
  for (const [wrong, status, text] of [
    [
      { serviceURI: 'https://0.0.0.0:9034' },
      500,
      'service address must be a public IP address or hostname\n',
    ],
    [{ blockRewardCut: 101 }, 400, '101 is more than 100 percent\n'],
    [{ blockRewardCut: 'NaN' }, 400, 'strconv.ParseFloat: parsing "NaN": invalid syntax\n'],
    [{ serviceURI: 'nonsense' }, 400, 'parse "nonsense": invalid URI for request\n'],
    [{ unbondingLockId: 77 }, 500, 'execution reverted: invalid unbonding lock ID\n'],
    [{ amount: 0 }, 500, 'execution reverted: transcoder must be registered\n'],
    [{ amount: 10n ** 24n }, 500, null],
  ] as const) {
    const answer = await node.post('/activateOrchestrator', { ...wanted, ...wrong })
    assert.equal(answer.status, status, answer.text)
    if (text !== null) assert.equal(answer.text, text)
  }
  assert.equal(await balance(), before)
  // The registry is taken away, so that the last transaction fails.
  const { serviceRegistry } = chain.protocol.addresses
  const code = await chain.anvil.request('eth_getCode', [serviceRegistry, 'latest'])
  // Reads as an empty text, and refuses every call that is longer than a read of an address.
  const refusing = '0x36602410601157602060005260406000f35b600080fd'
  await chain.anvil.request('anvil_setCode', [serviceRegistry, refusing])
  const failed = await node.post('/activateOrchestrator', wanted)
  assert.equal(failed.status, 500, failed.text)
  assert.match(
    failed.text,
    /\(registering the address failed; done: bonding, setting the cuts: the same call, /,
  )
  assert.equal(await balance(), before - 100n * LPT)
  await chain.anvil.request('anvil_setCode', [serviceRegistry, code])
  await node.stop()
  node = await chain.node('o', flags, operator)
  // What is left is told before it is sent.
  const trial = await node.post('/activateOrchestrator', { ...wanted, dryRun: 'true' })
  const { steps } = JSON.parse(trial.text) as {
    steps: { step: string; isDone: boolean; call: { method: string } | null }[]
  }
  assert.deepEqual(
    steps.map(({ call, isDone, step }) => [step, isDone, call?.method ?? null]),
    [
      ['bonding', true, null],
      ['setting the cuts', true, null],
      ['registering the address', false, 'setServiceURI'],
      ['setting the price', false, null],
    ],
  )
  const resumed = await node.post('/activateOrchestrator', wanted)
  assert.deepEqual([resumed.status, resumed.text], [200, ''])
  // Bonded once.
  assert.equal(await balance(), before - 100n * LPT)
  const { Transcoder } = await node.json<{ Transcoder: Record<string, unknown> }>('/orchestratorInfo')
  assert.equal(Transcoder.ServiceURI, 'https://127.0.0.1:9034')
  assert.equal(Transcoder.RewardCut, 100_000)
  assert.equal(Transcoder.Status, 'Registered')
  const again = await node.post('/activateOrchestrator', wanted)
  assert.deepEqual([again.status, again.text], [400, 'orchestrator already registered\n'])
})

test('new terms are checked before anything is changed', async () => {
  const wrong = { blockRewardCut: 20, feeShare: 30, serviceURI: 'https://0.0.0.0:1' }
  assert.equal((await node.post('/setOrchestratorConfig', wrong)).status, 500)
  const right = { blockRewardCut: 12.5, feeShare: 33.3333, serviceURI: 'https://127.0.0.1:9035' }
  const { status, text } = await node.post('/setOrchestratorConfig', right)
  assert.deepEqual([status, text], [200, ''])
  const { Transcoder } = await node.json<{ Transcoder: Record<string, unknown> }>('/orchestratorInfo')
  const { FeeShare, RewardCut, ServiceURI } = Transcoder
  assert.deepEqual([RewardCut, FeeShare, ServiceURI], [125_000, 333_333, 'https://127.0.0.1:9035'])
})
