import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { release } from '../../devnet/leash.ts'
import { Postgres } from '../../devnet/postgres.ts'
import { ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { Store } from '../../src/io/store/store.ts'
import { formatHex } from '../../src/lib/bytes.ts'
import { memoryFolder } from '../tools/memory-folder.ts'
import { eventually } from '../tools/until.ts'
import { startProcess } from './cluster-process.ts'
import { accountNamed, startClustered } from './clustered.ts'
import { type ChainFixture, startChain } from './fixture.ts'
import { registerRecipient, transactionsOf, winners } from './redeeming.ts'

const ETHER = 10n ** 18n
const BLOCK_MS = 200
/** A leader is followed within this time, which leaves out that the machine of a test is busy. */
const FAILOVER_MS = 10_000
const PATIENCE_MS = 90_000

let chain: ChainFixture
let postgres: Postgres
/** Blocks come fast while this is so, because a redemption is confirmed a dozen blocks later. */
let mines = true
const stop = new AbortController()
let running: Promise<unknown>

before(async () => {
  postgres = await Postgres.start({ within: memoryFolder() })
  chain = await startChain({ parameters: { roundLength: 500n } })
  await registerRecipient(chain)
  await chain.anvil.mineOnDemand()
  const mining = async () => {
    for (; !stop.signal.aborted; await sleep(BLOCK_MS)) if (mines) await chain.anvil.mine()
  }
  running = Promise.all([mining(), chain.protocol.keepRoundsInitialized(stop.signal)])
})
after(async () => {
  stop.abort()
  await running
  await postgres.stop()
  await chain[Symbol.asyncDispose]()
})

/** Makes tickets; a block for each transaction meanwhile. */
async function ticketsOf(name: string, count: number): Promise<WinningTicket[]> {
  await chain.anvil.mineAtOnce()
  try {
    return await winners(chain, { name, count })
  } finally {
    await chain.anvil.mineOnDemand()
  }
}

/** What all redeemers of one cluster have in common, with an account that has ether. */
async function cluster(account: string) {
  await chain.anvil.setBalance(accountNamed(account).address, 100n * ETHER)
  const storeUrl = await postgres.newDatabase()
  const { anvil, client } = chain
  const common = {
    ...{ account, storeUrl, maxBatch: 4 },
    chain: { url: anvil.url, chainId: anvil.chainId, addresses: client.addresses },
  }
  const store = new Store({ location: storeUrl, node: 'orchestrator' })
  await store.open()
  return { account: accountNamed(account).address, common, store }
}

async function redeemedIn(store: Store): Promise<number> {
  const counts = await store.countTickets()
  return counts.find(({ state }) => state === 'redeemed')?.count ?? 0
}

/** Each ticket was sent once, no transaction failed, and each nonce of the account was used once, as the store knows. */
async function assertSentOnce(
  account: `0x${string}`,
  { since, store, tickets }: { store: Store; since: bigint; tickets: readonly WinningTicket[] },
) {
  const sent = await transactionsOf(chain, account, since)
  assert.equal(sent.failed, 0)
  const stored = await store.minedTransactions(account, 0, 100)
  assert.deepEqual(
    stored.map(({ nonce, state }) => `${nonce} ${state}`).sort(),
    Array.from({ length: sent.count }, (_, nonce) => `${nonce} mined`).sort(),
  )
  assert.deepEqual(await store.openTransactions(account), [])
  assert.deepEqual(
    stored.flatMap(({ purpose }) => purpose.split(' ').slice(1)).sort(),
    tickets.map((ticket) => formatHex(ticketHash(ticket))).sort(),
  )
}

test('of two redeemers one redeems what any node has won, and both count it against the sender’s funds', async () => {
  const { account, common, store } = await cluster('pair')
  const tickets = await ticketsOf('gateway of a pair', 6)
  const since = await chain.protocol.blockNumber()
  await using first = await startClustered({ ...common, node: 'first' })
  await using second = await startClustered({ ...common, node: 'second' })
  await eventually('a leader', () => first.redeemer.leads || second.redeemer.leads)
  mines = false
  // Won by an orchestrator that never comes back.
  await store.addTickets(tickets, Date.now())
  const { sender } = tickets[0]!
  const whole = tickets.reduce((sum, { faceValue }) => sum + faceValue, 0n)
  for (const node of [first, second]) {
    await eventually('all count', () => node.senders.pending(sender) === whole)
    assert.equal(node.redeemer.openTickets, 6)
  }
  mines = true
  await eventually('all redeemed', async () => (await redeemedIn(store)) === 6, PATIENCE_MS)
  for (const node of [first, second])
    await eventually('none count', () => node.senders.pending(sender) === 0n)
  assert.equal([first, second].filter(({ redeemer }) => redeemer.leads).length, 1)
  await assertSentOnce(account, { since, store, tickets })
  await store.close()
})

/** Two processes of one cluster, of which the first leads. */
async function startPair(t: TestContext, common: Omit<Parameters<typeof startProcess>[0], 'node'>) {
  const first = startProcess({ ...common, node: 'first' })
  t.after(() => release(first.child))
  await first.until('"lease":"redeem"')
  const second = startProcess({ ...common, node: 'second' })
  t.after(() => release(second.child))
  await second.until('ready')
  await sleep(1_000)
  return { first, second }
}

test('a redeemer killed with transactions under way is followed within 10 s; they are not sent twice', async (t) => {
  const { account, common, store } = await cluster('killed')
  const tickets = await ticketsOf('gateway of a killed one', 8)
  const since = await chain.protocol.blockNumber()
  const { first, second } = await startPair(t, common)
  mines = false
  await store.addTickets(tickets.slice(0, 4), Date.now())
  await first.until('transaction sent')
  await release(first.child)
  const killedAtMs = performance.now()
  await second.until('"lease":"redeem"')
  const failoverMs = performance.now() - killedAtMs
  assert.ok(failoverMs < FAILOVER_MS, `${failoverMs} ms`)
  await second.until('open transactions loaded')
  await store.addTickets(tickets.slice(4), Date.now())
  await second.until('transaction sent')
  mines = true
  await eventually('all redeemed', async () => (await redeemedIn(store)) === 8, PATIENCE_MS)
  await assertSentOnce(account, { since, store, tickets })
  await store.close()
})

test('a redeemer paused for longer than its lease does no harm when it goes on', async (t) => {
  const { account, common, store } = await cluster('paused')
  const tickets = await ticketsOf('gateway of a paused one', 24)
  const since = await chain.protocol.blockNumber()
  const { first, second } = await startPair(t, common)
  const add = (from: number, to: number) => store.addTickets(tickets.slice(from, to), Date.now())
  mines = false
  await add(0, 4)
  await first.until('transaction sent')
  // It is stopped while tickets come in, so anywhere in its work on them.
  await add(4, 8)
  await sleep(1_050)
  first.child.kill('SIGSTOP')
  const pausedAtMs = performance.now()
  await add(8, 12)
  await second.until('"lease":"redeem"')
  const failoverMs = performance.now() - pausedAtMs
  assert.ok(failoverMs < FAILOVER_MS + 2_000, `${failoverMs} ms`)
  await add(12, 16)
  await second.until('transaction sent')
  // Both believe for a moment that they lead.
  first.child.kill('SIGCONT')
  await add(16, 20)
  await first.until('this node no longer leads')
  mines = true
  await add(20, 24)
  await eventually('all redeemed', async () => (await redeemedIn(store)) === 24, PATIENCE_MS)
  await assertSentOnce(account, { since, store, tickets })
  await store.close()
})
