import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { devnetKey } from '../../../devnet/artifacts.ts'
import { freePort } from '../../../devnet/free-port.ts'
import { type ChainFixture, startChain } from '../../../test/chain/fixture.ts'
import { HABITS, startHabits } from '../../../test/chain/rpc-habits.ts'
import { CONFIRMATIONS } from '../../domain/chain.ts'
import { ManualClock, systemClock } from '../../lib/clock.ts'
import { parseAddress, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { ChainClient, connectChain, resolveContracts } from './client.ts'
import { Rpc } from './rpc.ts'

const ETHER = 10n ** 18n
const UNUSED = parseAddress('0x00000000000000000000000000000000000000aa')
let chain: ChainFixture

before(async () => {
  chain = await startChain()
})
after(() => chain[Symbol.asyncDispose]())

test('the Controller tells where the contracts are', async () => {
  const found = await resolveContracts(chain.rpc, chain.protocol.addresses.controller)
  assert.deepEqual({ ...found }, { ...chain.protocol.addresses })
})

test('a Controller address without code is refused with a sentence', async () => {
  await assert.rejects(resolveContracts(chain.rpc, UNUSED), {
    code: 'no-contract',
    message: `no contract code at given address: the Controller is said to be at ${UNUSED}; check -ethController and -network`,
  })
})

test('a contract that is not a Controller is refused', async () => {
  await assert.rejects(resolveContracts(chain.rpc, chain.protocol.addresses.token), { code: 'reverted' })
})

test('the round is read as the contracts keep it, with both hashes', async () => {
  await chain.protocol.nextRound()
  const state = await chain.client.roundState()
  assert.equal(state.lastInitialized, state.current)
  assert.equal(state.currentInitialized, true)
  assert.equal(state.length, 50n)
  assert.equal(state.startL1Block, state.current * 50n)
  assert.ok(state.blockHash.some((byte) => byte !== 0))
  assert.ok(state.previousBlockHash.some((byte) => byte !== 0))
})

test('the round before round 0 has no hash, and asking for it is no error', async () => {
  assert.deepEqual(await chain.client.blockHashForRound(-1n), new Uint8Array(32))
})

test('orchestrators, pool and senders are read back as they were registered', async () => {
  const small = await chain.protocol.bondAndRegister(devnetKey('small'), {
    stake: 10n * ETHER,
    serviceUri: 'https://127.0.0.1:1001',
  })
  const large = await chain.protocol.bondAndRegister(devnetKey('large'), {
    stake: 30n * ETHER,
    serviceUri: 'https://127.0.0.1:1002',
  })
  const round = await chain.protocol.nextRound()
  assert.deepEqual(
    (await chain.client.orchestratorPool()).map(({ address, serviceUri, stake }) => [
      address,
      serviceUri,
      stake,
    ]),
    [
      [large, 'https://127.0.0.1:1002', 30n * ETHER],
      [small, 'https://127.0.0.1:1001', 10n * ETHER],
    ],
  )
  assert.equal(await chain.client.poolSize(), 2n)
  const known = await chain.client.orchestrator(small)
  assert.deepEqual(known, {
    registered: true,
    active: true,
    activationRound: round,
    deactivationRound: 2n ** 256n - 1n,
    lastRewardRound: 0n,
    serviceUri: 'https://127.0.0.1:1001',
    stake: 10n * ETHER,
  })
  const sender = await chain.protocol.fundSender(devnetKey('sender'), 3n * ETHER, 2n * ETHER)
  assert.deepEqual(await chain.client.senderInfo(sender), {
    deposit: 3n * ETHER,
    withdrawRound: 0n,
    fundsRemaining: 2n * ETHER,
    claimedInCurrentRound: 0n,
  })
  assert.equal(await chain.client.claimableReserve(sender, small), ETHER)
  assert.equal(await chain.client.claimedReserve(sender, small), 0n)
  assert.ok((await chain.client.ethBalance(sender)) > 0n)
})

test('an unknown address is not registered, and an unknown ticket not used', async () => {
  const unknown = await chain.client.orchestrator(UNUSED)
  assert.equal(unknown.registered, false)
  assert.equal(unknown.active, false)
  assert.equal(unknown.serviceUri, '')
  assert.equal(await chain.client.isTicketUsed(new Uint8Array(32)), false)
  assert.notEqual(chain.client.addresses.faucet, ZERO_ADDRESS)
})

test('first contact has patience with an endpoint that is down, and then says what is wrong', async () => {
  const clock = new ManualClock()
  const port = await freePort()
  const rpc = new Rpc({ urls: [`http://127.0.0.1:${port}/secret`], chainId: null }, { clock, log: silentLog })
  const signal = new AbortController().signal
  const needs = { rpc, clock, log: silentLog }
  const contact = connectChain(needs, UNUSED, signal, { forMs: 3_000, everyMs: 1_000 })
  const outcome = assert.rejects(contact, {
    code: 'rpc-unreachable',
    message: `no usable RPC endpoint in -ethUrl: http://127.0.0.1:${port}: nothing listens there (connection refused)`,
  })
  let settled = false
  void outcome.finally(() => {
    settled = true
  })
  while (!settled) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    await clock.wind(1_000)
  }
  await outcome
})

test('first contact takes over the chain id of the endpoint and finds the contracts', async () => {
  const rpc = new Rpc(
    { urls: [chain.anvil.url], chainId: null },
    { clock: new ManualClock(), log: silentLog },
  )
  const needs = { rpc, clock: new ManualClock(), log: silentLog }
  const contact = await connectChain(needs, chain.protocol.addresses.controller, new AbortController().signal)
  assert.equal(contact.chainId, 54321)
  assert.equal(contact.addresses.ticketBroker, chain.protocol.addresses.ticketBroker)
})

test('nothing is read of a block before the one that was followed, though every second answer is of a replica that lags', async () => {
  await using shim = await startHabits(chain.anvil.url, [HABITS.laggingReplicas])
  const rpc = new Rpc(
    { urls: [shim.url], chainId: chain.anvil.chainId },
    { clock: systemClock, log: silentLog },
  )
  let followed: bigint | null = null
  const client = new ChainClient({ rpc, addresses: chain.client.addresses, followed: () => followed })
  const sender = await chain.protocol.fundSender(devnetKey('lag'), ETHER, 0n)
  const deposits = async () => {
    const seen: bigint[] = []
    for (let i = 0; i < 4; i++) seen.push((await client.senderInfo(sender)).deposit)
    return [...new Set(seen)]
  }
  assert.equal((await deposits()).length, 2)
  followed = await chain.client.blockNumber()
  assert.deepEqual(await deposits(), [ETHER])
  for (let i = 0; i < 4; i++) assert.ok((await client.blockNumber()) >= followed)
  await chain.protocol.fundSender(devnetKey('lag'), ETHER, 0n)
  await client.noteOwn(followed + 1n)
  assert.deepEqual(await deposits(), [2n * ETHER])
  // A receipt from far beyond what was followed is not taken at its word.
  await client.noteOwn(followed + 1_000n)
  assert.deepEqual(await deposits(), [2n * ETHER])
})

test('a transaction of this node is seen, however many blocks are still to be followed', async () => {
  let followed = await chain.client.blockNumber()
  const client = new ChainClient({
    ...{ rpc: chain.rpc, addresses: chain.client.addresses },
    followed: () => followed,
  })
  const sender = await chain.protocol.fundSender(devnetKey('far'), ETHER, 0n)
  await chain.protocol.nextRound()
  await chain.protocol.nextRound()
  await chain.protocol.fundSender(devnetKey('far'), ETHER, 0n)
  const own = await chain.client.blockNumber()
  assert.ok(own > followed + CONFIRMATIONS)
  const deposit = async () => (await client.senderInfo(sender)).deposit
  assert.equal(await deposit(), 0n)
  await client.noteOwn(own)
  assert.equal(await deposit(), 2n * ETHER)
  // The chain was reorganised: what is read is of the blocks that were followed.
  followed -= 1n
  assert.equal(await deposit(), 0n)
})
