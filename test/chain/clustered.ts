import { devnetKey, devnetKeyBytes } from '../../devnet/artifacts.ts'
import { ChainClient } from '../../src/io/chain/client.ts'
import { ChainWatcher } from '../../src/io/chain/events.ts'
import { GasPriceMonitor } from '../../src/io/chain/gas-price.ts'
import { Rpc } from '../../src/io/chain/rpc.ts'
import { Staking } from '../../src/io/chain/staking.ts'
import { TicketRedemption } from '../../src/io/chain/ticket-redemption.ts'
import { Transactions } from '../../src/io/chain/transactions.ts'
import { walletOfKey } from '../../src/io/chain/wallet.ts'
import { Store } from '../../src/io/store/store.ts'
import { formatHex } from '../../src/lib/bytes.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { type Log, silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { LeaderParts } from '../../src/node/parts/leaders.ts'
import { RewardService } from '../../src/services/protocol/reward-service.ts'
import { RoundInitializer } from '../../src/services/protocol/round-initializer.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import { LedRedeemer } from '../../src/services/redemption/led-redeemer.ts'
import { OpenTickets } from '../../src/services/redemption/open-tickets.ts'
import { Redeemer } from '../../src/services/redemption/redeemer.ts'
import { eventsTo } from '../fakes/events.ts'
import { RECIPIENT } from './redeeming.ts'

/** One of several redeemers with the same store. */
export interface ClusteredOptions {
  /** Its name in the cluster. */
  readonly node: string
  /** Name of its account. */
  readonly account: string
  readonly chain: {
    readonly url: string
    readonly chainId: number
    readonly addresses: ConstructorParameters<typeof ChainClient>[0]['addresses']
  }
  /** The database of the cluster. */
  readonly storeUrl: string
  readonly maxBatch?: number
  /** Whether it also initialises rounds and calls reward. */
  readonly rewards?: boolean
  readonly log?: Log
  readonly happened?: (what: string) => void
}

/** A redeemer of a cluster; disposing stops it. */
export interface Clustered extends AsyncDisposable {
  readonly redeemer: LedRedeemer
  readonly openTickets: OpenTickets
  readonly senders: Senders
  readonly leaders: LeaderParts
  readonly store: Store
  readonly account: Address
}

/** Starts a redeemer on a shared store, for the recipient of `winners`. */
export async function startClustered(options: ClusteredOptions): Promise<Clustered> {
  const signer = walletOfKey(devnetKeyBytes(options.account))
  const account = signer.address
  const { addresses, chainId, url } = options.chain
  const { node, happened = () => {} } = options
  const instance = formatHex(systemDice.bytes(8)).slice(2)
  const env = { clock: systemClock, dice: systemDice, log: options.log ?? silentLog }
  const rpc = new Rpc({ urls: [url], chainId }, env)
  const store = new Store({ location: options.storeUrl, node })
  const watch = new ChainWatcher({ pollMs: 300 }, { ...env, rpc, addresses, cursor: store.records })
  const client = new ChainClient({ rpc, addresses, followed: () => watch.followed })
  const rounds = new Rounds({ ...env, chain: client, watch })
  const claimant = walletOfKey(devnetKeyBytes(RECIPIENT)).address
  const senders = new Senders({ claimant }, { ...env, chain: client, watch, rounds })
  const gas = new GasPriceMonitor({ min: 0n, max: 0n, pollMs: 5_000 }, { ...env, rpc })
  const transactionOptions = { timeoutMs: 60_000, maxReplacements: 1, gasLimit: 0n }
  const leaders = new LeaderParts(
    { account, sessionUrl: options.storeUrl, node, instance, rank: () => 1, gasLimit: 0n },
    {
      ...{ ...env, store },
      transactionsOn: (records) =>
        new Transactions(transactionOptions, {
          ...{ ...env, rpc, signer, store: records, gasPrices: gas, watch },
        }),
    },
  )
  const redeeming = leaders.leadershipOf('redeem', () => 1)
  const events = eventsTo({
    'ticket-won': () => happened('won'),
    'ticket-redeemed': () => happened('redeemed'),
    'reward-called': () => happened('reward'),
    'round-initialized': () => happened('round'),
    'ticket-refused': ({ reason }: { reason: string }) => happened(`refused ${reason}`),
  })
  const openTickets = new OpenTickets({ ...env, tickets: store, senders, rounds })
  const redeemer = new LedRedeemer({
    ...{ ...env, leads: redeeming, openTickets, tickets: store, events },
    ofTerm: (epoch) => {
      const records = leaders.recordsOf(redeeming, epoch)
      const { maxBatch } = options
      const chain = new TicketRedemption(
        { ...env, client, transactions: leaders.transactions, account },
        maxBatch === undefined ? {} : { maxBatch },
      )
      return new Redeemer({
        ...{ ...env, tickets: records, nonces: records, chain, watch, rounds, gas, events },
        senders: { currentFunds: (sender) => senders.currentFunds(sender), addPending: () => {} },
      })
    },
  })
  const staking = new Staking({ maxReplacements: 1 }, { client, transactions: leaders.transactions, account })
  const needs = { ...env, events, rounds, watch, gas, chain: staking, leads: leaders.transactions }
  const duties = [
    new RoundInitializer({ maxDelayMs: 100 }, needs),
    new RewardService({ mode: 'on', account, orchestrator: account, alone: true }, needs),
  ]
  const supervisor = new Supervisor()
  const dispose = async () => {
    await supervisor.stop()
    rpc[Symbol.dispose]()
  }
  const services = [
    ...[store, watch, rounds, senders, gas, ...leaders.services, openTickets, redeeming, redeemer],
    ...(options.rewards ? duties : []),
  ]
  try {
    for (const service of new Set(services)) await supervisor.start(service)
  } catch (error) {
    await dispose()
    throw error
  }
  return { redeemer, openTickets, senders, leaders, store, account, [Symbol.asyncDispose]: dispose }
}

/** The address of a named account. */
export function accountNamed(name: string): { address: Address; key: ReturnType<typeof devnetKey> } {
  return { address: walletOfKey(devnetKeyBytes(name)).address, key: devnetKey(name) }
}
