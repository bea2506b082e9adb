import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { devnetKey, devnetKeyBytes } from '../../../devnet/artifacts.ts'
import { type ChainFixture, startChain } from '../../../test/chain/fixture.ts'
import { RpcShim } from '../../../test/chain/rpc-shim.ts'
import { eventually } from '../../../test/tools/until.ts'
import { MAX_WIN_PROB, recipientRandHash, ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import { formatHex } from '../../lib/bytes.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { ChainClient } from './client.ts'
import { EventReader } from './event-log.ts'
import { logSchema } from './raw-log.ts'
import { RedemptionReader } from './redemption-reader.ts'
import { Rpc } from './rpc.ts'
import { TicketRedemption } from './ticket-redemption.ts'
import { Transactions } from './transactions.ts'
import { walletOfKey } from './wallet.ts'

const ETHER = 10n ** 18n
const NEVER = new AbortController().signal
const REDEEMED = ['winning-ticket-transfer', 'winning-ticket-redeemed']
const ANY_COST = { maxCost: ETHER }
const sender = walletOfKey(devnetKeyBytes('ticket sender'))
const orchestrator = walletOfKey(devnetKeyBytes('ticket recipient'))
const redeemer = walletOfKey(devnetKeyBytes('ticket redeemer'))
let chain: ChainFixture
let redemption: TicketRedemption
let transactions: Transactions
let nonce = 0
/** Pays more than the deposit holds. */
let dear: WinningTicket
const supervisor = new Supervisor()

before(async () => {
  chain = await startChain()
  for (const name of ['ticket recipient', 'another orchestrator']) {
    await chain.protocol.bondAndRegister(devnetKey(name), {
      stake: 100n * ETHER,
      serviceUri: 'https://127.0.0.1:8935',
    })
  }
  await chain.protocol.nextRound()
  await chain.anvil.setBalance(redeemer.address, 10n * ETHER)
  const stored = new Map<number, StoredTransaction>()
  transactions = new Transactions(
    { timeoutMs: 5_000, maxReplacements: 1, gasLimit: 0n, pollMs: 20 },
    {
      rpc: chain.rpc,
      signer: redeemer,
      store: {
        openTransactions: async () => [...stored.values()].filter(({ state }) => state === 'open'),
        saveTransaction: async (transaction) => void stored.set(transaction.nonce, transaction),
      },
      gasPrices: { max: 0n, ceiling: 0n, assertBelowMax: () => {} },
      clock: systemClock,
      log: silentLog,
    },
  )
  await supervisor.start(transactions)
  redemption = redemptionOver(transactions)
})
after(async () => {
  await supervisor.stop()
  await chain[Symbol.asyncDispose]()
})

function redemptionOver(over: Transactions): TicketRedemption {
  const account = redeemer.address
  return new TicketRedemption({ client: chain.client, transactions: over, account, clock: systemClock })
}

/** A ticket that wins, of the round that is now. */
async function winner(over: Partial<WinningTicket> = {}): Promise<WinningTicket> {
  const round = await chain.client.roundState()
  const recipientRand = 5n
  const ticket = {
    recipient: orchestrator.address,
    sender: sender.address,
    faceValue: ETHER / 10n,
    winProb: MAX_WIN_PROB,
    senderNonce: nonce++,
    recipientRandHash: recipientRandHash(recipientRand),
    expirationParams: {
      creationRound: round.lastInitialized,
      creationRoundBlockHash: round.blockHash,
    },
    paramsExpirationBlock: 0n,
    recipientRand,
    ...over,
  }
  return { ...ticket, sig: over.sig ?? (await sender.sign(ticketHash(ticket))) }
}

async function fund(deposit: bigint, reserve: bigint): Promise<Address> {
  return chain.protocol.fundSender(devnetKey('ticket sender'), deposit, reserve)
}

test('a sender without funds: the contract says so before anything is sent', async () => {
  assert.deepEqual(await redemption.simulate(await winner()), {
    kind: 'reverts',
    reason: 'sender deposit and reserve are zero',
  })
  assert.deepEqual(await redemption.redeem(await winner(), ANY_COST, NEVER), {
    kind: 'not-sent',
    why: 'refused',
    reason: 'sender deposit and reserve are zero',
  })
})

test('a deposit that covers the face value pays it, as simulated, once', async () => {
  await fund(ETHER, 2n * ETHER)
  const ticket = await winner()
  const simulated = await redemption.simulate(ticket)
  assert.equal(simulated.kind === 'pays' && simulated.amount, ETHER / 10n)
  const [first, second] = await Promise.all([
    redemption.redeem(ticket, ANY_COST, NEVER),
    redemption.redeem(ticket, ANY_COST, NEVER),
  ])
  assert.deepEqual(first, second)
  assert.ok(first.kind === 'mined' && first.success && first.fee > 0n)
  assert.equal(first.kind === 'mined' && first.paid, ETHER / 10n)
  assert.equal(await redemption.isTicketUsed(ticketHash(ticket)), true)
  assert.deepEqual(await redemption.simulate(ticket), { kind: 'reverts', reason: 'ticket is used' })
  assert.deepEqual(await redemption.redeem(ticket, ANY_COST, NEVER), {
    kind: 'not-sent',
    why: 'refused',
    reason: 'ticket is used',
  })
})

test('each fault of a ticket comes back in the words of the contract', async () => {
  const good = await winner()
  const cases: [string, Partial<WinningTicket>][] = [
    ['recipientRand does not match recipientRandHash', { recipientRand: 6n }],
    ['invalid signature over ticket hash', { sig: await orchestrator.sign(ticketHash(good)) }],
    ['ticket did not win', { winProb: 0n }],
    [
      'ticket creationRound does not have a block hash',
      { expirationParams: { creationRound: 1_000n, creationRoundBlockHash: new Uint8Array(32).fill(1) } },
    ],
    [
      'invalid length for ticket auxData: must be 64 bytes',
      { expirationParams: { creationRound: 0n, creationRoundBlockHash: new Uint8Array(32) } },
    ],
  ]
  for (const [reason, fault] of cases) {
    const ticket = await winner(fault)
    assert.deepEqual(await redemption.simulate(ticket), { kind: 'reverts', reason })
  }
})

test('beyond the deposit only the share of the reserve is paid, as simulated', async () => {
  // Two orchestrators share the reserve of 2 ether: one each. The deposit still holds 0.9.
  const ticket = await winner({ faceValue: 3n * ETHER })
  dear = ticket
  const simulated = await redemption.simulate(ticket)
  const expected = (9n * ETHER) / 10n + ETHER
  assert.equal(simulated.kind === 'pays' && simulated.amount, expected)
  const redeemed = await redemption.redeem(ticket, ANY_COST, NEVER)
  assert.equal(redeemed.kind === 'mined' && redeemed.paid, expected)
  assert.deepEqual(await chain.client.senderInfo(sender.address), {
    deposit: 0n,
    withdrawRound: 0n,
    fundsRemaining: ETHER,
    claimedInCurrentRound: ETHER,
  })
  const empty = await redemption.simulate(await winner())
  assert.equal(empty.kind === 'pays' && empty.amount, 0n)
})

test('redemptions are heard of in the network’s words', async () => {
  const reader = new EventReader(chain.client.addresses)
  const filter = { address: reader.addresses, topics: reader.topics, fromBlock: '0x0', toBlock: 'latest' }
  const logs = (await chain.rpc.request('eth_getLogs', [filter])) as unknown[]
  const events = logs.map((log) => reader.read(logSchema.parse(log)))
  const parties = { sender: sender.address, recipient: orchestrator.address }
  const told = events.slice(-3).map((event) => {
    const { block: _b, txHash: _t, logIndex: _l, ...rest } = event!
    return rest
  })
  assert.deepEqual(told, [
    { kind: 'reserve-claimed', sender: sender.address, claimant: orchestrator.address, amount: ETHER },
    { kind: 'winning-ticket-transfer', ...parties, amount: (19n * ETHER) / 10n },
    {
      kind: 'winning-ticket-redeemed',
      ...parties,
      senderNonce: BigInt(nonce - 2),
      recipientRand: 5n,
      ticketFaceValue: 3n * ETHER,
      ticketHash: formatHex(ticketHash(dear)),
    },
  ])
})

test('a redemption is found in its receipt and by searching, with its fee where this account paid it', async () => {
  const parties = { sender: sender.address, recipient: orchestrator.address }
  const announced = await redemption.announcedRedemptions(orchestrator.address, 0n)
  const kinds = announced.map(({ kind }) => kind)
  assert.deepEqual(kinds, [...REDEEMED, ...REDEEMED])
  const { txHash, block } = announced.at(-1)!
  const paid = (19n * ETHER) / 10n
  const found = await redemption.redemptionIn(txHash, dear)
  assert.ok(found?.fee && found.fee > 0n)
  assert.deepEqual(found, { txHash, paid, block, fee: found.fee, isLone: false })
  const elsewhere = new RedemptionReader({ client: chain.client, account: null })
  assert.equal((await elsewhere.redemptionIn(txHash, dear))?.fee, null)
  assert.equal(await redemption.redemptionIn(txHash, await winner()), null)
  assert.equal(await redemption.redemptionIn(`0x${'00'.repeat(32)}`, dear), null)
  assert.deepEqual(await redemption.announcedRedemptions(sender.address, 0n), [])
  assert.equal((await redemption.announcedRedemptions(parties.recipient, block)).length, 2)
})

test('of several endpoints two must know of a redemption; while they differ it is neither found nor missing', async () => {
  const { txHash } = (await redemption.announcedRedemptions(orchestrator.address, 0n)).at(-1)!
  await using shim = await RpcShim.start(chain.anvil.url)
  const needs = { clock: systemClock, log: silentLog }
  const rpc = new Rpc({ urls: [chain.anvil.url, shim.url], chainId: chain.anvil.chainId }, needs)
  const client = new ChainClient({ rpc, addresses: chain.client.addresses })
  const reader = new RedemptionReader({ client, account: null })
  assert.equal((await reader.redemptionIn(txHash, dear))?.isLone, false)
  const { current: now } = await chain.client.roundState()
  assert.deepEqual([await reader.hasExpired(now - 1n), await reader.hasExpired(now - 2n)], [false, true])
  shim.intercept = async ({ forward, method }) => {
    if (method === 'eth_call') return `0x${'00'.repeat(32)}`
    return method === 'eth_getTransactionReceipt' ? null : forward()
  }
  assert.equal(await reader.hasExpired(now - 2n), false)
  await assert.rejects(reader.redemptionIn(txHash, dear), { code: 'endpoints-differ' })
  shim.intercept = async () => undefined
  assert.equal((await reader.redemptionIn(txHash, dear))?.isLone, true)
  assert.deepEqual(
    await Promise.all([now - 1n, now - 2n, now - 3n].map((round) => reader.hasExpired(round))),
    [false, false, true],
  )
})

test('the chain itself counts what was redeemed', async () => {
  const totals = await chain.protocol.redemptions()
  assert.equal(totals.redeemed, 2)
  assert.equal(totals.paying, 2)
  assert.equal(totals.faceValue, ETHER / 10n + 3n * ETHER)
  assert.equal(totals.paid, ETHER / 10n + (9n * ETHER) / 10n + ETHER)
  assert.equal(totals.fees, 10n * ETHER - (await chain.client.ethBalance(redeemer.address)))
})

test('tickets wanted at the same time share a transaction, each with what it paid and its part of the fee', async () => {
  await fund(ETHER, 0n)
  const before = await chain.protocol.redemptions()
  const tickets = await Promise.all([1n, 2n, 3n].map((part) => winner({ faceValue: ETHER / (10n * part) })))
  const results = await Promise.all(tickets.map((ticket) => redemption.redeem(ticket, ANY_COST, NEVER)))
  const mined = results.filter((result) => result.kind === 'mined')
  assert.deepEqual(
    mined.map(({ paid, success }) => [success, paid]),
    tickets.map(({ faceValue }) => [true, faceValue]),
  )
  assert.equal(new Set(mined.map(({ txHash }) => txHash)).size, 1)
  const after = await chain.protocol.redemptions()
  const fees = after.fees - before.fees
  const sum = mined.reduce((total, { fee }) => total + fee, 0n)
  assert.ok(fees - sum < 3n, `${fees} ${sum}`)
})

test('a bad ticket does not keep those beside it from being redeemed', async () => {
  const [good, bad, alsoGood] = [await winner(), await winner({ winProb: 0n }), await winner()]
  const results = await Promise.all(
    [good, bad, alsoGood].map((ticket) => redemption.redeem(ticket, ANY_COST, NEVER)),
  )
  assert.deepEqual(results[1], { kind: 'not-sent', why: 'refused', reason: 'ticket did not win' })
  assert.ok(results[0]!.kind === 'mined' && results[0]!.success)
  assert.ok(results[2]!.kind === 'mined' && results[2]!.success)
})

test('a ticket that fails among others, because they took what it would have been paid, is told apart', async () => {
  const poor = walletOfKey(devnetKeyBytes('poor sender'))
  await chain.protocol.fundSender(devnetKey('poor sender'), ETHER, 0n)
  const ticketOf = async () => {
    const ticket = await winner({ sender: poor.address, faceValue: ETHER })
    return { ...ticket, sig: await poor.sign(ticketHash(ticket)) }
  }
  const tickets = [await ticketOf(), await ticketOf()]
  const results = await Promise.all(tickets.map((ticket) => redemption.redeem(ticket, ANY_COST, NEVER)))
  assert.deepEqual(
    results.map((result) => result.kind === 'mined' && [result.success, result.paid]),
    [
      [true, ETHER],
      [false, 0n],
    ],
  )
  assert.equal(await redemption.isTicketUsed(ticketHash(tickets[1]!)), false)
})

test('after a restart each ticket of a batch finds the transaction that it is in', async () => {
  await fund(ETHER, 0n)
  await chain.anvil.mineOnDemand()
  const tickets = [await winner(), await winner()]
  const stop = new AbortController()
  const abandoned = Promise.allSettled(
    tickets.map((ticket) => redemption.redeem(ticket, ANY_COST, stop.signal)),
  )
  await eventually('the batch is sent', () => transactions.open.length === 1)
  stop.abort()
  await abandoned
  const again = redemptionOver(transactions)
  const results = Promise.all(tickets.map((ticket) => again.redeem(ticket, ANY_COST, NEVER)))
  await chain.anvil.mineAtOnce()
  await chain.anvil.mine()
  const mined = (await results).filter((result) => result.kind === 'mined')
  assert.deepEqual(
    mined.map(({ paid, success }) => [success, paid]),
    tickets.map(() => [true, ETHER / 10n]),
  )
  assert.equal(new Set(mined.map(({ txHash }) => txHash)).size, 1)
})

test('a ticket two rounds old has expired', async () => {
  await fund(ETHER, 0n)
  const ticket = await winner()
  await chain.protocol.nextRound()
  assert.equal((await redemption.simulate(ticket)).kind, 'pays')
  await chain.protocol.nextRound()
  assert.deepEqual(await redemption.simulate(ticket), { kind: 'reverts', reason: 'ticket is expired' })
})

test('nothing can be redeemed before the round is initialised', async () => {
  const ticket = await winner()
  await chain.anvil.mine(50)
  assert.deepEqual(await redemption.simulate(ticket), {
    kind: 'reverts',
    reason: 'current round is not initialized',
  })
})

test('a chain that does not answer is an error, not a verdict about the ticket', async () => {
  const ticket = await winner()
  await chain.anvil.stop()
  await assert.rejects(redemption.simulate(ticket), { code: 'rpc-unreachable' })
  const result = await redemption.redeem(ticket, ANY_COST, NEVER)
  assert.ok(result.kind === 'not-sent' && /connection refused/.test(result.reason))
})
