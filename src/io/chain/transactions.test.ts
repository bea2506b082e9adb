import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { devnetKeyBytes } from '../../../devnet/artifacts.ts'
import { type ChainFixture, startChain } from '../../../test/chain/fixture.ts'
import { HABITS, type Habit, startHabits } from '../../../test/chain/rpc-habits.ts'
import { RpcFault, RpcShim } from '../../../test/chain/rpc-shim.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { eventually, until } from '../../../test/tools/until.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import { systemClock } from '../../lib/clock.ts'
import { parseAddress } from '../../lib/crypto.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { GasPriceMonitor } from './gas-price.ts'
import { Rpc } from './rpc.ts'
import type { TransactionStore } from './transaction-request.ts'
import { type ReorganisationWatch, type TransactionOptions, Transactions } from './transactions.ts'
import { type Wallet, walletOfKey } from './wallet.ts'

const RECIPIENT = parseAddress('0x00000000000000000000000000000000000000bb')
const GWEI = 10n ** 9n
let chain: ChainFixture
let accounts = 0
let wallet: Wallet

before(async () => {
  chain = await startChain()
})
after(() => chain[Symbol.asyncDispose]())
beforeEach(async () => {
  wallet = walletOfKey(devnetKeyBytes(`account ${accounts++}`))
  await chain.anvil.setBalance(wallet.address, 10n ** 18n)
  await chain.anvil.mineAtOnce()
})

/** Keeps transactions in memory, and each state they were saved in. */
class MemoryStore implements TransactionStore {
  readonly saved: StoredTransaction[] = []

  async openTransactions(): Promise<StoredTransaction[]> {
    return [...this.latest().values()].filter(({ state }) => state === 'open')
  }

  async minedTransactions(): Promise<StoredTransaction[]> {
    return [...this.latest().values()].filter(({ fee }) => fee !== undefined)
  }

  async saveTransaction(transaction: StoredTransaction): Promise<void> {
    this.saved.push(transaction)
  }

  latest(): Map<number, StoredTransaction> {
    return new Map(this.saved.map((transaction) => [transaction.nonce, transaction]))
  }
}

interface Sending extends AsyncDisposable {
  readonly transactions: Transactions
  readonly gasPrices: GasPriceMonitor
  readonly signal: AbortSignal
}

type HeadUpdate = { readonly head: { readonly number: bigint }; readonly reorganised: boolean }

/** New blocks, as the test tells them. */
class ToldWatch {
  tell: (update: HeadUpdate) => void = () => {}

  subscribe(listener: (update: HeadUpdate) => void): void {
    this.tell = listener
  }
}

async function sending(
  store: TransactionStore,
  over: Partial<TransactionOptions> & {
    max?: bigint
    signer?: Wallet
    watch?: ReorganisationWatch
    rpc?: Rpc
    log?: Log
  } = {},
): Promise<Sending> {
  const needs = { rpc: over.rpc ?? chain.rpc, clock: systemClock, log: over.log ?? silentLog }
  const gasPrices = new GasPriceMonitor({ min: 0n, max: over.max ?? 0n, pollMs: 100 }, needs)
  const transactions = new Transactions(
    { timeoutMs: 10_000, maxReplacements: 1, gasLimit: 0n, pollMs: 20, ...over },
    {
      ...needs,
      gasPrices,
      store,
      signer: over.signer ?? wallet,
      ...(over.watch ? { watch: over.watch } : {}),
    },
  )
  const supervisor = new Supervisor()
  await supervisor.start(gasPrices)
  await supervisor.start(transactions)
  const stop = new AbortController()
  return {
    transactions,
    gasPrices,
    signal: stop.signal,
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await supervisor.stop()
    },
  }
}

/** Waits until this number of open transactions has reached the chain. */
async function inPool({ transactions }: Sending, count = 1): Promise<void> {
  await eventually('sent', async () => {
    const hashes = transactions.open.map(({ attempts }) => attempts.at(-1)!.hash)
    const known = await Promise.all(
      hashes.map((hash) => chain.rpc.request('eth_getTransactionByHash', [hash])),
    )
    return known.length === count && known.every((transaction) => transaction !== null)
  })
}

const pay = (purpose: string, value = 1n) => ({ purpose, to: RECIPIENT, data: '0x' as const, value })

test('ten transactions sent at once get ten nonces and are all mined', async () => {
  const store = new MemoryStore()
  await using sender = await sending(store)
  const before = await chain.client.ethBalance(RECIPIENT)
  const mined = await Promise.all(
    Array.from({ length: 10 }, (_, i) => sender.transactions.submit(pay(`payment ${i}`), sender.signal)),
  )
  assert.deepEqual(mined.map(({ nonce }) => nonce).sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  assert.ok(mined.every(({ success, fee }) => success && fee > 0n))
  assert.equal((await chain.client.ethBalance(RECIPIENT)) - before, 10n)
  assert.deepEqual(sender.transactions.open, [])
})

test('a transaction is on disk before it is sent', async () => {
  const store = new MemoryStore()
  const seen: number[] = []
  const watching: TransactionStore = {
    openTransactions: () => store.openTransactions(),
    saveTransaction: async (transaction) => {
      if (transaction.state === 'open') {
        seen.push(Number(await chain.rpc.quantity('eth_getTransactionCount', [wallet.address, 'pending'])))
      }
      await store.saveTransaction(transaction)
    },
  }
  await using sender = await sending(watching)
  await sender.transactions.submit(pay('payment'), sender.signal)
  assert.deepEqual(seen, [0])
  assert.deepEqual(
    store.saved.map(({ state }) => state),
    ['open', 'mined'],
  )
})

test('two requests of one purpose are one transaction', async () => {
  await using sender = await sending(new MemoryStore())
  await chain.anvil.mineOnDemand()
  const first = sender.transactions.submit(pay('the same'), sender.signal)
  const second = sender.transactions.submit(pay('the same'), sender.signal)
  await inPool(sender)
  await chain.anvil.mine()
  assert.equal((await first).hash, (await second).hash)
})

test('a late transaction is replaced under its nonce for 11 % more, and the replacement is mined', async () => {
  await chain.anvil.mineOnDemand()
  const store = new MemoryStore()
  await using sender = await sending(store, { timeoutMs: 1_000 })
  const result = sender.transactions.submit(pay('payment'), sender.signal)
  await eventually('replaced', () => sender.transactions.open[0]?.attempts.length === 2)
  await inPool(sender)
  const [first, second] = sender.transactions.open[0]!.attempts
  assert.ok(second!.maxFeePerGas * 100n >= first!.maxFeePerGas * 111n)
  assert.ok(second!.maxPriorityFeePerGas * 100n >= first!.maxPriorityFeePerGas * 111n)
  await chain.anvil.mine()
  const mined = await result
  assert.equal(mined.hash, second!.hash)
  assert.equal(mined.nonce, first && store.saved[0]!.nonce)
})

test('the receipt is found when the first attempt is mined after it was replaced', async () => {
  await chain.anvil.mineOnDemand()
  const store = new MemoryStore()
  await using sender = await sending(store, { timeoutMs: 1_000 })
  const result = sender.transactions.submit(pay('payment'), sender.signal)
  await eventually('replaced', () => sender.transactions.open[0]?.attempts.length === 2)
  await inPool(sender)
  const { attempts, nonce, gas } = sender.transactions.open[0]!
  const first = attempts[0]!
  await chain.anvil.request('anvil_dropTransaction', [attempts[1]!.hash])
  const { raw } = await wallet.signTransaction({
    ...pay('payment'),
    type: 'eip1559',
    chainId: chain.anvil.chainId,
    nonce,
    gas,
    maxFeePerGas: first.maxFeePerGas,
    maxPriorityFeePerGas: first.maxPriorityFeePerGas,
  })
  await chain.anvil.request('eth_sendRawTransaction', [raw])
  await chain.anvil.mine()
  assert.equal((await result).hash, first.hash)
})

test('a transaction that is late for good times out, stays watched, and its late receipt is found', async () => {
  await chain.anvil.mineOnDemand()
  await using sender = await sending(new MemoryStore(), { timeoutMs: 500, maxReplacements: 1 })
  const error = await sender.transactions.submit(pay('payment'), sender.signal).catch((reason) => reason)
  assert.equal(error.code, 'transaction-timed-out')
  assert.match(error.message, /^timed out waiting for transaction receipt txHash=0x[0-9a-f]{64}$/)
  assert.equal(sender.transactions.open.length, 1)
  const again = sender.transactions.submit(pay('payment'), sender.signal)
  await chain.anvil.mine()
  assert.equal((await again).success, true)
})

test('after a restart the open transaction is taken up, not sent a second time', async () => {
  await chain.anvil.mineOnDemand()
  const store = new MemoryStore()
  const before = await chain.client.ethBalance(RECIPIENT)
  {
    await using sender = await sending(store)
    sender.transactions.submit(pay('payment'), sender.signal).catch(() => {})
    await inPool(sender)
  }
  await using restarted = await sending(store)
  assert.equal(restarted.transactions.open.length, 1)
  const result = restarted.transactions.submit(pay('payment'), restarted.signal)
  await chain.anvil.mine()
  assert.equal((await result).nonce, 0)
  assert.equal((await chain.client.ethBalance(RECIPIENT)) - before, 1n)
  assert.equal(store.latest().size, 1)
})

test('a transaction that was stored but never sent is sent after the restart', async () => {
  await chain.anvil.mineOnDemand()
  const store = new MemoryStore()
  {
    await using sender = await sending(store)
    sender.transactions.submit(pay('payment'), sender.signal).catch(() => {})
    await inPool(sender)
  }
  await chain.anvil.request('anvil_dropTransaction', [store.saved[0]!.attempts[0]!.hash])
  await using restarted = await sending(store)
  const { hash } = store.saved[0]!.attempts[0]!
  await eventually(
    'sent again',
    async () => (await chain.rpc.request('eth_getTransactionByHash', [hash])) !== null,
  )
  const result = restarted.transactions.submit(pay('payment'), restarted.signal)
  await chain.anvil.mine()
  assert.equal((await result).hash, hash)
})

test('the gap that a lost transaction leaves is filled, so later ones are mined', async () => {
  await chain.anvil.mineOnDemand()
  const store = new MemoryStore()
  {
    await using sender = await sending(store)
    for (const purpose of ['first', 'second']) {
      sender.transactions.submit(pay(purpose), sender.signal).catch(() => {})
    }
    await inPool(sender, 2)
  }
  await chain.anvil.request('anvil_dropTransaction', [store.latest().get(0)!.attempts[0]!.hash])
  await using restarted = await sending(store)
  const { hash } = store.latest().get(0)!.attempts[0]!
  await eventually(
    'sent again',
    async () => (await chain.rpc.request('eth_getTransactionByHash', [hash])) !== null,
  )
  await eventually('both mined', async () => {
    await chain.anvil.mine()
    return restarted.transactions.open.length === 0
  })
  assert.deepEqual(
    [...store.latest().values()].map(({ state }) => state),
    ['mined', 'mined'],
  )
})

test('a transaction whose sending got no answer stays open and is mined once the chain answers', async () => {
  let cut = true
  await using shim = await RpcShim.start(chain.anvil.url, ({ method, forward }) =>
    cut && method === 'eth_sendRawTransaction' ? Promise.resolve(undefined) : forward(),
  )
  const rpc = new Rpc(
    { urls: [shim.url], chainId: chain.anvil.chainId },
    { clock: systemClock, log: silentLog },
  )
  const store = new MemoryStore()
  await using sender = await sending(store, { rpc })
  const result = sender.transactions.submit(pay('payment'), sender.signal)
  await eventually('tried', () => (shim.asked.get('eth_sendRawTransaction') ?? 0) > 0)
  assert.equal(store.latest().get(0)!.state, 'open')
  cut = false
  assert.equal((await result).success, true)
  assert.equal(store.latest().size, 1)
})

test('above the maximum gas price nothing is sent', async () => {
  const store = new MemoryStore()
  await using sender = await sending(store, { max: 1n })
  await assert.rejects(sender.transactions.submit(pay('payment'), sender.signal), {
    code: 'gas-price-too-high',
    message: /^current gas price exceeds maximum gas price max=0\.000000001 GWei current=[\d.]+ GWei$/,
  })
  assert.deepEqual(store.saved, [])
  sender.gasPrices.max = 0n
  assert.equal((await sender.transactions.submit(pay('payment'), sender.signal)).success, true)
})

test('with a maximum set and a base fee decayed to almost nothing, transactions still go out', async () => {
  await chain.anvil.mine(200)
  await using sender = await sending(new MemoryStore(), { max: 2n * GWEI })
  assert.equal((await sender.transactions.submit(pay('payment'), sender.signal)).success, true)
})

test('a transaction that the contract would refuse is not sent, and its nonce is not lost', async () => {
  await chain.protocol.nextRound()
  const store = new MemoryStore()
  await using sender = await sending(store)
  const { roundsManager } = chain.client.addresses
  const refused = { purpose: 'init', to: roundsManager, data: '0xd4807fb2' as const }
  await assert.rejects(sender.transactions.submit(refused, sender.signal), {
    code: 'reverted',
    message: 'the contract refused: round already initialized',
  })
  assert.deepEqual(store.saved, [])
  assert.equal((await sender.transactions.submit(pay('payment'), sender.signal)).nonce, 0)
})

test('a transaction that fails on chain says so, and its nonce is used', async () => {
  await chain.protocol.nextRound()
  const store = new MemoryStore()
  await using sender = await sending(store)
  const { roundsManager } = chain.client.addresses
  const doomed = { purpose: 'init', to: roundsManager, data: '0xd4807fb2' as const, gas: 300_000n }
  const mined = await sender.transactions.submit(doomed, sender.signal)
  assert.equal(mined.success, false)
  assert.ok(mined.fee > 0n)
  assert.equal(store.latest().get(0)!.state, 'reverted')
  assert.equal((await sender.transactions.submit(pay('payment'), sender.signal)).nonce, 1)
})

test('an account without ether is told to get some, and nothing stays open', async () => {
  const poor = walletOfKey(devnetKeyBytes('poor'))
  const store = new MemoryStore()
  await using sender = await sending(store, { signer: poor })
  await assert.rejects(sender.transactions.submit({ ...pay('payment', 0n), gas: 21_000n }, sender.signal), {
    code: 'insufficient-funds',
    message: /^the account has too little ether for this transaction: send it some/,
  })
  assert.deepEqual(sender.transactions.open, [])
  await chain.anvil.setBalance(poor.address, 10n ** 18n)
  assert.equal((await sender.transactions.submit(pay('payment', 0n), sender.signal)).nonce, 0)
})

test('a nonce that another process used first ends with a refusal, not with waiting for ever', async () => {
  await chain.anvil.mineOnDemand()
  const store = new MemoryStore()
  await using sender = await sending(store)
  const result = sender.transactions.submit(pay('payment'), sender.signal)
  const outcome = assert.rejects(result, { code: 'nonce-taken' })
  await inPool(sender)
  await chain.anvil.request('anvil_dropTransaction', [sender.transactions.open[0]!.attempts[0]!.hash])
  const { raw } = await wallet.signTransaction({
    type: 'eip1559',
    chainId: chain.anvil.chainId,
    nonce: 0,
    to: RECIPIENT,
    data: '0x',
    value: 99n,
    gas: 21_000n,
    maxFeePerGas: 10n * GWEI,
    maxPriorityFeePerGas: GWEI,
  })
  await chain.anvil.request('eth_sendRawTransaction', [raw])
  await chain.anvil.mine()
  await outcome
  assert.equal(store.latest().get(0)!.state, 'abandoned')
  await chain.anvil.mineAtOnce()
  assert.equal((await sender.transactions.submit(pay('payment'), sender.signal)).nonce, 1)
})

test('ending the wait does not end the transaction', async () => {
  await chain.anvil.mineOnDemand()
  await using sender = await sending(new MemoryStore())
  const stop = new AbortController()
  const result = sender.transactions.submit(pay('payment'), stop.signal)
  const outcome = assert.rejects(result, { name: 'AbortError' })
  await inPool(sender)
  stop.abort()
  await outcome
  await chain.anvil.mine()
  await eventually('mined', () => sender.transactions.open.length === 0)
})

for (const [how, reorganised] of [
  ['is reorganised away', true],
  ['went before the chain was followed there', false],
] as const) {
  test(`a transaction whose block ${how} is open again and mined in the new chain`, async () => {
    const watch = new ToldWatch()
    const store = new MemoryStore()
    await using sender = await sending(store, { watch })
    const snapshot = await chain.anvil.request('evm_snapshot')
    const mined = await sender.transactions.submit(pay('payment'), sender.signal)
    assert.equal(store.latest().get(0)?.fee, mined.fee)
    await chain.anvil.request('evm_revert', [snapshot])
    await chain.anvil.mineOnDemand()
    if (!reorganised) watch.tell({ head: { number: mined.block - 1n }, reorganised })
    watch.tell({ head: { number: mined.block }, reorganised })
    await eventually('open again', () => store.latest().get(0)?.state === 'open')
    assert.equal(store.latest().get(0)!.fee, undefined, 'nothing has been paid for it')
    const { hash } = store.latest().get(0)!.attempts[0]!
    await eventually(
      'sent again',
      async () => (await chain.rpc.request('eth_getTransactionByHash', [hash])) !== null,
    )
    await chain.anvil.mine()
    await eventually('mined again', () => store.latest().get(0)?.state === 'mined')
    assert.ok(store.latest().get(0)!.fee! > 0n)
    await chain.anvil.mineAtOnce()
    assert.equal((await sender.transactions.submit(pay('another'), sender.signal)).nonce, 1)
  })
}

test('a transaction that a reorganisation undid while the process was down is open again after its restart', async () => {
  const store = new MemoryStore()
  const snapshot = await chain.anvil.request('evm_snapshot')
  {
    await using sender = await sending(store)
    await sender.transactions.submit(pay('payment'), sender.signal)
  }
  {
    await using sender = await sending(store)
    await sender.transactions.submit(pay('another'), sender.signal)
    assert.equal(store.latest().get(0)!.state, 'mined', 'as long as the chain has it')
  }
  await chain.anvil.request('evm_revert', [snapshot])
  await chain.anvil.mineOnDemand()
  await using sender = await sending(store)
  await eventually('both are open again', () => sender.transactions.open.length === 2)
  assert.ok(sender.transactions.open.every(({ fee }) => fee === undefined))
  await inPool(sender, 2)
  await chain.anvil.mine()
  await eventually('both are mined', async () => (await store.minedTransactions()).length === 2)
  await chain.anvil.mineAtOnce()
})

test('a transaction that a reorganisation moves to a block with another gas price is stored with its new fee', async () => {
  const watch = new ToldWatch()
  const store = new MemoryStore()
  await using sender = await sending(store, { watch })
  const snapshot = await chain.anvil.request('evm_snapshot')
  const mined = await sender.transactions.submit(pay('payment'), sender.signal)
  const raw = await chain.anvil.request('eth_getRawTransactionByHash', [mined.hash])
  await chain.anvil.request('evm_revert', [snapshot])
  await chain.anvil.request('anvil_setNextBlockBaseFeePerGas', ['0x1'])
  await chain.anvil.request('eth_sendRawTransaction', [raw])
  const { gasUsed, effectiveGasPrice } = await until(() =>
    chain.anvil.request<{ gasUsed: Hex; effectiveGasPrice: Hex } | null>('eth_getTransactionReceipt', [
      mined.hash,
    ]),
  )
  const fee = BigInt(gasUsed) * BigInt(effectiveGasPrice)
  assert.notEqual(fee, mined.fee)
  watch.tell({ head: { number: mined.block }, reorganised: true })
  await eventually('corrected', () => store.latest().get(0)?.fee === fee)
  assert.equal(store.latest().get(0)!.state, 'mined')
})

test('what another process sends between the last question and the sending takes the same nonce: one of both is mined', async () => {
  await chain.anvil.mineOnDemand()
  await using first = await sending(new MemoryStore())
  const store = new MemoryStore()
  await using second = await sending(store)
  const asked: number[] = []
  const confirm = async (foreign: number) => {
    asked.push(foreign)
    first.transactions.submit(pay('first', 2n), first.signal).catch(() => {})
    await inPool(first)
  }
  await assert.rejects(second.transactions.submit({ ...pay('second'), confirm }, second.signal), {
    code: 'replacement-underpriced',
  })
  assert.deepEqual(asked, [0])
  assert.equal(store.latest().get(0)!.state, 'abandoned')
  await chain.anvil.mine()
  await eventually('mined', () => first.transactions.open.length === 0)
  assert.equal(await chain.rpc.quantity('eth_getTransactionCount', [wallet.address, 'latest']), 1n)
})

test('the last question is asked again for another nonce, and tells what others of the account have in the pool', async () => {
  await using first = await sending(new MemoryStore())
  await using second = await sending(new MemoryStore())
  const asked: number[] = []
  const confirm = async (foreign: number) => {
    asked.push(foreign)
    if (asked.length > 1) throw new Error('called off')
    await first.transactions.submit(pay('first', 2n), first.signal)
  }
  await assert.rejects(second.transactions.submit({ ...pay('second'), confirm }, second.signal), /called off/)
  assert.deepEqual(asked, [0, 0])
  await chain.anvil.mineOnDemand()
  first.transactions.submit(pay('waits'), first.signal).catch(() => {})
  await inPool(first)
  await assert.rejects(second.transactions.submit({ ...pay('third'), confirm }, second.signal), /called off/)
  assert.deepEqual(asked, [0, 0, 1])
  assert.deepEqual(second.transactions.open, [])
})

test('a transaction may be replaced more often than others', async () => {
  await chain.anvil.mineOnDemand()
  await using sender = await sending(new MemoryStore(), { timeoutMs: 300, maxReplacements: 0 })
  sender.transactions.submit({ ...pay('urgent'), maxReplacements: 2 }, sender.signal).catch(() => {})
  await eventually('replaced twice', () => sender.transactions.open[0]?.attempts.length === 3)
})

const rpcOver = (url: string) =>
  new Rpc({ urls: [url], chainId: chain.anvil.chainId }, { clock: systemClock, log: silentLog })

for (const habit of [
  HABITS.lostAnswers,
  HABITS.cutAfterTaking,
  HABITS.falseNonceTooLow,
  HABITS.laggingReplicas,
] as const satisfies readonly Habit[]) {
  test(`each of many transactions is mined once: ${habit.name}`, async () => {
    await using shim = await startHabits(chain.anvil.url, [habit])
    const store = new MemoryStore()
    const log = new RecordingLog()
    await using sender = await sending(store, { rpc: rpcOver(shim.url), log })
    const before = await chain.client.ethBalance(RECIPIENT)
    const payments = Array.from({ length: 12 }, async (_, i) => {
      if (i >= 6) await eventually('the first are sent', () => sender.transactions.open.length < 6)
      return sender.transactions.submit(pay(`payment ${i}`, BigInt(i + 1)), sender.signal)
    })
    const mining = setInterval(() => chain.anvil.mine().catch(() => {}), 200)
    const mined = await Promise.all(payments).finally(() => clearInterval(mining))
    assert.deepEqual(
      mined.map(({ nonce }) => nonce).sort((a, b) => a - b),
      Array.from({ length: 12 }, (_, i) => i),
    )
    assert.ok(mined.every(({ success }) => success))
    assert.equal((await chain.client.ethBalance(RECIPIENT)) - before, 78n)
    assert.ok([...store.latest().values()].every(({ state }) => state === 'mined'))
    assert.deepEqual(log.of('error'), [])
    assert.equal(log.of('info').filter((message) => message === 'transaction mined').length, 12)
  })
}

test('a nonce called used by mistake is kept, and nothing waits behind a gap', async () => {
  let lies = 1
  await using shim = await RpcShim.start(chain.anvil.url, async ({ method, forward }) => {
    if (method === 'eth_sendRawTransaction' && lies-- > 0) throw new RpcFault(-32000, 'nonce too low')
    return forward()
  })
  const store = new MemoryStore()
  await using sender = await sending(store, { rpc: rpcOver(shim.url) })
  const mined = await Promise.all(
    ['first', 'second'].map((purpose) => sender.transactions.submit(pay(purpose), sender.signal)),
  )
  assert.deepEqual(mined.map(({ nonce }) => nonce).sort(), [0, 1])
  assert.deepEqual([...store.latest().keys()].sort(), [0, 1])
})

test('a gap below the lowest open nonce is filled, so that those after it are mined', async () => {
  let skips = 3n
  await using shim = await RpcShim.start(chain.anvil.url, async ({ method, forward, params }) => {
    const answer = await forward()
    const isCount = method === 'eth_getTransactionCount' && params[1] === 'pending'
    return isCount ? `0x${(BigInt(answer as string) + skips).toString(16)}` : answer
  })
  const store = new MemoryStore()
  const log = new RecordingLog()
  await using sender = await sending(store, { rpc: rpcOver(shim.url), log })
  const result = sender.transactions.submit(pay('payment'), sender.signal)
  await eventually('sent', () => sender.transactions.open.length === 1)
  assert.equal(sender.transactions.open[0]!.nonce, 3)
  skips = 0n
  assert.equal((await result).nonce, 3)
  await eventually('all mined', () => sender.transactions.open.length === 0)
  assert.deepEqual([...store.latest().values()].map(({ purpose }) => purpose).sort(), [
    'fill nonce 0',
    'fill nonce 1',
    'fill nonce 2',
    'payment',
  ])
  assert.equal((await sender.transactions.submit(pay('another'), sender.signal)).nonce, 4)
})

test('a transaction that every endpoint refuses in unknown words is given up after some tries, not called sent', async () => {
  await using shim = await RpcShim.start(chain.anvil.url, async ({ method, forward }) => {
    if (method === 'eth_sendRawTransaction') throw new RpcFault(-32000, 'typed transactions are off')
    return forward()
  })
  const store = new MemoryStore()
  await using sender = await sending(store, { rpc: rpcOver(shim.url) })
  await assert.rejects(sender.transactions.submit(pay('payment'), sender.signal), { code: 'rpc-refused' })
  assert.equal(store.latest().get(0)!.state, 'abandoned')
})

test('an endpoint with absurd fees makes nothing be offered that was not set or earned', async () => {
  await using shim = await startHabits(chain.anvil.url, [HABITS.absurdFees])
  const store = new MemoryStore()
  await using sender = await sending(store, { rpc: rpcOver(shim.url) })
  await assert.rejects(sender.transactions.submit(pay('payment'), sender.signal), {
    code: 'gas-price-too-high',
    message:
      /max=500 GWei current=[\d.]+ GWei: that is the maximum while -maxGasPrice is not set; set it to allow more$/,
  })
  await assert.rejects(
    sender.transactions.submit({ ...pay('redeem'), maxCost: GWEI * 21_000n }, sender.signal),
    { code: 'gas-price-too-high', message: /more would cost more than the tickets pay$/ },
  )
  assert.deepEqual(store.saved, [])
})

test('what a transaction may cost bounds its offer and its replacements, also after a restart, until more is allowed', async () => {
  await chain.anvil.mineOnDemand()
  const store = new MemoryStore()
  const gas = 21_000n
  const request = { ...pay('redeem'), gas, maxCost: gas * 5n * GWEI }
  const timing = { timeoutMs: 100, maxReplacements: 30 }
  const most = () => store.latest().get(0)!.attempts.at(-1)!.maxFeePerGas
  {
    await using sender = await sending(store, timing)
    sender.transactions.submit(request, sender.signal).catch(() => {})
    await eventually('replaced', () => sender.transactions.open[0]?.attempts.length === 2)
  }
  await using sender = await sending(store, timing)
  await eventually('raised as far as allowed', () => most() * 111n > 5n * GWEI * 100n)
  assert.ok(most() <= 5n * GWEI)
  sender.transactions.allow(
    (purpose) => purpose === 'redeem',
    () => gas * 10n * GWEI,
  )
  await eventually('raised again', () => most() > 5n * GWEI)
  assert.ok(most() <= 10n * GWEI)
})

test('an estimate of gas beyond all measure is no estimate', async () => {
  await using shim = await RpcShim.start(chain.anvil.url, async ({ method, forward }) => {
    return method === 'eth_estimateGas' ? '0x5f5e100' : forward()
  })
  const store = new MemoryStore()
  await using sender = await sending(store, { rpc: rpcOver(shim.url) })
  await assert.rejects(sender.transactions.submit(pay('payment'), sender.signal), {
    code: 'bad-answer',
    message: 'the RPC estimates 100000000 gas, more than the 30000000 of any call',
  })
  assert.deepEqual(store.saved, [])
})
