import type { ChainSettings, UnitPrice } from '../../config/settings.ts'
import { feedCurrenciesOf, recipientOf, sendingRank } from '../../domain/duties.ts'
import { currencyToWei, needsFeed } from '../../domain/price.ts'
import type { PricePerPixel } from '../../domain/ticket.ts'
import { ChainClient } from '../../io/chain/client.ts'
import type { ContractAddresses } from '../../io/chain/contracts.ts'
import { ChainWatcher } from '../../io/chain/events.ts'
import { GasPriceMonitor, networkMaxOf } from '../../io/chain/gas-price.ts'
import type { TransactionSender } from '../../io/chain/led-transactions.ts'
import { OperatorCalls } from '../../io/chain/operator-calls.ts'
import { OperatorReads } from '../../io/chain/operator-reads.ts'
import { PriceFeed } from '../../io/chain/price-feed.ts'
import type { Rpc } from '../../io/chain/rpc.ts'
import { Staking } from '../../io/chain/staking.ts'
import type { TransactionSigner, TransactionStore } from '../../io/chain/transaction-request.ts'
import { Transactions } from '../../io/chain/transactions.ts'
import type { Wallet } from '../../io/chain/wallet.ts'
import type { Address, Signer } from '../../lib/crypto.ts'
import { Rational } from '../../lib/rational.ts'
import type { Service } from '../../lib/service.ts'
import { Registration } from '../../services/protocol/registration.ts'
import { RewardService } from '../../services/protocol/reward-service.ts'
import { RoundInitializer } from '../../services/protocol/round-initializer.ts'
import { Rounds } from '../../services/protocol/rounds.ts'
import { Senders } from '../../services/protocol/senders.ts'
import { isSameUri } from '../service-address.ts'
import type { Core } from './core.ts'
import { LeaderParts } from './leaders.ts'

/** The account, and the chain's endpoints and contracts: opened before any part is made. */
export interface ChainAccess {
  readonly wallet: Signer & TransactionSigner & Pick<Wallet, 'signText' | 'signTypedJson'>
  readonly rpc: Rpc
  readonly chainId: bigint
  readonly addresses: ContractAddresses
}

/** This node in its cluster. */
export interface ClusterMember {
  /** The node's id. */
  readonly node: string
  /** One run of its process. */
  readonly instance: string
  /** Whether another node that lives has the role redeemer. */
  readonly hasRedeemer: () => boolean
}

/** The parts that follow the chain and send to it. A role lists those that it needs started. */
export class ChainParts {
  readonly access: ChainAccess
  readonly settings: ChainSettings
  readonly account: Address
  /** The orchestrator that tickets pay. */
  readonly recipient: Address
  readonly watch: ChainWatcher
  readonly client: ChainClient
  readonly rounds: Rounds
  readonly gas: GasPriceMonitor
  readonly transactions: TransactionSender
  /** What sends the transactions, in the order of starting. */
  readonly sending: readonly Service[]
  /** Null where this node shares no store: then it alone has its account. */
  readonly leaders: LeaderParts | null
  readonly member: ClusterMember | null
  readonly staking: Staking
  /** What the operator asks of the chain, and does with the account. */
  readonly operator: { readonly reads: OperatorReads; readonly calls: OperatorCalls }
  /** Of every currency that prices are written in, apart from wei and ETH. */
  readonly priceFeeds: readonly PriceFeed[]
  /** What every role on chain needs: the rounds, in the order of starting. */
  readonly following: readonly Service[]
  readonly #core: Core
  readonly #feedOf: ReadonlyMap<string, PriceFeed>

  /** `member`: this node in its cluster; null where it shares no store. */
  constructor(core: Core, settings: ChainSettings, access: ChainAccess, member: ClusterMember | null) {
    const { env, store } = core
    const { addresses, rpc, wallet } = access
    this.#core = core
    this.access = access
    this.settings = settings
    this.account = wallet.address
    this.recipient = recipientOf(core.settings, this.account)
    const { pollingIntervalMs: pollMs } = settings
    this.watch = new ChainWatcher({ pollMs }, { ...env, rpc, addresses, cursor: store.records })
    this.client = new ChainClient({ ...access, followed: () => this.watch.followed })
    this.rounds = new Rounds({ ...env, chain: this.client, watch: this.watch })
    this.following = [store, this.watch, this.rounds]
    this.gas = new GasPriceMonitor(
      {
        ...{ min: settings.minGasPrice, max: settings.maxGasPrice ?? 0n, pollMs },
        networkMax: networkMaxOf(Number(access.chainId)),
      },
      { ...env, rpc },
    )
    const { maxReplacements, gasLimit, transactionTimeoutMs: timeoutMs } = settings
    const limits = { timeoutMs, maxReplacements, gasLimit: gasLimit ?? 0n }
    const transactionsOn = (records: TransactionStore) =>
      new Transactions(limits, {
        ...{ ...env, rpc, signer: wallet, store: records, gasPrices: this.gas, watch: this.watch },
      })
    this.leaders = member && newLeaders(core, member, { account: this.account, limits, transactionsOn })
    this.member = member
    if (this.leaders) {
      this.transactions = this.leaders.transactions
      this.sending = this.leaders.services
    } else {
      const transactions = transactionsOn(store)
      this.transactions = transactions
      this.sending = [transactions]
    }
    const { account, client, transactions } = this
    this.staking = new Staking({ maxReplacements }, { client, transactions, account })
    const reads = new OperatorReads({ client })
    this.operator = { reads, calls: new OperatorCalls({ client, reads, transactions, account }) }
    this.#feedOf = new Map(
      feedCurrenciesOf(core.settings).map((currency) => [
        currency,
        new PriceFeed({ address: settings.priceFeed, currency }, { ...env, rpc }),
      ]),
    )
    this.priceFeeds = [...this.#feedOf.values()]
  }

  /**
   * The check of the node's own account against the chain; none where tickets pay another one. `serviceUri`: where this
   * node says that gateways reach it, empty for nowhere.
   */
  registrationAt(serviceUri: string): Registration[] {
    const { account, client, recipient, staking, watch } = this
    if (this.settings.orchestrator !== null && recipient !== account) return []
    const chain = {
      orchestrator: (address: Address) => client.orchestrator(address),
      orchestratorPool: () => client.orchestratorPool(),
      rewardView: (orchestrator: Address) => staking.rewardView(orchestrator),
    }
    return [new Registration({ account, serviceUri }, { ...this.#core.env, chain, watch, isSameUri })]
  }

  /** The funds of senders, as far as this claimant may draw on them. */
  sendersFor(claimant: Address): Senders {
    const { client: chain, rounds, watch } = this
    return new Senders({ claimant }, { ...this.#core.env, chain, watch, rounds })
  }

  /** Whether a currency can be converted: wei and ETH always, another one where its price feed is followed. */
  converts(currency: string): boolean {
    return !needsFeed(currency) || this.#feedOf.has(currency.toUpperCase())
  }

  /** A price in wei per pixel; where it takes a feed, at the feed's newest rate. */
  priceNow({ price, pixelsPerUnit }: UnitPrice): () => PricePerPixel {
    const currency = price.currency.toUpperCase()
    const feed = needsFeed(currency) ? this.#feedOf.get(currency) : undefined
    const units = Rational.of(pixelsPerUnit)
    return () => currencyToWei(price.amount, price.currency, feed?.feed ?? null).div(units)
  }
}

/** The call of the orchestrator's reward in every round. */
export class RewardParts {
  readonly reward: RewardService
  readonly services: readonly Service[]

  constructor({ duties, env }: Core, chain: ChainParts) {
    const { account, gas, recipient: orchestrator, rounds, settings, staking, watch } = chain
    this.reward = new RewardService(
      {
        ...{ mode: settings.reward, account, orchestrator, alone: duties.onlyRewards },
        isOptional: !duties.onlyRewards && !(duties.keepsTickets && account === orchestrator),
      },
      { ...env, chain: staking, watch, rounds, gas, leads: chain.leaders?.transactions ?? null },
    )
    this.services = [gas, ...chain.following, ...chain.sending, this.reward]
  }
}

/** The initialisation of rounds. */
export class RoundInitializerParts {
  readonly roundInitializer: RoundInitializer
  readonly services: readonly Service[]

  constructor({ env }: Core, chain: ChainParts) {
    const { gas, rounds, settings, staking } = chain
    this.roundInitializer = new RoundInitializer(
      { maxDelayMs: settings.initializeRoundMaxDelayMs },
      { ...env, chain: staking, rounds, leads: chain.leaders?.transactions ?? null },
    )
    this.services = [...chain.following, gas, ...chain.sending, this.roundInitializer]
  }
}

function newLeaders(
  { duties, env, settings, store }: Core,
  { hasRedeemer, instance, node }: ClusterMember,
  sending: {
    readonly account: Address
    readonly limits: { readonly gasLimit: bigint }
    readonly transactionsOn: (records: TransactionStore) => Transactions
  },
): LeaderParts {
  const { account, limits, transactionsOn } = sending
  return new LeaderParts(
    {
      ...{ account, instance, node, sessionUrl: settings.secrets.storeSessionUrl },
      rank: () => sendingRank(duties, hasRedeemer()),
      gasLimit: limits.gasLimit,
    },
    { ...env, store, transactionsOn },
  )
}
