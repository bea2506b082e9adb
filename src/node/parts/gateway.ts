import type { GatewaySettings } from '../../config/settings.ts'
import { jobCapabilities } from '../../domain/capabilities.ts'
import { noCauses } from '../../domain/causes.ts'
import type { OrchestratorPlace } from '../../domain/no-session.ts'
import type { Profile } from '../../domain/rendition.ts'
import { AuthWebhook } from '../../io/http/auth-webhook.ts'
import { ExternalVerifier } from '../../io/http/external-verifier.ts'
import { GatewayHttp } from '../../io/http/gateway-http.ts'
import { WebhookList } from '../../io/http/orchestrator-list.ts'
import { PerfStatsPage } from '../../io/http/perf-stats.ts'
import { VerifierBucket } from '../../io/http/verifier-bucket.ts'
import { VerifierFolder } from '../../io/http/verifier-folder.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { openStore } from '../../io/objects/open-store.ts'
import { type NamedFolder, StoreFolders } from '../../io/objects/store-folders.ts'
import { RtmpPort } from '../../io/rtmp/rtmp-port.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import type { Rational } from '../../lib/rational.ts'
import type { Service } from '../../lib/service.ts'
import { Discovery } from '../../services/gateway/discovery.ts'
import { Gateway } from '../../services/gateway/gateway.ts'
import type { GatewayOptions } from '../../services/gateway/gateway-needs.ts'
import type { PayingView } from '../../services/gateway/no-sessions.ts'
import { OrchestratorAccounts } from '../../services/gateway/orchestrator-accounts.ts'
import {
  checkOrchestrators,
  type OrchestratorCheckResult,
} from '../../services/gateway/orchestrator-check.ts'
import { OrchestratorPolls } from '../../services/gateway/orchestrator-polls.ts'
import {
  ListedOrchestrators,
  type OrchestratorSource,
  PooledOrchestrators,
} from '../../services/gateway/orchestrator-source.ts'
import { Outlets } from '../../services/gateway/outlets.ts'
import type { Payer } from '../../services/gateway/payer.ts'
import { PerfScores } from '../../services/gateway/perf-scores.ts'
import { RefutedStore } from '../../services/gateway/refuted-store.ts'
import { Spending } from '../../services/gateway/spending.ts'
import { NoPayments, TicketSender } from '../../services/gateway/ticket-sender.ts'
import { WebhookOrchestrators } from '../../services/gateway/webhook-orchestrators.ts'
import type { Senders } from '../../services/protocol/senders.ts'
import type { ChainParts } from './chain.ts'
import type { Core } from './core.ts'
import { publishersOf } from './publishing.ts'
import { recordingParts } from './recordings.ts'

/** How long an orchestrator may take to answer a check: as long as any search waits (gateway.md §7). */
const CHECK_MS = 6_000

/** The gateway and its port for publishers and players. */
export class GatewayParts {
  readonly gateway: Gateway
  /** What each orchestrator was paid, and what it gave for that. */
  readonly accounts: OrchestratorAccounts
  /** What it pays with; null offchain. */
  readonly paying: { readonly funds: Senders; readonly spending: Spending } | null
  /** What it asks for and pays at most for new streams. */
  readonly terms: GatewayTerms
  /** Asks all orchestrators whether they would serve a stream with the present terms and funds. */
  readonly check: (signal: AbortSignal) => Promise<OrchestratorCheckResult>
  readonly services: readonly Service[]
  readonly #source: OrchestratorSource

  constructor(core: Core, settings: GatewaySettings, chain: ChainParts | null) {
    const { client, env, media, signer } = core
    this.accounts = new OrchestratorAccounts(env)
    const { maxPrice, profiles } = settings
    const terms: GatewayTerms = { maxPrice: maxPrice && chain ? chain.priceNow(maxPrice) : null, profiles }
    this.terms = terms
    const paid = chain ? paysWith(this.accounts, core, settings, { chain, terms }) : FREE
    const { payer, view: paying } = paid
    this.paying = paid.funds
    const { foundAt, services: finding, source } = sourceOf(core, settings, chain)
    this.#source = source
    const { bind, blocklist, currentManifest, discoveryTimeoutMs, extraNodes, httpIngest, publicHost } =
      settings
    const directory = new Discovery(
      { timeoutMs: discoveryTimeoutMs, extraNodes, blocklist: [...blocklist] },
      { ...env, source, client, signer, payer },
    )
    const { authWebhook, localVerify, maxAttempts, minOrchestratorVersion, perf, verifier, failedSegments } =
      settings
    // It waits until all have answered, and its questions are no events of discovery.
    const everybody = new Discovery(
      { timeoutMs: CHECK_MS, extraNodes, blocklist: [...blocklist] },
      { ...env, source, client, signer, payer, causes: noCauses, events: { tell: () => {} } },
    )
    this.check = (signal) => {
      const push = httpIngest
      const capabilities = jobCapabilities({
        profiles: terms.profiles,
        push,
        minVersion: minOrchestratorVersion,
      })
      return checkOrchestrators({ capabilities, foundAt }, { directory: everybody, paying }, signal)
    }
    const external =
      verifier && new ExternalVerifier(verifier.url, { ...env, place: verifierPlace(verifier, env) })
    const scores = perf && new PerfScores({ ...env, stats: new PerfStatsPage(perf) })
    const authority = authWebhook === null ? null : new AuthWebhook({ url: authWebhook }, env)
    const {
      recorder,
      recordings,
      services: recording,
    } = recordingParts(settings.recordings, {
      ...{ authority, env },
      account: chain?.account ?? null,
    })
    this.gateway = new Gateway(
      {
        ...{ maxAttempts, localVerify, minOrchestratorVersion },
        weights: chain && weightsOf(settings, terms),
        foundAt,
        // An operator may change these.
        get maxSessions() {
          return core.maxSessionsFor(0)
        },
        get profiles() {
          return terms.profiles
        },
      },
      {
        ...{
          ...env,
          directory,
          client,
          payer,
          signer,
          media,
          store: new MemoryObjects(),
          paying,
          authority,
          recorder,
        },
        outlets: new Outlets(
          { own: settings.objectStore, open: (at) => openStore(at, { isPublic: true }, env) },
          env,
        ),
        externalVerifier: external,
        refuted:
          failedSegments &&
          new RefutedStore({ ...env, store: openStore(failedSegments, { isPublic: false }, env) }),
        facts: {
          stakeOf: (recipient) => source.stakeOf(recipient),
          perfScoreOf: (recipient) => scores?.scoreOf(recipient) ?? null,
        },
      },
    )
    const http = new GatewayHttp(
      { ...bind, httpIngest, currentManifest, publicHost },
      { ...env, gateway: this.gateway, recordings },
    )
    const { rtmp } = settings
    const feeds = chain?.priceFeeds ?? []
    const folders = foldersOf(settings)
    const services: Service[] = [
      ...(folders.length > 0 ? [new StoreFolders(folders, env)] : []),
      ...publishersOf(core, settings),
      client,
      ...paid.services,
      media,
      ...finding,
      ...feeds,
    ]
    if (authority) services.push(authority)
    if (external) services.push(external)
    if (scores) services.push(scores)
    services.push(...recording, this.gateway)
    const mayTranscode = maxAttempts > 0 && (foundAt !== 'listed' || settings.orchestrators.length > 0)
    if (mayTranscode) services.push(this.#polls(env))
    services.push(http)
    if (rtmp) {
      const { bind, isDefault: isOptional, ...rest } = rtmp
      services.push(new RtmpPort({ ...bind, isOptional, ...rest }, { ...env, gateway: this.gateway }))
    }
    this.services = services
  }

  #polls(env: Core['env']): OrchestratorPolls {
    const { check, gateway } = this
    return new OrchestratorPolls({
      ...env,
      check,
      isIdle: () => gateway.isIdle,
      noSessions: gateway.noSessions,
    })
  }

  /** The URLs of the orchestrators that it may use. */
  async orchestrators(): Promise<readonly string[]> {
    return (await this.#source.candidates()).map(({ url }) => url)
  }
}

/** The stores that are folders of this machine. */
function foldersOf({ objectStore, recordings }: GatewaySettings): readonly NamedFolder[] {
  const stores = [
    { flag: '-objectStore', address: objectStore },
    { flag: '-recordStore', address: recordings.store },
  ]
  return stores.flatMap(({ address, flag }) =>
    address?.place.kind === 'folder' ? [{ flag, folder: address.place.folder }] : [],
  )
}

/** Where a verifier finds what it judges. */
function verifierPlace(
  { place }: NonNullable<GatewaySettings['verifier']>,
  env: Core['env'],
): VerifierFolder | VerifierBucket {
  if (typeof place === 'string') return new VerifierFolder(place, env)
  return new VerifierBucket(openStore(place, { isPublic: true }, env), env)
}

/** What an operator may change of a gateway's terms while it runs; for a price ceiling, at the newest rate of its currency. */
export interface GatewayTerms {
  /** Wei per pixel; null for any price. */
  maxPrice: (() => Rational) | null
  profiles: readonly Profile[]
}

/** How orchestrators are paid. */
interface Paying {
  readonly payer: Payer
  /** For explanations; null where nothing is paid. */
  readonly view: PayingView | null
  readonly funds: GatewayParts['paying']
  readonly services: readonly Service[]
}

const FREE: Paying = { payer: new NoPayments(), funds: null, view: null, services: [] }

function paysWith(
  accounts: OrchestratorAccounts,
  { env, signer }: Core,
  settings: GatewaySettings,
  { chain, terms }: { readonly chain: ChainParts; readonly terms: GatewayTerms },
): Paying {
  const { account, gas, rounds } = chain
  const { depositMultiplier, maxTicketEv, maxTotalEv } = settings
  const limits = { maxTicketEv, maxTotalEv, depositMultiplier }
  // The gateway is the sender; only its own funds are looked up.
  const funds = chain.sendersFor(chain.account)
  const spending = new Spending(env.clock)
  const payer = new TicketSender(limits, { ...env, signer, rounds, funds, accounts, spending })
  const view: PayingView = {
    ...{ account, limits, redeemGas: chain.settings.redeemGas },
    funds: () => funds.info(account),
    get poolSize() {
      return rounds.poolSize
    },
    get lastInitializedRound() {
      return rounds.lastInitializedRound
    },
    get gasPrice() {
      return gas.gasPrice
    },
    get maxPrice() {
      return terms.maxPrice?.() ?? null
    },
  }
  return { payer, funds: { funds, spending }, view, services: [...chain.following, funds] }
}

/** A source of orchestrators. */
interface Found {
  readonly foundAt: OrchestratorPlace
  readonly source: OrchestratorSource
  readonly services: readonly Service[]
}

/** Where orchestrators are found: where a webhook or a list names them, otherwise on chain. */
function sourceOf(
  { duties, env, settings: { network }, store: { records: cache } }: Core,
  { orchestratorWebhook, orchestrators }: GatewaySettings,
  chain: ChainParts | null,
): Found {
  if (orchestratorWebhook !== null) {
    const list = new WebhookList({ url: orchestratorWebhook })
    const source = new WebhookOrchestrators({ ...env, list, webhook: maskUrl(orchestratorWebhook) })
    return { foundAt: 'webhook', source, services: [source] }
  }
  if (!chain || !duties.discoversOnChain) {
    return { foundAt: 'listed', source: new ListedOrchestrators(orchestrators), services: [] }
  }
  const { client: pool, rounds, watch: changes } = chain
  const source = new PooledOrchestrators({
    ...{ ...env, pool, changes, rounds, cache, reach: network.public ? 'public' : 'any' },
  })
  return { foundAt: 'on-chain', source, services: [...chain.following, source] }
}

function weightsOf(settings: GatewaySettings, terms: GatewayTerms): GatewayOptions['weights'] {
  const { ignoreMaxPriceIfNeeded, perf, selection } = settings
  return {
    ...selection,
    // Follows the rate of the price's currency.
    get maxPrice() {
      return terms.maxPrice?.() ?? null
    },
    ignoreMaxPriceIfNeeded,
    minPerfScore: perf?.minScore ?? 0,
  }
}
