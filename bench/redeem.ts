import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { devnetKey, devnetKeyBytes } from '../devnet/artifacts.ts'
import { MAX_WIN_PROB, recipientRandHash, ticketHash, type WinningTicket } from '../src/domain/ticket.ts'
import { ChainWatcher } from '../src/io/chain/events.ts'
import { GasPriceMonitor } from '../src/io/chain/gas-price.ts'
import { TicketRedemption } from '../src/io/chain/redemption.ts'
import { Transactions } from '../src/io/chain/transactions.ts'
import { walletOfKey } from '../src/io/chain/wallet.ts'
import { Store } from '../src/io/store/store.ts'
import { systemClock } from '../src/lib/clock.ts'
import { silentLog } from '../src/lib/log.ts'
import { Supervisor } from '../src/lib/service.ts'
import { Redeemer } from '../src/services/redeemer.ts'
import { Rounds } from '../src/services/rounds.ts'
import { Senders } from '../src/services/senders.ts'
import { startChain } from '../test/chain-fixture.ts'

/** Winning tickets handed at once to a redeemer with a real store, on anvil with a block a second. */

const TICKETS = 320
const ETHER = 10n ** 18n
const sender = walletOfKey(devnetKeyBytes('bench sender'))
const account = walletOfKey(devnetKeyBytes('bench redeemer'))
const recipient = walletOfKey(devnetKeyBytes('bench recipient')).address
const around = { clock: systemClock, log: silentLog }
const nobody = {
  ticketWon: () => {},
  ticketRedeemed: () => {},
  ticketRefused: () => {},
  ticketReopened: () => {},
  redemptionFailed: () => {},
}

/** Redeems many tickets, in batches of at most so many; gives what it took. */
async function redeemMany(maxBatch: number): Promise<{ perBlock: number; gasPerTicket: number }> {
  await using chain = await startChain({ parameters: { roundLength: 500n } })
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-bench-'))
  const supervisor = new Supervisor()
  try {
    const { anvil, client, protocol, rpc } = chain
    await protocol.bondAndRegister(devnetKey('bench recipient'), {
      stake: 100n * ETHER,
      serviceUri: 'https://127.0.0.1:8935',
    })
    await protocol.nextRound()
    await anvil.setBalance(account.address, 100n * ETHER)
    await protocol.fundSender(devnetKey('bench sender'), 100n * ETHER, ETHER)
    await anvil.mineEvery(1)
    const { lastInitialized, blockHash } = await client.roundState()
    const tickets = Array.from({ length: TICKETS }, (_, senderNonce): WinningTicket => {
      const ticket = {
        ...{ recipient, sender: sender.address, faceValue: ETHER / 100n, winProb: MAX_WIN_PROB },
        ...{ senderNonce, recipientRand: 5n, recipientRandHash: recipientRandHash(5n) },
        expirationParams: { creationRound: lastInitialized, creationRoundBlockHash: blockHash },
        paramsExpirationBlock: 0n,
      }
      return { ...ticket, sig: sender.sign(ticketHash(ticket)) }
    })
    const store = new Store({ location: join(folder, 'bench.sqlite3'), sqliteSync: 'thread' })
    const addresses = client.addresses
    const watch = new ChainWatcher({ pollMs: 500 }, { ...around, rpc, addresses, cursor: store })
    const rounds = new Rounds({ ...around, chain: client, watch })
    const senders = new Senders({ claimant: recipient }, { ...around, chain: client, watch, rounds })
    const gas = new GasPriceMonitor({ min: 0n, max: 0n, pollMs: 5_000 }, { ...around, rpc })
    const transactions = new Transactions(
      { timeoutMs: 60_000, maxReplacements: 1, gasLimit: 0n },
      { ...around, rpc, signer: account, store, gasPrices: gas },
    )
    const redemption = new TicketRedemption(
      { ...around, client, transactions, account: account.address },
      { maxBatch },
    )
    const redeemer = new Redeemer({
      ...around,
      ...{ tickets: store, nonces: store, chain: redemption, watch, rounds, senders, gas, events: nobody },
    })
    for (const service of [store, watch, rounds, senders, gas, transactions, redeemer]) {
      await supervisor.start(service)
    }
    const before = await protocol.redemptions()
    const from = await client.blockNumber()
    await Promise.all(tickets.map((ticket) => redeemer.queue(ticket)))
    while ((await protocol.redemptions()).redeemed < TICKETS) await sleep(100)
    const blocks = Number((await client.blockNumber()) - from)
    const gasUsed = await gasOf(rpc, account.address, from)
    if ((await protocol.redemptions()).paying - before.paying !== TICKETS)
      throw new Error('a ticket was not paid')
    return { perBlock: TICKETS / blocks, gasPerTicket: Number(gasUsed) / TICKETS }
  } finally {
    await supervisor.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Gas of all transactions of an account after a block. */
async function gasOf(
  rpc: { request(method: string, params?: unknown[]): Promise<unknown> },
  of: string,
  from: bigint,
): Promise<bigint> {
  const last = BigInt((await rpc.request('eth_blockNumber')) as string)
  let sum = 0n
  for (let at = from; at <= last; at++) {
    const receipts = await rpc.request('eth_getBlockReceipts', [`0x${at.toString(16)}`])
    for (const receipt of receipts as { from: string; gasUsed: string }[]) {
      if (receipt.from.toLowerCase() === of.toLowerCase()) sum += BigInt(receipt.gasUsed)
    }
  }
  return sum
}

const single = await redeemMany(1)
const batched = await redeemMany(16)
const figures = {
  ticketsPerBlock: Number(batched.perBlock.toFixed(1)),
  gasPerTicketSingle: Math.round(single.gasPerTicket),
  gasPerTicketBatched: Math.round(batched.gasPerTicket),
}
console.log(`${TICKETS} winning tickets of one sender, blocks of one second`)
console.log(`alone        ${single.perBlock.toFixed(1)} a block, ${figures.gasPerTicketSingle} gas each`)
console.log(`in batches   ${figures.ticketsPerBlock} a block, ${figures.gasPerTicketBatched} gas each`)
console.log(JSON.stringify(figures))
