import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { devnetKey, devnetKeyBytes } from '../devnet/artifacts.ts'
import { MAX_WIN_PROB, recipientRandHash, ticketHash, type WinningTicket } from '../src/domain/ticket.ts'
import type { StoredTransaction } from '../src/domain/transaction.ts'
import { ChainClient } from '../src/io/chain/client.ts'
import { ChainWatcher } from '../src/io/chain/events.ts'
import { GasPriceMonitor } from '../src/io/chain/gas-price.ts'
import { TicketRedemption } from '../src/io/chain/redemption.ts'
import { Rpc } from '../src/io/chain/rpc.ts'
import { Transactions } from '../src/io/chain/transactions.ts'
import { walletOfKey } from '../src/io/chain/wallet.ts'
import { Store } from '../src/io/store/store.ts'
import { systemClock } from '../src/lib/clock.ts'
import { Supervisor } from '../src/lib/service.ts'
import { Redeemer } from '../src/services/redeemer.ts'
import { Rounds } from '../src/services/rounds.ts'
import { Senders } from '../src/services/senders.ts'
import { type ChainFixture, startChain } from './chain-fixture.ts'
import { RecordingLog } from './recording-log.ts'
import { HABITS, type Habit, startHabits } from './rpc-habits.ts'
import { eventually } from './until.ts'

// A redeemer with all its parts behind providers with habits: real chain, contracts and store.

const ETHER = 10n ** 18n
const TICKETS = 12
const BLOCK_MS = 150
const sender = walletOfKey(devnetKeyBytes('habits sender'))
const recipient = walletOfKey(devnetKeyBytes('habits recipient')).address
let chain: ChainFixture
let accounts = 0
let nonces = 0

before(async () => {
  chain = await startChain({ parameters: { roundLength: 1_000n } })
  const serviceUri = 'https://127.0.0.1:8935'
  await chain.protocol.bondAndRegister(devnetKey('habits recipient'), { stake: 100n * ETHER, serviceUri })
  await chain.protocol.nextRound()
  await chain.protocol.fundSender(devnetKey('habits sender'), 100n * ETHER, ETHER)
})
after(() => chain[Symbol.asyncDispose]())

async function winners(): Promise<WinningTicket[]> {
  const { lastInitialized, blockHash } = await chain.client.roundState()
  return Array.from({ length: TICKETS }, () => {
    const ticket = {
      ...{ recipient, sender: sender.address, faceValue: ETHER / 100n, winProb: MAX_WIN_PROB },
      ...{ senderNonce: nonces++, recipientRand: 5n, recipientRandHash: recipientRandHash(5n) },
      expirationParams: { creationRound: lastInitialized, creationRoundBlockHash: blockHash },
      paramsExpirationBlock: 0n,
    }
    return { ...ticket, sig: sender.sign(ticketHash(ticket)) }
  })
}

/** A redeemer over endpoints, with an account of its own; gone when disposed. */
async function redeemerBehind(urls: string[]) {
  const log = new RecordingLog()
  const around = { clock: systemClock, log }
  const account = walletOfKey(devnetKeyBytes(`habits redeemer ${accounts++}`))
  await chain.anvil.setBalance(account.address, ETHER)
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-habits-'))
  const store = new Store({ location: join(folder, 'node.sqlite3') })
  const sent = new Map<number, StoredTransaction>()
  const transactionStore = {
    openTransactions: store.openTransactions.bind(store),
    saveTransaction: async (transaction: StoredTransaction) => {
      sent.set(transaction.nonce, transaction)
      await store.saveTransaction(transaction)
    },
  }
  const happened: string[] = []
  const { addresses } = chain.client
  const rpc = new Rpc({ urls, chainId: chain.anvil.chainId }, around)
  const watch = new ChainWatcher({ pollMs: 50 }, { ...around, rpc, addresses, cursor: store })
  const client = new ChainClient({ rpc, addresses, followed: () => watch.followed })
  const rounds = new Rounds({ ...around, chain: client, watch })
  const senders = new Senders({ claimant: recipient }, { ...around, chain: client, watch, rounds })
  const gas = new GasPriceMonitor({ min: 0n, max: 0n, pollMs: 1_000 }, { ...around, rpc })
  const transactions = new Transactions(
    { timeoutMs: 60_000, maxReplacements: 1, gasLimit: 0n, pollMs: 100 },
    { ...around, rpc, signer: account, store: transactionStore, gasPrices: gas, watch },
  )
  const redemption = new TicketRedemption(
    { ...around, client, transactions, account: account.address },
    { maxBatch: 3 },
  )
  const redeemer = new Redeemer({
    ...around,
    ...{ tickets: store, nonces: store, chain: redemption, watch, rounds, senders, gas },
    events: {
      ticketWon: () => {},
      ticketRedeemed: () => void happened.push('redeemed'),
      ticketRefused: ({ reason }) => void happened.push(`refused ${reason}`),
      ticketReopened: () => void happened.push('reopened'),
      redemptionFailed: () => {},
    },
  })
  const supervisor = new Supervisor()
  for (const service of [store, watch, rounds, senders, gas, transactions, redeemer]) {
    await supervisor.start(service)
  }
  return {
    ...{ happened, log, redeemer, sent },
    paid: async () => (await store.countTickets()).reduce((sum, { paid }) => sum + paid, 0n),
    [Symbol.asyncDispose]: async () => {
      await supervisor.stop()
      rmSync(folder, { recursive: true })
    },
  }
}

/** Redeems tickets behind such endpoints, the chain moving on; gives how many requests the first of them got. */
async function redeemAll(habits: readonly Habit[], more: readonly string[] = []): Promise<number> {
  await chain.anvil.mineAtOnce()
  const tickets = await winners()
  const before = await chain.protocol.redemptions()
  await using shim = await startHabits(chain.anvil.url, habits)
  const stop = new AbortController()
  await chain.anvil.mineOnDemand()
  const mining = (async () => {
    for (; !stop.signal.aborted; await sleep(BLOCK_MS)) await chain.anvil.mine()
  })()
  try {
    await using node = await redeemerBehind([shim.url, ...more])
    for (const ticket of tickets) await node.redeemer.queue(ticket)
    await eventually('all came to their end', () => node.redeemer.openTickets === 0, 120_000)
    const after = await chain.protocol.redemptions()
    assert.equal(after.redeemed - before.redeemed, TICKETS)
    assert.equal(await node.paid(), after.paid - before.paid)
    assert.deepEqual(
      node.happened,
      tickets.map(() => 'redeemed'),
    )
    const states = [...node.sent.values()].map(({ state }) => state)
    assert.ok(
      states.every((state) => state === 'mined'),
      states.join(' '),
    )
    assert.deepEqual(node.log.of('error'), [])
    return shim.requests
  } finally {
    stop.abort()
    await mining
  }
}

for (const habit of [
  HABITS.none,
  HABITS.lostAnswers,
  HABITS.cutAfterTaking,
  HABITS.falseNonceTooLow,
  HABITS.laggingReplicas,
  HABITS.saysUsed,
  HABITS.saysLaterRound,
  HABITS.saysLaterInitialized,
] as const) {
  test(`all won tickets are redeemed and nothing reverts: ${habit.name}`, async (t) => {
    const requests = await redeemAll([habit])
    t.diagnostic(`${requests} requests for ${TICKETS} tickets`)
  })
}

for (const habit of [HABITS.clockAhead, HABITS.absurdFees] as const) {
  test(`all won tickets are redeemed and nothing reverts: the first of two endpoints has ${habit.name}`, async () => {
    await redeemAll([habit], [chain.anvil.url])
  })
}
