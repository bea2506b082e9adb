import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { decodeFunctionData, encodeFunctionData, encodeFunctionResult } from 'viem'
import { devnetKey, devnetKeyBytes } from '../../../devnet/artifacts.ts'
import { type ChainFixture, startChain } from '../../../test/chain/fixture.ts'
import { RpcShim } from '../../../test/chain/rpc-shim.ts'
import { eventsTo } from '../../../test/fakes/events.ts'
import { eventually } from '../../../test/tools/until.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import { systemClock } from '../../lib/clock.ts'
import { ZERO_ADDRESS } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { RewardService } from '../../services/protocol/reward-service.ts'
import { ChainClient } from './client.ts'
import { abis } from './contracts.ts'
import { Rpc } from './rpc.ts'
import { Staking } from './staking.ts'
import { Transactions } from './transactions.ts'
import { type Wallet, walletOfKey } from './wallet.ts'

const ETHER = 10n ** 18n
const NEVER = new AbortController().signal
const ALONE = { takeOver: false }
const names = ['reward first', 'reward second', 'reward third']
const [first, second, third] = names.map((name) => walletOfKey(devnetKeyBytes(name))) as [
  Wallet,
  Wallet,
  Wallet,
]
const stranger = walletOfKey(devnetKeyBytes('reward stranger'))
let chain: ChainFixture

before(async () => {
  chain = await startChain({ parameters: { roundLength: 100n, poolSize: 3n } })
  for (const [index, name] of names.entries()) {
    const stake = [300n, 200n, 100n][index]! * ETHER
    await chain.protocol.bondAndRegister(devnetKey(name), { stake, serviceUri: 'https://127.0.0.1:8935' })
  }
  for (const { address } of [first, second, third, stranger]) await chain.anvil.setBalance(address, ETHER)
})
after(() => chain[Symbol.asyncDispose]())
beforeEach(async () => {
  await chain.anvil.mineAtOnce()
  await chain.protocol.nextRound()
})

/** What outlives a process. */
class Disk {
  readonly saved: StoredTransaction[] = []

  async openTransactions(): Promise<StoredTransaction[]> {
    const latest = new Map(this.saved.map((transaction) => [transaction.nonce, transaction]))
    return [...latest.values()].filter(({ state }) => state === 'open')
  }

  async saveTransaction(transaction: StoredTransaction): Promise<void> {
    this.saved.push(transaction)
  }
}

interface Process extends AsyncDisposable {
  readonly staking: Staking
  readonly disk: Disk
  readonly signal: AbortSignal
}

async function processOf(
  signer: Wallet,
  over: { disk?: Disk; rpc?: Rpc; timeoutMs?: number; maxReplacements?: number; aboveMax?: boolean } = {},
): Promise<Process> {
  const { disk = new Disk(), rpc = chain.rpc, timeoutMs = 10_000, maxReplacements = 1 } = over
  const transactions = new Transactions(
    { timeoutMs, maxReplacements, gasLimit: 0n, pollMs: 20 },
    {
      ...{ rpc, signer, store: disk, clock: systemClock, log: silentLog },
      gasPrices: { max: over.aboveMax ? 1n : 0n, ceiling: over.aboveMax ? 1n : 0n, assertBelowMax: () => {} },
    },
  )
  const client = new ChainClient({ rpc, addresses: chain.client.addresses })
  const staking = new Staking({ maxReplacements }, { client, transactions, account: signer.address })
  const supervisor = new Supervisor()
  await supervisor.start(transactions)
  const stop = new AbortController()
  return {
    staking,
    disk,
    signal: stop.signal,
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await supervisor.stop()
    },
  }
}

const nonceOf = ({ address }: Wallet) => chain.rpc.quantity('eth_getTransactionCount', [address, 'latest'])
const stakeOf = ({ address }: Wallet) =>
  chain.protocol.read('BondingManager', 'transcoderTotalStake', [address])

test('how an orchestrator stands is read at once; contracts without reward callers name none', async () => {
  await using process = await processOf(first)
  const view = await process.staking.rewardView(second.address)
  assert.equal(view.rewardCaller, null)
  assert.equal(view.registered && view.active && view.roundInitialized, true)
  assert.equal(view.currentRound, (await chain.client.roundState()).current)
  assert.equal(view.lastRewardRound, 0n)
  const unknown = await process.staking.rewardView(stranger.address)
  assert.equal(unknown.registered || unknown.active, false)
  assert.equal(await process.staking.balance(), await chain.client.ethBalance(first.address))
})

test('reward is called once, the tokens and the fee are known, and a second call is not sent', async () => {
  await using process = await processOf(first)
  const { staking } = process
  const before = { stake: await stakeOf(first), nonce: await nonceOf(first), wei: await staking.balance() }
  const [result, same] = await Promise.all([
    staking.callReward(first.address, ALONE, NEVER),
    staking.callReward(first.address, ALONE, NEVER),
  ])
  assert.deepEqual(result, same)
  assert.ok(result.kind === 'mined' && result.success)
  assert.ok(result.reward > 0n)
  assert.equal((await stakeOf(first)) - before.stake, result.reward)
  assert.equal(before.wei - (await staking.balance()), result.fee)
  assert.equal((await nonceOf(first)) - before.nonce, 1n)
  const view = await staking.rewardView(first.address)
  assert.equal(view.lastRewardRound, view.currentRound)
  assert.equal(result.round, view.currentRound)
  assert.deepEqual(await staking.callReward(first.address, ALONE, NEVER), {
    kind: 'not-sent',
    why: 'not-due',
    reason: 'no longer due when it was to be sent: called',
  })
})

test('the hints are the neighbours in the pool as it will be', async () => {
  await using process = await processOf(second)
  const hintsOf = async () => {
    await process.staking.callReward(second.address, ALONE, NEVER)
    const { data } = process.disk.saved.findLast(({ state }) => state === 'open')!
    return decodeFunctionData({ abi: abis.BondingManager, data }).args
  }
  assert.deepEqual(await hintsOf(), [first.address, third.address])
  await chain.protocol.nextRound()
  // Enough stake for the first place.
  const key = devnetKey('reward second')
  const stake = 5_000n * ETHER
  await chain.protocol.ownerCalls('LivepeerToken', 'transfer', [second.address, stake])
  await chain.protocol.call(key, 'LivepeerToken', 'approve', [chain.protocol.addresses.bondingManager, stake])
  await chain.protocol.call(key, 'BondingManager', 'bond', [stake, second.address])
  await chain.anvil.setBalance(second.address, ETHER)
  assert.deepEqual(await hintsOf(), [ZERO_ADDRESS, first.address])
})

test('a pool that cannot be walked costs gas, not the reward', async () => {
  const walk = encodeFunctionData({ abi: abis.BondingManager, functionName: 'getFirstTranscoderInPool' })
  await using shim = await RpcShim.start(chain.anvil.url, ({ params, forward }) => {
    const [call] = params as [{ data?: string }?]
    return call?.data === walk ? Promise.resolve('0x') : forward()
  })
  await using process = await processOf(third, { rpc: rpcOf(shim) })
  const result = await process.staking.callReward(third.address, ALONE, NEVER)
  assert.ok(result.kind === 'mined' && result.success)
  const { data } = process.disk.saved[0]!
  assert.deepEqual(decodeFunctionData({ abi: abis.BondingManager, data }).args, [ZERO_ADDRESS, ZERO_ADDRESS])
})

test('two processes with one key at the same moment: one transaction of the account, one reward', async () => {
  for (let round = 0; round < 4; round++) {
    if (round > 0) await chain.protocol.nextRound()
    if (round % 2 === 1) await chain.anvil.mineOnDemand()
    await using one = await processOf(first)
    await using other = await processOf(first)
    const before = await nonceOf(first)
    const calls = [one, other].map(({ staking, signal }) => staking.callReward(first.address, ALONE, signal))
    await eventually('sent', async () => {
      const pending = await chain.rpc.quantity('eth_getTransactionCount', [first.address, 'pending'])
      return pending > before
    })
    await new Promise((resolve) => setTimeout(resolve, 100))
    await chain.anvil.mineAtOnce()
    await chain.anvil.mine()
    const results = await Promise.all(calls)
    assert.ok(results.some((result) => result.kind === 'mined' && result.success))
    assert.ok(results.every((result) => result.kind !== 'mined' || result.success))
    assert.equal((await nonceOf(first)) - before, 1n)
  }
})

test('what another process of the account has in the pool is waited for, until its place is to be taken', async () => {
  await chain.anvil.mineOnDemand()
  await using one = await processOf(first)
  await using other = await processOf(first)
  const call = one.staking.callReward(first.address, ALONE, NEVER)
  await eventually('sent', () => one.staking.rewardInFlight(first.address) !== null)
  await eventually('in the pool', async () => {
    const { txHash } = one.staking.rewardInFlight(first.address)!
    return (await chain.rpc.request('eth_getTransactionByHash', [txHash])) !== null
  })
  const waits = await other.staking.callReward(first.address, ALONE, NEVER)
  assert.equal(waits.kind === 'not-sent' && waits.why, 'sent-elsewhere')
  assert.deepEqual(other.disk.saved, [])
  const before = await nonceOf(first)
  const takesOver = other.staking.callReward(first.address, { takeOver: true }, NEVER)
  await eventually('taken over', () => other.staking.rewardInFlight(first.address) !== null)
  await eventually('in the pool', async () => {
    const { txHash } = other.staking.rewardInFlight(first.address)!
    return (await chain.rpc.request('eth_getTransactionByHash', [txHash])) !== null
  })
  await chain.anvil.mine()
  const result = await takesOver
  assert.ok(result.kind === 'mined' && result.success)
  const replaced = await call
  assert.equal(replaced.kind === 'not-sent' && replaced.why, 'sent-elsewhere')
  assert.equal((await nonceOf(first)) - before, 1n)
})

test('after a restart the call that is on its way is found and waited for, not sent again', async () => {
  await chain.anvil.mineOnDemand()
  const before = await nonceOf(first)
  const disk = new Disk()
  {
    await using killed = await processOf(first, { disk })
    killed.staking.callReward(first.address, ALONE, killed.signal).catch(() => {})
    await eventually('sent', () => killed.staking.rewardInFlight(first.address) !== null)
  }
  await using process = await processOf(first, { disk })
  assert.equal(process.staking.rewardInFlight(first.address)?.attempts, 1)
  const call = process.staking.callReward(first.address, ALONE, NEVER)
  await eventually('mined', async () => {
    await chain.anvil.mine()
    return process.staking.rewardInFlight(first.address) === null
  })
  const result = await call
  assert.ok(result.kind === 'mined' && result.success)
  assert.equal((await nonceOf(first)) - before, 1n)
})

test('a call that is not mined is asked for again and again, each time with a higher fee', async () => {
  await chain.anvil.mineOnDemand()
  await using process = await processOf(first, { timeoutMs: 300 })
  const attempts = async () => {
    const result = await process.staking.callReward(first.address, ALONE, NEVER)
    assert.equal(result.kind, 'timed-out')
    return process.staking.rewardInFlight(first.address)!.attempts
  }
  assert.equal(await attempts(), 2)
  assert.equal(await attempts(), 3)
  const fees = process.disk.saved.at(-1)!.attempts.map(({ maxFeePerGas }) => maxFeePerGas)
  assert.ok(fees[0]! < fees[1]! && fees[1]! < fees[2]!)
  await chain.anvil.mine()
  const result = await process.staking.callReward(first.address, ALONE, NEVER)
  assert.ok(result.kind !== 'mined' || result.success)
})

test('why nothing is sent has a name: gas, money, a chain that is gone', async () => {
  const whyOf = async (process: Process) => {
    const result = await process.staking.callReward(first.address, ALONE, NEVER)
    return result.kind === 'not-sent' ? result.why : result.kind
  }
  await using thrifty = await processOf(first, { aboveMax: true })
  assert.equal(await whyOf(thrifty), 'gas-too-high')
  await chain.anvil.setBalance(first.address, 1_000n)
  await using poor = await processOf(first)
  assert.equal(await whyOf(poor), 'no-money')
  await chain.anvil.setBalance(first.address, ETHER)
  let cut = false
  await using shim = await RpcShim.start(chain.anvil.url, ({ forward }) =>
    cut ? Promise.resolve(undefined) : forward(),
  )
  await using far = await processOf(first, { rpc: rpcOf(shim) })
  cut = true
  assert.equal(await whyOf(far), 'chain-unavailable')
  assert.equal(await whyOf(poor), 'mined')
})

test('a round that is over is initialised once; before that no reward is sent', async () => {
  await chain.anvil.mine(100)
  await using process = await processOf(stranger)
  await using orchestrator = await processOf(first)
  const { staking } = process
  assert.equal((await staking.initialization()).isDone, false)
  const early = await orchestrator.staking.callReward(first.address, ALONE, NEVER)
  assert.equal(early.kind === 'not-sent' && early.why, 'not-due')
  assert.equal(staking.initializationInFlight(), null)
  const result = await staking.initializeRound(NEVER)
  assert.ok(result.kind === 'mined' && result.success && result.fee > 0n)
  assert.equal((await staking.initialization()).isDone, true)
  const again = await staking.initializeRound(NEVER)
  assert.equal(again.kind === 'not-sent' && again.why, 'not-due')
  await chain.protocol.ownerCalls('Controller', 'pause')
  const paused = await orchestrator.staking.callReward(first.address, ALONE, NEVER)
  await chain.protocol.ownerCalls('Controller', 'unpause')
  assert.deepEqual(paused, { kind: 'not-sent', why: 'refused', reason: 'system is paused' })
})

// The contracts that can be had are from before LIP-118: an endpoint in between answers for the new ones.
test('a reward caller is found, and calls with hints for the orchestrator it calls for', async () => {
  const selector = (functionName: 'transcoderToRewardCaller' | 'rewardForTranscoderWithHint') => {
    const args =
      functionName === 'transcoderToRewardCaller'
        ? [ZERO_ADDRESS]
        : [ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS]
    return encodeFunctionData({ abi: abis.BondingManager, functionName, args } as never).slice(0, 10)
  }
  await using shim = await RpcShim.start(chain.anvil.url, async ({ method, params, forward }) => {
    const [call] = params as [{ data?: string }?]
    if (method === 'eth_call' && call?.data?.startsWith(selector('transcoderToRewardCaller'))) {
      const functionName = 'transcoderToRewardCaller'
      return encodeFunctionResult({ abi: abis.BondingManager, functionName, result: stranger.address })
    }
    const isCall = call?.data?.startsWith(selector('rewardForTranscoderWithHint'))
    return method === 'eth_estimateGas' && isCall ? '0x493e0' : forward()
  })
  await using process = await processOf(stranger, { rpc: rpcOf(shim) })
  assert.equal((await process.staking.rewardView(third.address)).rewardCaller, stranger.address)
  const result = await process.staking.callReward(third.address, ALONE, NEVER)
  const sent = process.disk.saved[0]!
  assert.deepEqual(decodeFunctionData({ abi: abis.BondingManager, data: sent.data }), {
    functionName: 'rewardForTranscoderWithHint',
    args: [third.address, first.address, ZERO_ADDRESS],
  })
  assert.equal(sent.to, chain.client.addresses.bondingManager)
  assert.equal(sent.gas, 450_000n)
  assert.equal(result.kind === 'mined' && result.success, false)
})

test('two reward services with one key on a real chain: each round is rewarded, by one transaction', async () => {
  const before = await nonceOf(first)
  const start = (await chain.client.roundState()).current
  const supervisor = new Supervisor()
  const processes = [await processOf(first), await processOf(first)]
  const rings = new Set<() => void>()
  const called: bigint[] = []
  for (const { staking } of processes) {
    const service = new RewardService(
      { mode: 'on', account: first.address, orchestrator: first.address, alone: true },
      {
        chain: staking,
        watch: { subscribe: () => {} },
        rounds: { onRound: (listener) => rings.add(() => listener(0n)) },
        gas: { gasPrice: 1n },
        clock: systemClock,
        log: silentLog,
        events: eventsTo({
          'reward-called': ({ round }) => called.push(round),
          'rewards-missed': ({ first }) => assert.fail(`round ${first} was missed`),
        }),
      },
    )
    await supervisor.start(service)
  }
  const rounds = 5
  for (let round = 0; round < rounds; round++) {
    if (round > 0) await chain.protocol.nextRound()
    for (const ring of rings) ring()
    await eventually('rewarded', async () => {
      const { currentRound, lastRewardRound } = await processes[0]!.staking.rewardView(first.address)
      return lastRewardRound === currentRound
    })
  }
  await eventually('all told', () => new Set(called).size === rounds)
  await supervisor.stop()
  for (const process of processes) await process[Symbol.asyncDispose]()
  assert.equal((await nonceOf(first)) - before, BigInt(rounds))
  assert.deepEqual(
    [...new Set(called)],
    Array.from({ length: rounds }, (_, i) => start + BigInt(i)),
  )
})

function rpcOf(shim: RpcShim): Rpc {
  return new Rpc({ urls: [shim.url], chainId: chain.anvil.chainId }, { clock: systemClock, log: silentLog })
}
