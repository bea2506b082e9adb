import type { GatewaySettings } from '../../config/settings.ts'
import { maxSessionsOf } from '../../domain/duties.ts'
import { GatewayHttp } from '../../io/http/gateway-http.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import type { Service } from '../../lib/service.ts'
import { Discovery } from '../../services/gateway/discovery.ts'
import { Gateway, type GatewayOptions } from '../../services/gateway/gateway.ts'
import { OrchestratorAccounts } from '../../services/gateway/orchestrator-accounts.ts'
import {
  ListedOrchestrators,
  type OrchestratorSource,
  PooledOrchestrators,
} from '../../services/gateway/orchestrator-source.ts'
import type { Payer } from '../../services/gateway/payer.ts'
import { Spending } from '../../services/gateway/spending.ts'
import { NoPayments, TicketSender } from '../../services/gateway/ticket-sender.ts'
import type { Senders } from '../../services/protocol/senders.ts'
import type { ChainParts } from './chain.ts'
import type { Core } from './core.ts'

/** The gateway and its port for publishers and players. */
export class GatewayParts {
  readonly gateway: Gateway
  /** What each orchestrator was paid, and what it gave for that. */
  readonly accounts: OrchestratorAccounts
  /** What it pays with; null offchain. */
  readonly paying: { readonly funds: Senders; readonly spending: Spending } | null
  readonly services: readonly Service[]

  constructor(core: Core, settings: GatewaySettings, chain: ChainParts | null) {
    const { client, env, media, signer } = core
    this.accounts = new OrchestratorAccounts(env)
    const { funds, payer, services: paying } = chain ? paysWith(this.accounts, core, settings, chain) : FREE
    this.paying = funds
    const { source, services: finding } = sourceOf(core, settings, chain)
    const { bind, blocklist, currentManifest, discoveryTimeoutMs, extraNodes, httpIngest, publicHost } =
      settings
    const directory = new Discovery(
      { timeoutMs: discoveryTimeoutMs, extraNodes, blocklist: [...blocklist] },
      { ...env, source, client, signer, payer },
    )
    const { localVerify, maxAttempts, minOrchestratorVersion, profiles } = settings
    this.gateway = new Gateway(
      {
        ...{ maxAttempts, profiles, localVerify, minOrchestratorVersion },
        ...{ maxSessions: maxSessionsOf(core.settings, 0), weights: chain && weightsOf(settings, chain) },
      },
      {
        ...{ ...env, directory, client, payer, signer, media, store: new MemoryObjects() },
        facts: { stakeOf: (recipient) => source.stakeOf(recipient), perfScoreOf: () => null },
      },
    )
    const http = new GatewayHttp(
      { ...bind, httpIngest, currentManifest, publicHost },
      { ...env, gateway: this.gateway },
    )
    const feeds = chain?.priceFeeds ?? []
    this.services = [client, ...paying, media, ...finding, ...feeds, this.gateway, http]
  }
}

/** How orchestrators are paid. */
interface Paying {
  readonly payer: Payer
  readonly funds: GatewayParts['paying']
  readonly services: readonly Service[]
}

const FREE: Paying = { payer: new NoPayments(), funds: null, services: [] }

function paysWith(
  accounts: OrchestratorAccounts,
  { env, signer }: Core,
  { depositMultiplier, maxTicketEv, maxTotalEv }: GatewaySettings,
  chain: ChainParts,
): Paying {
  const { rounds } = chain
  // The gateway is the sender; only its own funds are looked up.
  const funds = chain.sendersFor(chain.account)
  const spending = new Spending(env.clock)
  const payer = new TicketSender(
    { maxTicketEv, maxTotalEv, depositMultiplier },
    { ...env, signer, rounds, funds, accounts, spending },
  )
  return { payer, funds: { funds, spending }, services: [...chain.following, funds] }
}

/** Where orchestrators are found: on chain, unless some are listed. */
function sourceOf(
  { duties, env, settings: { network } }: Core,
  { orchestrators }: GatewaySettings,
  chain: ChainParts | null,
): { source: OrchestratorSource; services: readonly Service[] } {
  if (!chain || !duties.discoversOnChain) {
    return { source: new ListedOrchestrators(orchestrators), services: [] }
  }
  const { client: pool, rounds, watch: changes } = chain
  const source = new PooledOrchestrators({
    ...{ ...env, pool, changes, rounds, reach: network.public ? 'public' : 'any' },
  })
  return { source, services: [...chain.following, source] }
}

function weightsOf(
  { ignoreMaxPriceIfNeeded, maxPrice, selection }: GatewaySettings,
  chain: ChainParts,
): GatewayOptions['weights'] {
  const maxPriceNow = maxPrice ? chain.priceNow(maxPrice) : () => null
  return {
    ...selection,
    // Follows the rate of the price's currency.
    get maxPrice() {
      return maxPriceNow()
    },
    ignoreMaxPriceIfNeeded,
    minPerfScore: 0,
  }
}
