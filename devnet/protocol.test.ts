import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../test/tools/until.ts'
import { Anvil } from './anvil.ts'
import { devnetKey } from './artifacts.ts'
import { Protocol } from './protocol.ts'

const ETHER = 10n ** 18n

test('the official contracts are deployed and configured, and the first round is initialised', async () => {
  await using anvil = await Anvil.start()
  const protocol = await Protocol.deploy(anvil, { roundLength: 40n })
  assert.equal(await protocol.read('RoundsManager', 'roundLength'), 40n)
  assert.equal(await protocol.read('RoundsManager', 'currentRoundInitialized'), true)
  assert.ok((await protocol.read('RoundsManager', 'lastInitializedRound')) >= 1n)
  assert.equal(await protocol.read('TicketBroker', 'unlockPeriod'), 2n)
  assert.equal(await protocol.read('BondingManager', 'getTranscoderPoolMaxSize'), 10n)
  assert.equal(await protocol.read('Controller', 'paused'), false)
  assert.equal(await protocol.read('Minter', 'getGlobalTotalSupply'), 6_843_700n * ETHER)
})

test('a bonded orchestrator is active in the next round, and a sender has its funds', async () => {
  await using anvil = await Anvil.start()
  const protocol = await Protocol.deploy(anvil)
  const stake = 1000n * ETHER
  const orchestrator = await protocol.bondAndRegister(devnetKey('orchestrator'), {
    stake,
    serviceUri: 'https://127.0.0.1:8935',
  })
  assert.equal(await protocol.read('BondingManager', 'isActiveTranscoder', [orchestrator]), false)
  await protocol.nextRound()
  assert.equal(await protocol.read('BondingManager', 'isActiveTranscoder', [orchestrator]), true)
  assert.equal(await protocol.read('BondingManager', 'getFirstTranscoderInPool'), orchestrator)
  assert.equal(
    await protocol.read('ServiceRegistry', 'getServiceURI', [orchestrator]),
    'https://127.0.0.1:8935',
  )
  const sender = await protocol.fundSender(devnetKey('gateway'), ETHER, 2n * ETHER)
  const [account, reserve] = await protocol.read<[{ deposit: bigint }, { fundsRemaining: bigint }]>(
    'TicketBroker',
    'getSenderInfo',
    [sender],
  )
  assert.equal(account.deposit, ETHER)
  assert.equal(reserve.fundsRemaining, 2n * ETHER)
})

test('rounds are initialised as they pass', async () => {
  await using anvil = await Anvil.start()
  const protocol = await Protocol.deploy(anvil, { roundLength: 20n })
  const stop = new AbortController()
  const kept = protocol.keepRoundsInitialized(stop.signal)
  const before = await protocol.read('RoundsManager', 'lastInitializedRound')
  await anvil.mine(20)
  const deadline = Date.now() + 5000
  while ((await protocol.read('RoundsManager', 'lastInitializedRound')) === before && Date.now() < deadline) {
    await sleep(50)
  }
  stop.abort()
  await kept
  assert.equal(await protocol.read('RoundsManager', 'lastInitializedRound'), before + 1n)
})

test('calls at the same time initialise a round with one transaction', async () => {
  await using anvil = await Anvil.start()
  const protocol = await Protocol.deploy(anvil, { roundLength: 20n })
  await anvil.mineOnDemand()
  await anvil.mine(20)
  const before = await protocol.read('RoundsManager', 'lastInitializedRound')
  const all = Promise.all([1, 2, 3].map(() => protocol.initializeRound()))
  const pooled = async () => Number((await anvil.request<{ pending: string }>('txpool_status')).pending)
  await eventually('one is sent', async () => (await pooled()) === 1)
  await anvil.mine()
  await all
  assert.equal(await protocol.read('RoundsManager', 'lastInitializedRound'), before + 1n)
})

test('anvil ends with a parent that was killed', async () => {
  const script = `const { Anvil } = await import(${JSON.stringify(new URL('./anvil.ts', import.meta.url).href)})
    const anvil = await Anvil.start(); console.log(anvil.port); setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(parent.stdout, 'data')) as [Buffer]
  const url = `http://127.0.0.1:${Number(line.toString())}`
  const request = { method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}' }
  const headers = { 'content-type': 'application/json' }
  assert.equal((await fetch(url, { ...request, headers })).status, 200)
  parent.kill('SIGKILL')
  const deadline = Date.now() + 5000
  let answers = true
  while (answers && Date.now() < deadline) {
    await sleep(50)
    answers = await fetch(url, { ...request, headers }).then(
      () => true,
      () => false,
    )
  }
  assert.equal(answers, false)
})

test('anvil leaves no past states in the home or the temporary folder', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'anvil-'))
  t.after(() => rm(home, { recursive: true }))
  const script = `const { Anvil } = await import(${JSON.stringify(new URL('./anvil.ts', import.meta.url).href)})
    const anvil = await Anvil.start(); await anvil.mine(1500); process.exit()`
  const env = { ...process.env, HOME: home, TMPDIR: home }
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit', env })
  assert.deepEqual(await once(parent, 'exit'), [0, null])
  const left = await readdir(home, { recursive: true, withFileTypes: true })
  assert.deepEqual(
    left.filter((entry) => !entry.isDirectory()).map((entry) => entry.name),
    [],
  )
})
