import type { ServiceAddress } from '../domain/duties.ts'
import type { GraceLimits } from '../domain/grace.ts'
import type { WrittenPrice } from '../domain/price.ts'
import type { Profile } from '../domain/rendition.ts'
import type { StoreAddress } from '../domain/store-address.ts'
import type { Address } from '../lib/crypto.ts'
import type { LogFormat } from '../lib/log.ts'
import type { Rational } from '../lib/rational.ts'
import type { Bind } from './addresses.ts'
import type { GatewayPrice } from './gateway-prices.ts'
import type { Sources } from './load-flags.ts'
import type { Network } from './networks.ts'
import type { Secrets } from './secrets.ts'

/** The roles of a process; it may have several, such as orchestrator and transcoder. */
export type Role = 'gateway' | 'orchestrator' | 'transcoder' | 'redeemer' | 'reward' | 'roundInitializer'

/** `auto` uses what the system supports; `required` refuses to start without the full sandbox. */
export type MediaSandboxMode = 'auto' | 'required' | 'off'

/** All settings, complete, checked and typed. Amounts are in wei, durations in milliseconds. */
export interface Settings {
  readonly roles: ReadonlySet<Role>
  readonly network: Network
  readonly dataDir: string
  /** The database that a cluster shares, whose URL is among the secrets; null where the node keeps a file of its own. */
  readonly store: StoreSettings | null
  /** Where the cluster's other nodes reach this one, as far as it is given. */
  readonly clusterAddress: { readonly host: string; readonly port: number | null } | null
  /** Set when the data folder cannot be used and the node runs without it. */
  readonly keepsNothing?: true
  /** 0 errors … 5 everything (operations.md §7). */
  readonly verbosity: number
  /** `auto`: for the journal where stderr goes there, otherwise pretty. */
  readonly logFormat: LogFormat | 'auto'
  readonly controlBind: Bind
  /** Names under which the control API may be told to change something, beside addresses. */
  readonly controlHosts: readonly string[]
  /** Concurrent streams; `auto` is what the machine sustains plus what connected transcoders take. */
  readonly maxSessions: number | 'auto'
  /** How long running work may continue after the node was asked to stop. */
  readonly drainTimeoutMs: number
  /** How long balancers are given to notice that the node is about to stop. */
  readonly drainNoticeMs: number
  /** The sandbox of the processes that decode and encode: as far as the system allows, full, or off. */
  readonly mediaSandbox: MediaSandboxMode
  /** Folder of the certificates by which the operator's nodes authenticate each other; null for none. */
  readonly certs: string | null
  readonly metrics: {
    readonly enabled: boolean
    readonly perStream: boolean
    readonly clientIp: boolean
  }
  /** Null offchain. */
  readonly chain: ChainSettings | null
  /** This and the following are null for roles that the process does not have. */
  readonly gateway: GatewaySettings | null
  readonly orchestrator: OrchestratorSettings | null
  readonly transcoder: TranscoderSettings | null
  readonly redeemer: RedeemerSettings | null
  /** Path of a Go node's database whose open winning tickets are imported. */
  readonly importTicketQueue: string | null
  readonly secrets: Secrets
  /** Sentences for the operator that do not keep the node from running. */
  readonly warnings: readonly string[]
  /** Given flags that differ from their defaults, by name, without secrets. */
  printable(): Readonly<Record<string, string>>
}

/** The database that the nodes of a cluster share. */
export interface StoreSettings {
  /** The schema with the cluster's tables. */
  readonly schema: string
  /** What an orchestrator goes on with while the database is away; null for nothing. */
  readonly grace: GraceLimits | null
}

/** How to use the chain. */
export interface ChainSettings {
  /** JSON-RPC endpoints, in order of preference. */
  readonly urls: readonly string[]
  readonly controller: Address
  /** Keystore folder or key file; null for the keystore in the data folder. */
  readonly keystorePath: string | null
  /** Null for the first account in the keystore. */
  readonly account: Address | null
  /** The registered orchestrator that tickets pay; null for the node's own account. */
  readonly orchestrator: Address | null
  readonly redeemGas: bigint
  /** Null: estimated. */
  readonly gasLimit: bigint | null
  readonly minGasPrice: bigint
  /** Null: derived from recent gas prices. */
  readonly maxGasPrice: bigint | null
  readonly pollingIntervalMs: number
  readonly transactionTimeoutMs: number
  readonly maxReplacements: number
  readonly priceFeed: Address
  /** `automatic`: on if the account is a registered orchestrator. */
  readonly reward: 'on' | 'off' | 'automatic'
  /** An alert tells when the account's ether lasts for fewer days. */
  readonly alertBalanceDays: number
  readonly initializeRoundMaxDelayMs: number
}

/** A price for a number of pixels, in the currency in which it was given. */
export interface UnitPrice {
  readonly price: WrittenPrice
  readonly pixelsPerUnit: bigint
}

/** Where streams are recorded, and how long that is kept. */
export interface RecordingSettings {
  /** The gateway's own store; null for none: then only streams are recorded for which a webhook names one. */
  readonly store: StoreAddress | null
  /** Null for ever. */
  readonly keptMs: number | null
}

/** Settings of a gateway. */
export interface GatewaySettings {
  readonly bind: Bind
  /** The URL that decides on new streams; null where anyone may publish. */
  readonly authWebhook: string | null
  /** What judges results beside this node, and the folder or the bucket in which it finds them; null for nothing. */
  readonly verifier: { readonly url: string; readonly place: string | StoreAddress } | null
  /** Where RTMP is served; null for nowhere. */
  readonly rtmp: RtmpSettings | null
  /** Whether segments are accepted at /live/. */
  readonly httpIngest: boolean
  /** The public host name when behind a proxy; empty for none. */
  readonly publicHost: string
  /** The URL that lists orchestrators, before any others; null for none. */
  readonly orchestratorWebhook: string | null
  /** Base URLs; empty: discovered on chain. */
  readonly orchestrators: readonly string[]
  readonly blocklist: ReadonlySet<Address>
  /** Empty for any. */
  readonly minOrchestratorVersion: string
  readonly extraNodes: number
  readonly discoveryTimeoutMs: number
  readonly selection: {
    readonly stakeWeight: number
    readonly randomWeight: number
    readonly priceWeight: number
    readonly priceExpFactor: number
  }
  /** Where performance scores of orchestrators are read, for which region, and the least one; null for nowhere. */
  readonly perf: { readonly url: string; readonly region: string; readonly minScore: number } | null
  /** How an AMQP broker, whose URL is among the secrets, gets events about segments; null for not at all. */
  readonly metadata: { readonly exchange: string; readonly timeoutMs: number } | null
  /** How Kafka gets events; with a user, over TLS with a password that is among the secrets. Null for not at all. */
  readonly kafka: {
    readonly brokers: readonly { readonly host: string; readonly port: number }[]
    readonly topic: string
    /** Empty for none. */
    readonly user: string
  } | null
  readonly profiles: readonly Profile[]
  /** 0 never transcodes. */
  readonly maxAttempts: number
  readonly currentManifest: boolean
  /** Where segments are saved for players; null for memory alone. */
  readonly objectStore: StoreAddress | null
  /** Where segments that failed fast verification are saved; null for nowhere. */
  readonly failedSegments: StoreAddress | null
  readonly recordings: RecordingSettings
  readonly localVerify: boolean
  /** Null accepts any price; always null offchain. */
  readonly maxPrice: UnitPrice | null
  readonly ignoreMaxPriceIfNeeded: boolean
  readonly maxTicketEv: Rational
  readonly maxTotalEv: Rational
  readonly depositMultiplier: bigint
}

/** Settings of a gateway's RTMP port. */
export interface RtmpSettings {
  readonly bind: Bind
  /** Whether the address is the default, without which the gateway runs too. */
  readonly isDefault: boolean
  /** The longest segment. */
  readonly maxDurationMs: number
  /** The folder with the certificate, for rtmps; null: without TLS. */
  readonly certFolder: string | null
}

/** Settings of an orchestrator. */
export interface OrchestratorSettings {
  /** The URL that decides on gateways and their prices; null where all get offers. */
  readonly authWebhook: string | null
  /**
   * The address at which gateways reach this node: a URL, the one registered on chain, or none (it only advertises
   * `nodes`).
   */
  readonly service: ServiceAddress
  /** The address to listen on; a null port means the port of the service address. */
  readonly bind: { readonly host: string; readonly port: number | null; readonly clearText: boolean }
  readonly nodes: readonly string[]
  readonly startupAvailabilityCheck: boolean
  readonly rotateSecrets: boolean
  /** Null offchain. */
  readonly price: UnitPrice | null
  readonly gatewayPrices: ReadonlyMap<Address, GatewayPrice>
  readonly autoAdjustPrice: boolean
  readonly ticketEv: bigint
  /** Null for no limit. */
  readonly maxFaceValue: bigint | null
  /** URLs of the redeemers, in order of preference; empty: the node redeems its own tickets. */
  readonly redeemers: readonly string[]
  /** Where results are saved for gateways: a bucket; null for memory alone. */
  readonly objectStore: StoreAddress | null
  /** Where segments sent as a URI may be fetched from; null for nowhere. */
  readonly sources: SourceHosts | null
}

/** Where sources may be fetched from, in addition to the nodes that this one works with. */
export interface SourceHosts {
  readonly public: boolean
  /** A null port matches any. */
  readonly hosts: readonly { readonly host: string; readonly port: number | null }[]
}

/** Settings of a transcoder, alone or in an orchestrator's process. */
export interface TranscoderSettings {
  /** The orchestrators to work for, of which it uses the first that answers; empty in an orchestrator's own process. */
  readonly orchestrators: readonly string[]
  /** Nvidia GPUs by number, or `all`; empty for the CPU. */
  readonly gpus: readonly string[] | 'all'
  readonly hevcDecoding: boolean | null
  /** Its name for the orchestrator's operator; empty for the name of the host. */
  readonly name: string
  /** Whether GPUs are tested at the start. */
  readonly triesGpus: boolean
  /** The renditions that `-maxSessions auto` is measured with. */
  readonly ladder: readonly Profile[]
  /** Where a task's source may be fetched from, in addition to its orchestrator. */
  readonly sources: SourceHosts
}

/** Settings of a redeemer. */
export interface RedeemerSettings {
  readonly bind: Bind
  /** How long it leaves a ticket to another redeemer; 0: not at all. */
  readonly redeemAfterMs: number
}

/** What else the settings depend on. */
export interface ProgramEnvironment extends Sources {
  /** The home folder; null when there is none. */
  readonly homeDir: string | null
  readonly about: About
}

/** About the program itself, for -version and -j. */
export interface About {
  readonly version: string
  /** The commit that it is made of; absent or null where that is not known. */
  readonly commit?: string | null
  /** Version of Node.js. */
  readonly runtime: string
  readonly arch: string
  readonly platform: string
}
