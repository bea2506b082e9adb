import { DEFAULT_PEER_PORT, portOf } from '../../config/addresses.ts'
import type { OrchestratorSettings, Settings } from '../../config/settings.ts'
import { announcedVersion, bitsOf, defaultCapabilities } from '../../domain/capabilities.ts'
import { offered, serviceUriOf } from '../../domain/duties.ts'
import type { MemberWork } from '../../domain/member.ts'
import { GatewayWebhook } from '../../io/http/gateway-webhook.ts'
import { FormUploads } from '../../io/objects/form-upload.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { openStore } from '../../io/objects/open-store.ts'
import { OrchestratorEndpoint } from '../../io/rpc/orchestrator-endpoint.ts'
import { Endpoint } from '../../io/rpc/server.ts'
import { fetchSource } from '../../io/rpc/source-fetch.ts'
import { TranscoderEndpoint } from '../../io/rpc/transcoder-endpoint.ts'
import type { Service } from '../../lib/service.ts'
import { LoadEvening } from '../../services/cluster/load-evening.ts'
import { Orchestrator } from '../../services/orchestrator/orchestrator.ts'
import { PriceBook } from '../../services/orchestrator/price-book.ts'
import type { Recipient } from '../../services/orchestrator/recipient.ts'
import { ResultUploads } from '../../services/orchestrator/result-uploads.ts'
import { SecretRing } from '../../services/orchestrator/secret-ring.ts'
import { SelfCheck } from '../../services/orchestrator/self-check.ts'
import { FreeOfCharge, TicketRecipient } from '../../services/orchestrator/ticket-recipient.ts'
import { Activity } from '../../services/protocol/activity.ts'
import { TranscoderPool } from '../../services/transcoding/transcoder-pool.ts'
import type { ChainParts } from './chain.ts'
import type { ClusterParts } from './cluster.ts'
import type { Core } from './core.ts'
import type { Winners } from './redeemer.ts'
import type { TranscoderParts } from './transcoder.ts'

/** How long peers may take, once this node takes no more work, for the answers that they are sent. */
const LEAVING_MS = 10_000

/** What an orchestrator needs of the other parts. */
export interface OrchestratorNeeds {
  /** This node's own engine; null where only transcoders on other machines work. */
  readonly transcoder: TranscoderParts | null
  /** Null offchain. */
  readonly payments: { readonly chain: ChainParts; readonly winners: Winners } | null
  /** Null where the node has a database of its own. */
  readonly cluster: ClusterParts | null
}

/** The orchestrator, its transcoders, and the port for gateways and transcoders. */
export class OrchestratorParts {
  readonly orchestrator: Orchestrator
  /** The transcoders on other machines, and this node's own engine. */
  readonly transcoders: TranscoderPool
  /** Null offchain. */
  readonly prices: PriceBook | null
  /** What takes tickets; null offchain. */
  readonly tickets: TicketRecipient | null
  readonly services: readonly Service[]
  readonly #settings: Settings
  readonly #endpoint: Endpoint
  readonly #cluster: ClusterParts | null

  constructor(
    core: Core,
    settings: OrchestratorSettings,
    { cluster, payments, transcoder }: OrchestratorNeeds,
  ) {
    const { env, signer, store } = core
    const serviceUri = serviceUriOf(core.settings)
    // Any node of a cluster may be asked for a result: its URL says which one has it.
    const place = cluster ? `${cluster.members.node}/` : ''
    const results = new MemoryObjects({ baseUrl: `${serviceUri}/stream/${place}` })
    const transcoders = new TranscoderPool(
      {
        ...{ serviceUri, secret: core.settings.secrets.orchSecret },
        orchestrator: payments?.chain.recipient ?? 'offchain',
        capabilities:
          transcoder?.capabilities ??
          offered(defaultCapabilities(announcedVersion(env.version)), {
            fetchesUris: settings.sources !== null,
          }),
      },
      {
        ...{ ...env, local: transcoder?.capacity ?? null, sources: results },
        ...(cluster && { sourceUrlFor: cluster.sourceUrlsAt(serviceUri, settings) }),
      },
    )
    const { rotateSecrets: rotate } = settings
    const authKeys = new SecretRing('auth-token', { ...env, secrets: store }, { rotate })
    const { authWebhook } = settings
    const authority = authWebhook === null ? null : new GatewayWebhook({ url: authWebhook }, env)
    const payee = payments ? paid(core, settings, payments, cluster) : FREE
    this.transcoders = transcoders
    this.prices = payee.prices
    this.tickets = payee.tickets
    this.orchestrator = new Orchestrator(
      {
        ...{ serviceUri, nodes: settings.nodes, version: env.version },
        ...{ offchain: payments === null, recipient: payments?.chain.recipient ?? null },
        // Both change as transcoders connect and disconnect.
        get maxSessions() {
          return core.maxSessionsFor(transcoders.capacity)
        },
        get capabilities() {
          return transcoders.capabilities
        },
      },
      {
        ...{ ...env, signer, recipient: payee.recipient, lookups: payments?.winners.senders ?? null },
        ...{ transcoder: transcoders, results, authKeys, siblings: cluster?.others ?? null },
        uploads: uploadsOf(settings, env),
        authority,
        agree: (gateway, price) => payee.prices?.agree(gateway, price),
      },
    )
    const endpoint = peerEndpoint(core, settings, { orchestrator: this.orchestrator, transcoders, cluster })
    this.#settings = core.settings
    this.#endpoint = endpoint
    this.#cluster = cluster
    this.services = [
      ...[...(transcoder?.services ?? []), transcoders],
      ...(authority ? [authority] : []),
      ...[...payee.services, store, authKeys, this.orchestrator, ...(cluster?.services ?? []), endpoint],
      ...(cluster ? [cluster.opening(endpoint, this), this.#evening(cluster, core)] : []),
      ...selfCheck(core, serviceUri),
    ]
  }

  /** The orchestrator's work, as siblings are told it. */
  work(): MemberWork {
    return { ...this.orchestrator.work(), can: bitsOf(this.transcoders.capabilities.bitstring) }
  }

  #evening({ members }: ClusterParts, { env, store }: Core): LoadEvening {
    return new LoadEvening({
      ...env,
      members,
      mayMove: () => members.isIn && store.fault === null,
      port: () => this.#endpoint.connections,
      work: () => this.orchestrator.work(),
    })
  }

  /** Finishes the work for gateways that runs, takes no more and closes the port. Rejects when the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    const { drainNoticeMs: noticeMs, drainTimeoutMs: limitMs } = this.#settings
    const onMove = () => {
      this.#endpoint.connections?.turnAway()
      // So that siblings hand nothing to it any more.
      this.#cluster?.members.renew().catch(() => {})
    }
    await this.orchestrator.drain({ limitMs, noticeMs, onMove }, signal)
    await this.#endpoint.leave(LEAVING_MS, signal)
  }

  /** Opens the port and takes work again. Throws NodeError `cannot-listen`. */
  async undrain(): Promise<void> {
    await this.#endpoint.comeBack()
    this.orchestrator.undrain()
    await this.#cluster?.members.renew().catch(() => {})
  }
}

/** Where results are saved outside this node; null for nowhere. */
function uploadsOf({ objectStore, sources }: OrchestratorSettings, env: Core['env']): ResultUploads | null {
  if (!objectStore && !sources) return null
  const own = objectStore && openStore(objectStore, { isPublic: true }, env)
  return new ResultUploads({ forms: sources && new FormUploads(sources), own }, env)
}

/** What takes the payments of gateways. */
interface Payee {
  readonly recipient: Recipient
  readonly prices: PriceBook | null
  readonly tickets: TicketRecipient | null
  readonly services: readonly Service[]
}

const FREE: Payee = { recipient: new FreeOfCharge(), prices: null, tickets: null, services: [] }

function paid(
  core: Core,
  settings: OrchestratorSettings,
  { chain, winners }: NonNullable<OrchestratorNeeds['payments']>,
  cluster: ClusterParts | null,
): Payee {
  const { env, store } = core
  const { client, gas, recipient, rounds, watch } = chain
  const { autoAdjustPrice, gatewayPrices, maxFaceValue, price, rotateSecrets: rotate, ticketEv } = settings
  const activity = new Activity({ recipient }, { ...env, chain: client, watch, rounds })
  const secret = new SecretRing('ticket', { ...env, secrets: store }, { rotate })
  const single = [...gatewayPrices].map(([gateway, unit]) => [gateway, chain.priceNow(unit)] as const)
  const prices = new PriceBook(chain.priceNow(price!), single, env.clock)
  const ticketRecipient = new TicketRecipient(
    {
      ...{ recipient, ticketEv, redeemGas: chain.settings.redeemGas },
      ...{ maxFaceValue: maxFaceValue ?? 0n, autoAdjustPrice },
      ...(cluster && { process: `${cluster.members.node}/${cluster.members.instance}` }),
    },
    {
      ...{ ...env, secret, nonces: store, balances: store.sessions, prices: store.sessions, records: store },
      ...{ senders: winners.floats, rounds, activity, gas, winners: winners.keeper },
      priceBook: prices,
    },
  )
  return {
    ...{ recipient: ticketRecipient, tickets: ticketRecipient, prices },
    services: [
      ...[...chain.following, activity, gas, ...winners.services],
      ...chain.registrationAt(serviceUriOf(core.settings)),
      ...[secret, ...chain.priceFeeds, ticketRecipient],
    ],
  }
}

/** The port for gateways, and for transcoders where a secret admits them. */
function peerEndpoint(
  core: Core,
  settings: OrchestratorSettings,
  {
    cluster,
    orchestrator,
    transcoders,
  }: Pick<OrchestratorParts, 'orchestrator' | 'transcoders'> & Pick<OrchestratorNeeds, 'cluster'>,
): Endpoint {
  const { duties, env } = core
  const { bind, sources } = settings
  const service = serviceUrlOf(core.settings)
  const fetchAllowed: ConstructorParameters<typeof OrchestratorEndpoint>[1]['fetchSource'] =
    sources && ((url, limits, signal) => fetchSource(url, { limits, rule: sources }, signal))
  const known = cluster && {
    ...{ node: cluster.members.node, handOver: cluster.handOver },
    kept: (node: string, path: string) => cluster.successors.kept(node, path),
  }
  const forGateways = new OrchestratorEndpoint(
    {},
    { ...env, api: orchestrator, fetchSource: fetchAllowed, cluster: known },
  )
  const forSiblings = cluster ? [cluster.routes(forGateways, orchestrator)] : []
  const forTranscoders = () =>
    new TranscoderEndpoint({ ownOnly: core.ownCerts !== null }, { ...env, api: transcoders })
  return new Endpoint(
    {
      ...{ name: 'service endpoint', host: bind.host, port: bind.port ?? portOf(service) },
      tls: bind.clearText ? null : core.tlsFor(service.hostname),
    },
    { ...env, routes: [forGateways, ...forSiblings, ...(duties.takesTranscoders ? [forTranscoders()] : [])] },
  )
}

function selfCheck({ access, client, duties, env, settings, signer }: Core, serviceUri: string): Service[] {
  if (!duties.checksItself) return []
  const isInCluster = settings.store !== null
  const options = { serviceUri, address: signer.address, offchain: access === null, isInCluster }
  return [client, new SelfCheck(options, { ...env, client })]
}

/** The address that this node listens at, unless its settings name another. */
export function serviceUrlOf(settings: Settings): URL {
  return new URL(serviceUriOf(settings) || `https://127.0.0.1:${DEFAULT_PEER_PORT}`)
}
