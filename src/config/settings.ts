import type { WrittenPrice } from '../domain/price.ts'
import type { Profile } from '../domain/rendition.ts'
import type { Address } from '../lib/crypto.ts'
import type { Rational } from '../lib/rational.ts'
import type { Bind } from './addresses.ts'
import type { GatewayPrice } from './gateway-prices.ts'
import type { Sources } from './load-flags.ts'
import type { Network } from './networks.ts'
import type { Secrets } from './secrets.ts'

/** What a process can be; several may share one, such as orchestrator and transcoder. */
export type Role = 'gateway' | 'orchestrator' | 'transcoder' | 'redeemer' | 'reward' | 'roundInitializer'

/** `auto` takes what the system allows; `required` refuses to start where that is not all. */
export type MediaSandboxMode = 'auto' | 'required' | 'off'

/** Everything that was set, complete, checked and typed. Amounts are wei, durations milliseconds. */
export interface Settings {
  readonly roles: ReadonlySet<Role>
  readonly network: Network
  readonly dataDir: string
  /** Set where the data folder cannot be used and the node does without. */
  readonly keepsNothing?: true
  /** 0 errors … 5 everything (operations.md §7). */
  readonly verbosity: number
  readonly controlBind: Bind
  /** Streams at once; `auto` is as many as the machine sustains, and as the connected transcoders take. */
  readonly maxSessions: number | 'auto'
  /** How long what a node does for others may go on after it was asked to stop. */
  readonly drainTimeoutMs: number
  /** How processes that decode and encode streams are confined: as far as the system allows, fully, or not. */
  readonly mediaSandbox: MediaSandboxMode
  /** Folder of the certificates by which the operator's nodes know one another; null for none. */
  readonly certs: string | null
  readonly metrics: {
    readonly enabled: boolean
    readonly perStream: boolean
    readonly clientIp: boolean
  }
  /** Null offchain. */
  readonly chain: ChainSettings | null
  /** Null unless the role is played, as are the following. */
  readonly gateway: GatewaySettings | null
  readonly orchestrator: OrchestratorSettings | null
  readonly transcoder: TranscoderSettings | null
  readonly redeemer: RedeemerSettings | null
  /** Path of a Go node's database whose open winning tickets are taken over. */
  readonly importTicketQueue: string | null
  readonly secrets: Secrets
  /** Sentences that the operator should read, although the node can run. */
  readonly warnings: readonly string[]
  /** What was given and differs from its default, by flag name, fit to be shown to anyone. */
  printable(): Readonly<Record<string, string>>
}

/** How to work with the chain. */
export interface ChainSettings {
  /** JSON-RPC endpoints, the preferred one first. */
  readonly urls: readonly string[]
  readonly controller: Address
  /** Folder or key file; null for the keystore of the data folder. */
  readonly keystorePath: string | null
  /** Null for the first account of the keystore. */
  readonly account: Address | null
  /** The registered orchestrator whom tickets pay; null for the own account. */
  readonly orchestrator: Address | null
  readonly redeemGas: bigint
  /** Null estimates. */
  readonly gasLimit: bigint | null
  readonly minGasPrice: bigint
  /** Null: what gas has lately cost limits it. */
  readonly maxGasPrice: bigint | null
  readonly pollingIntervalMs: number
  readonly transactionTimeoutMs: number
  readonly maxReplacements: number
  readonly priceFeed: Address
  /** `automatic`: called if the account is a registered orchestrator. */
  readonly reward: 'on' | 'off' | 'automatic'
  readonly initializeRoundMaxDelayMs: number
}

/** A price for so many pixels, in the currency in which it was written. */
export interface UnitPrice {
  readonly price: WrittenPrice
  readonly pixelsPerUnit: bigint
}

/** What a gateway is told. */
export interface GatewaySettings {
  readonly bind: Bind
  /** Whether segments are taken in at /live/. */
  readonly httpIngest: boolean
  /** The name under which a proxy forwards to it; empty for none. */
  readonly publicHost: string
  /** Base URLs; empty leaves it to the chain. */
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
  readonly profiles: readonly Profile[]
  /** 0 never transcodes. */
  readonly maxAttempts: number
  readonly currentManifest: boolean
  readonly localVerify: boolean
  /** Null takes any price; always null offchain. */
  readonly maxPrice: UnitPrice | null
  readonly ignoreMaxPriceIfNeeded: boolean
  readonly maxTicketEv: Rational
  readonly maxTotalEv: Rational
  readonly depositMultiplier: bigint
}

/** What an orchestrator is told. */
export interface OrchestratorSettings {
  /** Where gateways reach this node: a URL, the one registered on chain, or nowhere (it only names `nodes`). */
  readonly service: { readonly kind: 'url'; readonly url: string } | { readonly kind: 'registered' | 'none' }
  /** Where it listens; a port of null is that of the service address. */
  readonly bind: { readonly host: string; readonly port: number | null; readonly clearText: boolean }
  readonly nodes: readonly string[]
  readonly startupAvailabilityCheck: boolean
  readonly rotateSecrets: boolean
  /** Null offchain. */
  readonly price: UnitPrice | null
  readonly gatewayPrices: ReadonlyMap<Address, GatewayPrice>
  readonly autoAdjustPrice: boolean
  readonly ticketEv: bigint
  /** Null is no limit. */
  readonly maxFaceValue: bigint | null
  /** URLs of the redeemers, the preferred one first; none redeems here. */
  readonly redeemers: readonly string[]
  /** From where segments that come as a URI are fetched; null fetches none. */
  readonly sources: SourceHosts | null
}

/** From where sources are fetched, beside the nodes that this one works with. */
export interface SourceHosts {
  readonly public: boolean
  /** A port of null is any. */
  readonly hosts: readonly { readonly host: string; readonly port: number | null }[]
}

/** What a transcoder is told, in an orchestrator's process or alone. */
export interface TranscoderSettings {
  /** Whom it works for: the first that answers; none in an orchestrator's own process. */
  readonly orchestrators: readonly string[]
  /** Nvidia GPUs by number, or all there are; none for the CPU. */
  readonly gpus: readonly string[] | 'all'
  readonly hevcDecoding: boolean | null
  /** Whether GPUs are tried out at the start. */
  readonly triesGpus: boolean
  /** What `-maxSessions auto` is measured with. */
  readonly ladder: readonly Profile[]
  /** From where a task's source may be fetched, beside its orchestrator. */
  readonly sources: SourceHosts
}

/** What a redeemer is told. */
export interface RedeemerSettings {
  readonly bind: Bind
}

/** What else decides about settings. */
export interface ProgramEnvironment extends Sources {
  /** The home folder; null when there is none. */
  readonly homeDir: string | null
  readonly about: About
}

/** Of the program itself, for -version and -j. */
export interface About {
  readonly version: string
  /** Version of Node.js. */
  readonly runtime: string
  readonly arch: string
  readonly platform: string
}
