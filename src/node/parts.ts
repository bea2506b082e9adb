import { hostname } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_PEER_PORT } from '../config/addresses.ts'
import type { GatewaySettings, OrchestratorSettings, Settings, UnitPrice } from '../config/settings.ts'
import {
  announcedVersion,
  bitsOf,
  bitstringOf,
  type Capabilities,
  capability,
  defaultCapabilities,
  transcodingCapabilities,
} from '../domain/capabilities.ts'
import { commonCapabilities } from '../domain/media-abilities.ts'
import { currencyToWei, needsFeed } from '../domain/price.ts'
import type { Profile } from '../domain/rendition.ts'
import type { PricePerPixel } from '../domain/ticket.ts'
import { ChainClient } from '../io/chain/client.ts'
import type { ContractAddresses } from '../io/chain/contracts.ts'
import { ChainWatcher } from '../io/chain/events.ts'
import { GasPriceMonitor, networkMaxOf } from '../io/chain/gas-price.ts'
import { PriceFeed } from '../io/chain/price-feed.ts'
import { RedemptionReader } from '../io/chain/redemption-reader.ts'
import type { Rpc } from '../io/chain/rpc.ts'
import { Staking } from '../io/chain/staking.ts'
import { TicketRedemption } from '../io/chain/ticket-redemption.ts'
import type { TransactionSigner } from '../io/chain/transaction-request.ts'
import { Transactions } from '../io/chain/transactions.ts'
import { GatewayHttp } from '../io/http/gateway-http.ts'
import { Metrics, nodeTypeOf } from '../io/http/metrics.ts'
import { type EngineState, MediaEngine } from '../io/media/engine/engine.ts'
import { type Machine, workersFor } from '../io/media/engine/hardware.ts'
import { type PatternOptions, patternSegment } from '../io/media/engine/pattern.ts'
import type { Sandbox } from '../io/media/sandbox/sandbox.ts'
import { MemoryObjects } from '../io/objects/memory-objects.ts'
import { OrchestratorClient } from '../io/rpc/orchestrator-client.ts'
import { OrchestratorEndpoint } from '../io/rpc/orchestrator-endpoint.ts'
import { expiryWarning, type OwnCerts, readOwnCerts } from '../io/rpc/own-certs.ts'
import { RedeemerClient } from '../io/rpc/redeemer-client.ts'
import { RedeemerEndpoint } from '../io/rpc/redeemer-endpoint.ts'
import { Endpoint } from '../io/rpc/server.ts'
import { fetchSource } from '../io/rpc/source-fetch.ts'
import { TranscoderClient } from '../io/rpc/transcoder-client.ts'
import { TranscoderEndpoint } from '../io/rpc/transcoder-endpoint.ts'
import { readGoTicketQueue } from '../io/store/go-ticket-queue.ts'
import { IN_MEMORY } from '../io/store/open.ts'
import { Store } from '../io/store/store.ts'
import type { Clock } from '../lib/clock.ts'
import { type Address, noSigner, type Signer } from '../lib/crypto.ts'
import type { Dice } from '../lib/dice.ts'
import { NodeError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { Rational } from '../lib/rational.ts'
import type { Service } from '../lib/service.ts'
import { Discovery } from '../services/gateway/discovery.ts'
import { Gateway, type InputMedia } from '../services/gateway/gateway.ts'
import { OrchestratorAccounts } from '../services/gateway/orchestrator-accounts.ts'
import {
  ListedOrchestrators,
  type OrchestratorSource,
  PooledOrchestrators,
} from '../services/gateway/orchestrator-source.ts'
import type { Payer } from '../services/gateway/payer.ts'
import { NoPayments, TicketSender } from '../services/gateway/ticket-sender.ts'
import { Orchestrator } from '../services/orchestrator/orchestrator.ts'
import type { SecretPurpose } from '../services/orchestrator/payment-records.ts'
import { PriceBook } from '../services/orchestrator/price-book.ts'
import type { Recipient } from '../services/orchestrator/recipient.ts'
import { SecretRing } from '../services/orchestrator/secret-ring.ts'
import { SelfCheck } from '../services/orchestrator/self-check.ts'
import { FreeOfCharge, TicketRecipient } from '../services/orchestrator/ticket-recipient.ts'
import { Activity } from '../services/protocol/activity.ts'
import { RewardService } from '../services/protocol/reward-service.ts'
import { RoundInitializer } from '../services/protocol/round-initializer.ts'
import { Rounds } from '../services/protocol/rounds.ts'
import { Senders } from '../services/protocol/senders.ts'
import { Redeemer } from '../services/redemption/redeemer.ts'
import { RedeemerDesk } from '../services/redemption/redeemer-desk.ts'
import { RedeemerOutbox } from '../services/redemption/redeemer-outbox.ts'
import { RedeemerPeers } from '../services/redemption/redeemer-peers.ts'
import { RemoteFloat } from '../services/redemption/remote-float.ts'
import { TicketImport } from '../services/redemption/ticket-import.ts'
import { EngineCapacity } from '../services/transcoding/engine-capacity.ts'
import { RemoteWorker } from '../services/transcoding/standalone-transcoder.ts'
import type { Transcoder } from '../services/transcoding/transcoder.ts'
import { TranscoderPool } from '../services/transcoding/transcoder-pool.ts'

/** Not the Go node's file: an operator may go back to that with its own database untouched. */
const DATABASE_FILE = 'livepeer-ts.sqlite3'
/** A redeemer has a stream for each sender of each orchestrator, all of one orchestrator over one connection. */
const REDEEMER_STREAMS = 20_000
/** Many times what a ticket takes on the wire. */
const MAX_TICKET_BYTES = 16 * 1024
/** Under load the next payment comes within this time, and the charge for a segment shares its commit. */
const DEBIT_PATIENCE_MS = 50
/** Short, so that the node is soon ready; measured, it gives the same speed as twice as much. */
const TRIAL_SEGMENT_MS = 1_000
const TRIAL_BITRATE = 4_000_000

/** What was opened of the chain before anything is built on it. */
export interface ChainAccess {
  readonly wallet: Signer & TransactionSigner
  readonly rpc: Rpc
  readonly chainId: bigint
  readonly addresses: ContractAddresses
}

/** What does the media work: the engine, or a stand-in where its time is not to be measured. */
export type Media = Service & Transcoder & InputMedia & { readonly state?: EngineState }

/** What comes from outside: time, chance, the log, and what replaces a part of the node. */
export interface Surroundings {
  readonly version: string
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly cpus: number
  readonly media?: Media
  /** What this machine's GPUs and cores were found to do; absent where nothing is transcoded. */
  readonly machine?: Machine
  /** The walls around the workers of the engine, and around those on GPUs. */
  readonly sandbox?: { readonly ofCores: Sandbox; readonly ofGpus: Sandbox } | undefined
}

/**
 * Every part of the node, made at most once, the moment it is first asked for. Asking for a part makes what it needs
 * first, so the order of making is the order of starting.
 */
export class Parts {
  readonly settings: Settings
  readonly #chain: ChainAccess | null
  readonly #around: Surroundings
  readonly #made = new Map<string, unknown>()
  readonly #services: Service[] = []

  constructor(settings: Settings, chain: ChainAccess | null, around: Surroundings) {
    this.settings = settings
    this.#chain = chain
    this.#around = around
  }

  /** What was made and has a life, in the order of starting. */
  get services(): readonly Service[] {
    return this.#services
  }

  /** What a running node waits for before it can be given work; null when it can. */
  get unready(): string | null {
    const isIdle = this.settings.orchestrator !== null && this.transcoders.capacity === 0
    return isIdle ? 'a transcoder' : null
  }

  /** Lets what this node does for others come to its end before it stops. Rejects when the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    const { drainTimeoutMs, orchestrator, transcoder } = this.settings
    if (orchestrator) await this.orchestrator.drain(drainTimeoutMs, signal)
    else if (transcoder) await this.remoteWorker.drain(drainTimeoutMs, signal)
  }

  // What every role may use.

  get store() {
    return this.#once('store', () => {
      const chainId = this.#chain?.chainId ?? 0n
      return new BoundStore(
        new Store(
          {
            location: this.settings.keepsNothing ? IN_MEMORY : join(this.settings.dataDir, DATABASE_FILE),
            debitPatienceMs: DEBIT_PATIENCE_MS,
            sqliteSync: 'thread',
          },
          this.#around,
        ),
        chainId,
      )
    }).store
  }

  /** Why nothing can be written down just now, a sentence; null while all is well, or nothing is kept. */
  get storeFault(): string | null {
    return (this.#made.get('store') as BoundStore | undefined)?.store.fault ?? null
  }

  get metrics() {
    return this.#once('metrics', () => {
      const { settings } = this
      const account = this.#chain ? `${this.#chain.wallet.address}-` : ''
      const nodeType = nodeTypeOf(settings.roles)
      return new Metrics({ nodeId: `${account}${hostname()}`, nodeType, version: this.#around.version })
    })
  }

  get media(): Media {
    return this.#once('media', () => {
      const { clock, cpus: cores, log, machine, media, sandbox } = this.#around
      const devices = machine?.devices ?? []
      const walls = { sandbox: sandbox?.ofCores, gpuSandbox: sandbox?.ofGpus }
      const workers = workersFor(cores, devices)
      return media ?? new MediaEngine({ clock, log, cores, devices, workers, ...walls })
    })
  }

  /** What this node's own engine does; what a stand-in for it does is not known. */
  get #ownCapabilities(): Capabilities {
    const { machine } = this.#around
    const version = announcedVersion(this.#around.version)
    const found = machine
      ? commonCapabilities(machine.devices.length > 0 ? machine.devices : [machine.cores])
      : []
    return transcodingCapabilities({ version, found, hevcDecoding: this.settings.transcoder!.hevcDecoding })
  }

  /** The engine of a node that transcodes, with a measure of what it can do. */
  get capacity() {
    return this.#once('capacity', () => {
      const { media: engine, settings } = this
      const { ladder } = settings.transcoder!
      const sample = (signal: AbortSignal) => patternSegment(trialPattern(ladder), signal)
      const options = { maxSessions: settings.maxSessions, ladder }
      return new EngineCapacity(options, { ...this.#around, engine, sample })
    })
  }

  /** Whether work of others is taken in. */
  get takesSessions(): boolean {
    const { gateway, orchestrator, transcoder } = this.settings
    return gateway !== null || orchestrator !== null || transcoder !== null
  }

  /** How many sessions, or streams, this node takes at once just now. */
  get maxSessions(): number {
    const { maxSessions, orchestrator, transcoder } = this.settings
    if (orchestrator) {
      const { capacity } = this.transcoders
      return maxSessions === 'auto' ? capacity : Math.min(maxSessions, capacity)
    }
    if (transcoder) return this.capacity.sessions
    return maxSessions === 'auto' ? 0 : maxSessions
  }

  /** The certificates by which this operator's nodes know one another; null where none are asked for. */
  get ownCerts(): OwnCerts | null {
    return this.#once('own certificates', () => {
      const { certs } = this.settings
      if (certs === null) return null
      const own = readOwnCerts(certs, this.#around)
      const warning = expiryWarning(own, this.#around.clock.now())
      if (warning) this.#around.log.warn(warning)
      return own
    })
  }

  get signer(): Signer {
    return this.#chain?.wallet ?? noSigner
  }

  // The chain. Nobody asks for these parts offchain.

  get chainClient() {
    return this.#once('chain client', () => {
      const watch = () => this.#made.get('watch') as ChainWatcher | undefined
      return new ChainClient({ ...this.chain, followed: () => watch()?.followed ?? null })
    })
  }

  get watch() {
    return this.#once('watch', () => {
      const { chain, settings } = this
      return new ChainWatcher(
        { pollMs: settings.chain!.pollingIntervalMs },
        { ...this.#around, rpc: chain.rpc, addresses: chain.addresses, cursor: this.store },
      )
    })
  }

  get rounds() {
    return this.#once(
      'rounds',
      () => new Rounds({ ...this.#around, chain: this.chainClient, watch: this.watch }),
    )
  }

  get gas() {
    return this.#once('gas', () => {
      const { minGasPrice, maxGasPrice, pollingIntervalMs } = this.settings.chain!
      const networkMax = networkMaxOf(Number(this.chain.chainId))
      const options = { min: minGasPrice, max: maxGasPrice ?? 0n, networkMax, pollMs: pollingIntervalMs }
      return new GasPriceMonitor(options, { ...this.#around, rpc: this.chain.rpc })
    })
  }

  get transactions() {
    return this.#once('transactions', () => {
      const { transactionTimeoutMs, maxReplacements, gasLimit } = this.settings.chain!
      return new Transactions(
        { timeoutMs: transactionTimeoutMs, maxReplacements, gasLimit: gasLimit ?? 0n },
        {
          ...this.#around,
          rpc: this.chain.rpc,
          signer: this.chain.wallet,
          store: this.store,
          gasPrices: this.gas,
          watch: this.watch,
        },
      )
    })
  }

  /** Whether this node looks after the orchestrator's reward: by itself wherever its account may. */
  get rewards(): boolean {
    return this.#chain !== null && this.settings.chain!.reward !== 'off'
  }

  get reward() {
    return this.#once('reward', () => {
      const { chain, gas, metrics: events, rounds, settings, staking, watch } = this
      return new RewardService(
        {
          mode: settings.chain!.reward,
          account: chain.wallet.address,
          orchestrator: this.recipientAddress!,
          alone: settings.roles.size === 1 && settings.roles.has('reward'),
        },
        { ...this.#around, chain: staking, watch, rounds, gas, events },
      )
    })
  }

  get roundInitializer() {
    return this.#once('round initialiser', () => {
      const { metrics: events, rounds, staking } = this
      return new RoundInitializer(
        { maxDelayMs: this.settings.chain!.initializeRoundMaxDelayMs },
        { ...this.#around, chain: staking, rounds, events },
      )
    })
  }

  get staking() {
    return this.#once('staking', () => {
      const { chain, chainClient: client, transactions } = this
      const { maxReplacements } = this.settings.chain!
      return new Staking({ maxReplacements }, { client, transactions, account: chain.wallet.address })
    })
  }

  // Orchestrator.

  get orchestrator() {
    return this.#once('orchestrator', () => {
      const { transcoders } = this
      const maxSessions = () => this.maxSessions
      return new Orchestrator(
        {
          serviceUri: this.#serviceUri,
          nodes: this.#orchestratorSettings.nodes,
          offchain: this.#chain === null,
          recipient: this.recipientAddress,
          version: this.#around.version,
          // Both change as transcoders come and go.
          get maxSessions() {
            return maxSessions()
          },
          get capabilities() {
            return transcoders.capabilities
          },
        },
        {
          ...this.#around,
          signer: this.signer,
          recipient: this.recipient,
          lookups: this.#chain === null ? null : this.senders,
          transcoder: transcoders,
          results: this.results,
          authKeys: this.authKeys,
          events: this.metrics,
        },
      )
    })
  }

  get serviceEndpoint() {
    return this.#once('service endpoint', () => {
      const { bind, sources } = this.#orchestratorSettings
      const service = new URL(this.#serviceUri || `https://127.0.0.1:${DEFAULT_PEER_PORT}`)
      const routes = new OrchestratorEndpoint(
        {},
        {
          ...this.#around,
          api: this.orchestrator,
          fetchSource:
            sources && ((url, limits, signal) => fetchSource(url, { limits, rule: sources }, signal)),
        },
      )
      return new Endpoint(
        {
          name: 'service endpoint',
          host: bind.host,
          port: bind.port ?? portOf(service),
          tls: bind.clearText ? null : this.#tlsFor(service.hostname),
        },
        { ...this.#around, routes: [routes, ...this.#transcoderRoutes()] },
      )
    })
  }

  #tlsFor(hostname: string) {
    const own = this.ownCerts
    return own ? { own } : { hostname, directory: this.settings.dataDir }
  }

  /** The transcoders of other machines, and this node's own engine. */
  get transcoders() {
    return this.#once('transcoders', () => {
      const { metrics: events, results: sources, settings } = this
      const local = settings.transcoder ? this.capacity : null
      const version = announcedVersion(this.#around.version)
      return new TranscoderPool(
        {
          serviceUri: this.#serviceUri,
          secret: settings.secrets.orchSecret,
          orchestrator: this.recipientAddress ?? 'offchain',
          capabilities: offered(local ? this.#ownCapabilities : defaultCapabilities(version)),
        },
        { ...this.#around, local, sources, events },
      )
    })
  }

  /** None where no secret says that transcoders of other machines are taken in (wire.md §3). */
  #transcoderRoutes(): TranscoderEndpoint[] {
    if (this.settings.secrets.orchSecret === '') return []
    const ownOnly = this.ownCerts !== null
    return [new TranscoderEndpoint({ ownOnly }, { ...this.#around, api: this.transcoders })]
  }

  // Transcoder of its own.

  get remoteWorker() {
    return this.#once('remote worker', () => {
      const { capacity: engine, client, metrics: events, settings } = this
      const { orchestrators } = settings.transcoder!
      const { version } = this.#around
      return new RemoteWorker(
        {
          orchestrators,
          secret: settings.secrets.orchSecret,
          capabilities: offered(this.#ownCapabilities),
          version,
        },
        { ...this.#around, link: this.#orchestratorLink(client), engine, events },
      )
    })
  }

  #orchestratorLink(client: OrchestratorClient): TranscoderClient {
    return this.#once('transcoder client', () => {
      const download = (url: string, signal: AbortSignal) => client.download(url, signal)
      const { sources } = this.settings.transcoder!
      return new TranscoderClient({ ...this.#around, download, sources, own: this.ownCerts })
    })
  }

  /** Whether the advertised address is to be called after the start. */
  get checksItself(): boolean {
    return this.#orchestratorSettings.startupAvailabilityCheck && this.#serviceUri !== ''
  }

  get selfCheck() {
    return this.#once('self-check', () => {
      const options = {
        serviceUri: this.#serviceUri,
        address: this.signer.address,
        offchain: this.#chain === null,
      }
      return new SelfCheck(options, { ...this.#around, client: this.client })
    })
  }

  get results() {
    return this.#once('results', () => new MemoryObjects())
  }

  get authKeys() {
    return this.#once('auth keys', () => this.#secretRing('auth-token'))
  }

  #secretRing(purpose: SecretPurpose): SecretRing {
    const rotate = this.#orchestratorSettings.rotateSecrets
    return new SecretRing(purpose, { ...this.#around, secrets: this.store }, { rotate })
  }

  get recipient(): Recipient {
    return this.#once('recipient', () =>
      this.#chain === null ? new FreeOfCharge() : this.#ticketRecipient(),
    )
  }

  /** Whether winning tickets are kept here, to be redeemed or handed over. */
  get keepsTickets(): boolean {
    return this.#chain !== null && (this.settings.orchestrator !== null || this.settings.redeemer !== null)
  }

  /** Whether winning tickets are handed to a redeemer rather than redeemed here. */
  get handsOver(): boolean {
    return (this.settings.orchestrator?.redeemers.length ?? 0) > 0
  }

  /** Whether this node's account pays for transactions. */
  get sendsTransactions(): boolean {
    const { orchestrator, redeemer, roles } = this.settings
    const redeems = redeemer !== null || (orchestrator !== null && !this.handsOver)
    return this.#chain !== null && (redeems || this.rewards || roles.has('roundInitializer'))
  }

  /** What becomes of winning tickets: they are redeemed here, or by a redeemer. */
  get winners(): Redeemer | RedeemerOutbox {
    return this.handsOver ? this.outbox : this.redeemer
  }

  get ticketImport() {
    return this.#once('ticket import', () => {
      const path = this.settings.importTicketQueue
      if (path === null) return null
      const needs = { ...this.#around, read: () => readGoTicketQueue(path), tickets: this.store }
      return new TicketImport({ recipient: this.recipientAddress! }, needs)
    })
  }

  // Orchestrator with a redeemer elsewhere.

  get redeemers() {
    return this.#once('redeemers', () => {
      const { redeemerSecret: secret } = this.settings.secrets
      const connections = this.#orchestratorSettings.redeemers.map(
        (url) => new RedeemerClient({ url, secret, own: this.ownCerts }),
      )
      return new RedeemerPeers({ probed: this.recipientAddress! }, { ...this.#around, connections })
    })
  }

  get outbox() {
    return this.#once('outbox', () => {
      void this.ticketImport
      const { chainClient: client, metrics: events, redeemers, rounds, senders, store: tickets, watch } = this
      const chain = new RedemptionReader({ client, account: null })
      return new RedeemerOutbox({
        ...this.#around,
        ...{ tickets, redeemers, chain, watch, rounds, senders, events },
      })
    })
  }

  get remoteFloat() {
    return this.#once('remote float', () => {
      const { redeemers, senders } = this
      return new RemoteFloat({ ...this.#around, redeemers, senders })
    })
  }

  // Redeemer of its own.

  get redeemerDesk() {
    return this.#once('redeemer desk', () => {
      const { chainClient: client, gas, metrics: events, redeemer, rounds, senders } = this
      const chain = new RedemptionReader({ client, account: null })
      const options = { recipient: this.recipientAddress!, redeemGas: this.settings.chain!.redeemGas }
      return new RedeemerDesk(options, { ...this.#around, chain, gas, redeemer, rounds, senders, events })
    })
  }

  get redeemerEndpoint() {
    return this.#once('redeemer endpoint', () => {
      const { redeemerDesk: api, settings } = this
      const { host, port } = settings.redeemer!.bind
      const { redeemerSecret: secret } = settings.secrets
      const tls = this.#tlsFor(host === '' ? hostname() : host)
      const ownOnly = this.ownCerts !== null
      const routes = [new RedeemerEndpoint({ secret, ownOnly }, { ...this.#around, api })]
      const limits = { maxStreams: REDEEMER_STREAMS, maxMessageBytes: MAX_TICKET_BYTES }
      const options = { name: 'redeemer', host, port, tls, ...limits }
      return new Endpoint(options, { ...this.#around, routes })
    })
  }

  get redeemer() {
    return this.#once('redeemer', () => {
      void this.ticketImport
      const { chain, chainClient, rounds, senders, gas, watch, store, metrics } = this
      const redemptions = new TicketRedemption({
        ...this.#around,
        client: chainClient,
        transactions: this.transactions,
        account: chain.wallet.address,
      })
      return new Redeemer({
        ...this.#around,
        ...{
          tickets: store,
          nonces: store,
          chain: redemptions,
          watch,
          rounds,
          senders,
          gas,
          events: metrics,
        },
      })
    })
  }

  get senders() {
    return this.#once('senders', () => {
      const { chainClient, watch, rounds } = this
      return new Senders(
        { claimant: this.recipientAddress! },
        { ...this.#around, chain: chainClient, watch, rounds },
      )
    })
  }

  get activity() {
    return this.#once('activity', () => {
      const { chainClient, watch, rounds } = this
      return new Activity(
        { recipient: this.recipientAddress! },
        { ...this.#around, chain: chainClient, watch, rounds },
      )
    })
  }

  /** Whom tickets pay: the registered orchestrator, or this account; null offchain. */
  get recipientAddress(): Address | null {
    return this.#chain === null ? null : (this.settings.chain!.orchestrator ?? this.#chain.wallet.address)
  }

  #ticketRecipient(): TicketRecipient {
    const { store, rounds, activity, gas, winners, metrics } = this
    const senders = this.handsOver ? this.remoteFloat : this.senders
    const { ticketEv, maxFaceValue, autoAdjustPrice } = this.#orchestratorSettings
    const secret = this.#secretRing('ticket')
    this.#services.push(secret)
    return new TicketRecipient(
      {
        recipient: this.recipientAddress!,
        ticketEv,
        redeemGas: this.settings.chain!.redeemGas,
        maxFaceValue: maxFaceValue ?? 0n,
        autoAdjustPrice,
      },
      {
        ...this.#around,
        ...{ secret, nonces: store, balances: store, prices: store, records: store },
        ...{ senders, rounds, activity, gas, priceBook: this.priceBook, winners, events: metrics },
      },
    )
  }

  get priceBook() {
    return this.#once('price book', () => {
      const { price, gatewayPrices } = this.#orchestratorSettings
      const single = [...gatewayPrices].map(([gateway, unit]) => [gateway, this.#priceNow(unit)] as const)
      return new PriceBook(this.#priceNow(price!), single)
    })
  }

  // Gateway.

  get gateway() {
    return this.#once('gateway', () => {
      const { maxAttempts, profiles, localVerify, minOrchestratorVersion } = this.#gatewaySettings
      const { client, payer, signer, media, metrics, source } = this
      const { maxSessions } = this
      return new Gateway(
        {
          ...{ maxAttempts, profiles, localVerify, minOrchestratorVersion },
          maxSessions,
          weights: this.#weights,
        },
        {
          ...this.#around,
          ...{ directory: this.discovery, client, payer, signer, media, store: new MemoryObjects() },
          facts: { stakeOf: (recipient) => source.stakeOf(recipient), perfScoreOf: () => null },
          tell: (event) => metrics.gatewayEvent(event),
        },
      )
    })
  }

  get gatewayHttp() {
    return this.#once('gateway HTTP', () => {
      const { bind, httpIngest, currentManifest, publicHost } = this.#gatewaySettings
      return new GatewayHttp(
        { ...bind, httpIngest, currentManifest, publicHost },
        { ...this.#around, gateway: this.gateway },
      )
    })
  }

  get discovery() {
    return this.#once('discovery', () => {
      const { discoveryTimeoutMs, extraNodes, blocklist } = this.#gatewaySettings
      const { client, signer, payer, source } = this
      const options = { timeoutMs: discoveryTimeoutMs, extraNodes, blocklist: [...blocklist] }
      return new Discovery(options, { ...this.#around, source, client, signer, payer })
    })
  }

  get source(): OrchestratorSource {
    return this.#once('source', () => {
      const { orchestrators } = this.#gatewaySettings
      if (orchestrators.length > 0 || this.#chain === null) return new ListedOrchestrators(orchestrators)
      const { chainClient, watch, rounds } = this
      const reach = this.settings.network.public ? 'public' : 'any'
      return new PooledOrchestrators({ ...this.#around, pool: chainClient, changes: watch, rounds, reach })
    })
  }

  get payer(): Payer {
    return this.#once('payer', () => (this.#chain === null ? new NoPayments() : this.#ticketSender()))
  }

  get client() {
    return this.#once('client', () => new OrchestratorClient())
  }

  #ticketSender(): TicketSender {
    const { maxTicketEv, maxTotalEv, depositMultiplier } = this.#gatewaySettings
    const { chain, signer, rounds } = this
    const funds = this.#once('own funds', () => {
      const { chainClient, watch } = this
      return new Senders(
        { claimant: chain.wallet.address },
        { ...this.#around, chain: chainClient, watch, rounds },
      )
    })
    return new TicketSender(
      { maxTicketEv, maxTotalEv, depositMultiplier },
      { ...this.#around, signer, rounds, funds, accounts: this.orchestratorAccounts },
    )
  }

  /** What each orchestrator was paid and gave for it. */
  get orchestratorAccounts(): OrchestratorAccounts {
    return this.#once('orchestrator accounts', () => new OrchestratorAccounts(this.#around))
  }

  get #weights() {
    if (this.#chain === null) return null
    const { selection, maxPrice, ignoreMaxPriceIfNeeded } = this.#gatewaySettings
    const maxPriceNow = maxPrice ? this.#priceNow(maxPrice) : () => null
    return {
      ...selection,
      get maxPrice() {
        return maxPriceNow()
      },
      ignoreMaxPriceIfNeeded,
      minPerfScore: 0,
    }
  }

  // What the getters above are made of.

  get chain(): ChainAccess {
    if (!this.#chain) throw new NodeError('no-chain', 'this part is asked for on chain only')
    return this.#chain
  }

  get #gatewaySettings(): GatewaySettings {
    return this.settings.gateway!
  }

  get #orchestratorSettings(): OrchestratorSettings {
    return this.settings.orchestrator!
  }

  get #serviceUri(): string {
    const { service } = this.#orchestratorSettings
    return service.kind === 'url' ? service.url : ''
  }

  /** Wei per pixel; a price in another currency is converted at the newest rate of its feed. */
  #priceNow({ price, pixelsPerUnit }: UnitPrice): () => PricePerPixel {
    const feed = needsFeed(price.currency) ? this.#priceFeed(price.currency.toUpperCase()) : null
    const units = Rational.of(pixelsPerUnit)
    return () => currencyToWei(price.amount, price.currency, feed?.feed ?? null).div(units)
  }

  #priceFeed(currency: string): PriceFeed {
    return this.#once(`price feed ${currency}`, () => {
      const options = { address: this.settings.chain!.priceFeed, currency }
      return new PriceFeed(options, { ...this.#around, rpc: this.chain.rpc })
    })
  }

  #once<Part>(name: string, make: () => Part): Part {
    if (!this.#made.has(name)) {
      const part = make()
      this.#made.set(name, part)
      if (isService(part)) this.#services.push(part)
    }
    return this.#made.get(name) as Part
  }
}

/** A store that refuses to serve another chain than the one its data belongs to. */
class BoundStore implements Service {
  readonly name = 'store'
  readonly store: Store
  readonly #chainId: bigint

  constructor(store: Store, chainId: bigint) {
    this.store = store
    this.#chainId = chainId
  }

  async start(scope: Parameters<Service['start']>[0]): Promise<void> {
    await this.store.start(scope)
    await this.store.bindChain(this.#chainId)
  }
}

/** What this node can do, told exactly: object stores are not there yet. */
function offered(all: Capabilities): Capabilities {
  const missing: number[] = [capability.storageDirect, capability.storageS3, capability.storageGcs]
  const bits = bitsOf(all.bitstring).filter((bit) => !missing.includes(bit))
  const capacities = new Map([...all.capacities].filter(([bit]) => !missing.includes(bit)))
  return { ...all, bitstring: bitstringOf(bits), capacities }
}

/** A picture larger than what is made of it, as streams are. */
function trialPattern(ladder: readonly Profile[]): PatternOptions {
  const isLarge = ladder.some(({ height, width }) => Math.max(width, height) > 1280)
  const isFast = ladder.some(({ fps, fpsDen }) => fps / Math.max(1, fpsDen) > 30)
  const size = isLarge ? { width: 1920, height: 1080 } : { width: 1280, height: 720 }
  return { ...size, fps: isFast ? 60 : 30, segmentMs: TRIAL_SEGMENT_MS, bitrate: TRIAL_BITRATE }
}

/** The port of a URL, also where it is its scheme's own and therefore not kept in it. */
function portOf({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
}

function isService(part: unknown): part is Service {
  return typeof part === 'object' && part !== null && 'start' in part && typeof part.start === 'function'
}
