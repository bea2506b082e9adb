import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { devnetKey, devnetKeyBytes } from '../../devnet/artifacts.ts'
import { MAX_WIN_PROB, recipientRandHash, ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { ChainClient } from '../../src/io/chain/client.ts'
import { ChainWatcher } from '../../src/io/chain/events.ts'
import { GasPriceMonitor } from '../../src/io/chain/gas-price.ts'
import { Rpc } from '../../src/io/chain/rpc.ts'
import { TicketRedemption } from '../../src/io/chain/ticket-redemption.ts'
import { Transactions } from '../../src/io/chain/transactions.ts'
import { walletOfKey } from '../../src/io/chain/wallet.ts'
import { Store } from '../../src/io/store/store.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { type Log, silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import { Redeemer } from '../../src/services/redemption/redeemer.ts'
import { eventsTo } from '../fakes/events.ts'
import type { ChainFixture } from './fixture.ts'

const ETHER = 10n ** 18n
/** Names the account that the tickets of `winners` pay. */
export const RECIPIENT = 'the recipient of redeemed tickets'

/** Options of a redeemer. */
export interface RedeemingOptions {
  /** Name of its account; each name has its own account with ether. */
  readonly name: string
  /** The endpoints that it uses. */
  readonly urls: readonly string[]
  readonly maxBatch?: number
  readonly clock?: Clock
  readonly log?: Log
  /** `-blockPollingInterval`. */
  readonly pollMs?: number
}

/** A redeemer on a real chain with everything that it needs and its store on disk; disposing stops it. */
export interface Redeeming extends AsyncDisposable {
  readonly redeemer: Redeemer
  readonly store: Store
  readonly rpc: Rpc
  readonly account: Address
  /** Events of its tickets, in order. */
  readonly happened: readonly string[]
}

/** Registers the recipient of `winners`, for which redeemers can then redeem. */
export async function registerRecipient({ protocol }: ChainFixture): Promise<void> {
  const serviceUri = 'https://127.0.0.1:8935'
  await protocol.bondAndRegister(devnetKey(RECIPIENT), { stake: 100n * ETHER, serviceUri })
  await protocol.nextRound()
}

/** Winning tickets of a sender with that name, whose funds cover all of them. */
export async function winners(
  { client, protocol }: ChainFixture,
  { count, faceValue = ETHER / 100n, name }: { name: string; count: number; faceValue?: bigint },
): Promise<WinningTicket[]> {
  await protocol.fundSender(devnetKey(name), BigInt(count) * faceValue, ETHER)
  const sender = walletOfKey(devnetKeyBytes(name))
  const recipient = walletOfKey(devnetKeyBytes(RECIPIENT)).address
  const { lastInitialized, blockHash } = await client.roundState()
  const sign = async (_: unknown, senderNonce: number): Promise<WinningTicket> => {
    const ticket = {
      ...{ recipient, sender: sender.address, faceValue, winProb: MAX_WIN_PROB, senderNonce },
      ...{ recipientRand: 5n, recipientRandHash: recipientRandHash(5n), paramsExpirationBlock: 0n },
      expirationParams: { creationRound: lastInitialized, creationRoundBlockHash: blockHash },
    }
    return { ...ticket, sig: await sender.sign(ticketHash(ticket)) }
  }
  return Promise.all(Array.from({ length: count }, sign))
}

/** Starts a redeemer for the recipient of `winners`. */
export async function startRedeeming(chain: ChainFixture, options: RedeemingOptions): Promise<Redeeming> {
  const signer = walletOfKey(devnetKeyBytes(options.name))
  await chain.anvil.setBalance(signer.address, 100n * ETHER)
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-redeeming-'))
  const env = { clock: options.clock ?? systemClock, log: options.log ?? silentLog }
  const rpc = new Rpc({ urls: options.urls, chainId: chain.anvil.chainId }, env)
  const { addresses } = chain.client
  const store = new Store({ location: join(folder, 'redeemer.sqlite3'), sqliteSync: 'thread' })
  const pollMs = options.pollMs ?? 500
  const watch = new ChainWatcher({ pollMs }, { ...env, rpc, addresses, cursor: store.records })
  const client = new ChainClient({ rpc, addresses, followed: () => watch.followed })
  const rounds = new Rounds({ ...env, chain: client, watch })
  const claimant = walletOfKey(devnetKeyBytes(RECIPIENT)).address
  const senders = new Senders({ claimant }, { ...env, chain: client, watch, rounds })
  const gas = new GasPriceMonitor({ min: 0n, max: 0n, pollMs: Math.max(pollMs, 5_000) }, { ...env, rpc })
  const transactions = new Transactions(
    { timeoutMs: 60_000, maxReplacements: 1, gasLimit: 0n },
    { ...env, rpc, signer, store, gasPrices: gas, watch },
  )
  const redemption = new TicketRedemption(
    { ...env, client, transactions, account: signer.address },
    options.maxBatch === undefined ? {} : { maxBatch: options.maxBatch },
  )
  const happened: string[] = []
  const events = eventsTo({
    'ticket-redeemed': () => void happened.push('redeemed'),
    'ticket-refused': ({ reason }: { reason: string }) => void happened.push(`refused ${reason}`),
    'ticket-reopened': () => void happened.push('reopened'),
  })
  const redeemer = new Redeemer({
    ...env,
    ...{ tickets: store, nonces: store, chain: redemption, watch, rounds, senders, gas, events },
  })
  const supervisor = new Supervisor()
  const dispose = async () => {
    await supervisor.stop()
    rpc[Symbol.dispose]()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    for (const service of [store, watch, rounds, senders, gas, transactions, redeemer]) {
      await supervisor.start(service)
    }
  } catch (error) {
    await dispose()
    throw error
  }
  return { redeemer, store, rpc, account: signer.address, happened, [Symbol.asyncDispose]: dispose }
}

/** The transactions of an account since a block: their number, failures and gas, read from the chain itself. */
export async function transactionsOf(
  { anvil }: ChainFixture,
  account: Address,
  fromBlock: bigint,
): Promise<{ count: number; failed: number; gas: bigint }> {
  const last = BigInt(await anvil.request<string>('eth_blockNumber'))
  let [count, failed, gas] = [0, 0, 0n]
  for (let at = fromBlock; at <= last; at++) {
    const receipts = await anvil.request<{ from: string; gasUsed: string; status: string }[]>(
      'eth_getBlockReceipts',
      [`0x${at.toString(16)}`],
    )
    for (const receipt of receipts) {
      if (receipt.from.toLowerCase() !== account.toLowerCase()) continue
      count++
      gas += BigInt(receipt.gasUsed)
      if (receipt.status !== '0x1') failed++
    }
  }
  return { count, failed, gas }
}
