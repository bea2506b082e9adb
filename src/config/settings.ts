import type { WrittenPrice } from '../domain/price.ts'
import type { Profile } from '../domain/rendition.ts'
import type { Address } from '../lib/crypto.ts'
import { maskUrl } from '../lib/mask-url.ts'
import type { Rational } from '../lib/rational.ts'
import type { Bind } from './addresses.ts'
import { refuseWhatIsLater, unusedFlags } from './checks.ts'
import { type FlagName, flags } from './flags.ts'
import type { GatewayPrice } from './gateway-prices.ts'
import { flagsAsJson, helpText } from './help.ts'
import { defaultOf, type LoadedFlags, loadFlags, SettingsError, type Sources } from './load.ts'
import type { Network } from './networks.ts'
import { readSettings } from './read-settings.ts'
import type { Secrets } from './secrets.ts'

/** What a process can be; several may share one, such as orchestrator and transcoder. */
export type Role = 'gateway' | 'orchestrator' | 'transcoder' | 'redeemer' | 'reward' | 'roundInitializer'

/** Everything that was set, complete, checked and typed. Amounts are wei, durations milliseconds. */
export interface Settings {
  readonly roles: ReadonlySet<Role>
  readonly network: Network
  readonly dataDir: string
  /** 0 errors … 5 everything (operations.md §7). */
  readonly verbosity: number
  readonly controlBind: Bind
  /** Streams at once; `auto` is as many as the machine sustains, and as the connected transcoders take. */
  readonly maxSessions: number | 'auto'
  /** How long what a node does for others may go on after it was asked to stop. */
  readonly drainTimeoutMs: number
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
}

/** What a redeemer is told. */
export interface RedeemerSettings {
  readonly bind: Bind
}

/** What else decides about settings. */
export interface ProgramSurroundings extends Sources {
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

/** The process is to end: with this code, after printing these. */
export interface Exit {
  readonly exit: { readonly code: 0 | 1 | 2; readonly stdout: string; readonly stderr: string }
}

/**
 * Settings from command line, environment and configuration file; or what to print and the code to exit with:
 * 0 after -help, -version and -j, 2 for a command line that cannot be read, 1 for settings that cannot be.
 */
export function loadSettings(surroundings: ProgramSurroundings): Settings | Exit {
  try {
    const loaded = loadFlags(surroundings)
    if (loaded.help) return ending(0, helpText())
    if (loaded.values.j) return ending(0, flagsAsJson(surroundings.about))
    if (loaded.values.version) return ending(0, versionText(surroundings.about))
    return settingsOf(loaded, surroundings)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    return { exit: { code: error.code === 'bad-flag' ? 2 : 1, stdout: '', stderr: `${error.message}\n` } }
  }
}

function settingsOf(loaded: LoadedFlags, surroundings: ProgramSurroundings): Settings {
  const settings = readSettings(loaded, surroundings)
  refuseWhatIsLater(loaded)
  return {
    ...settings,
    warnings: [...loaded.warnings, ...settings.warnings, ...unusedFlags(loaded, settings)],
    printable: () => printableFlags(loaded),
  }
}

/** Given flags that differ from their default, secrets and credentials in URLs hidden. */
function printableFlags(loaded: LoadedFlags): Record<string, string> {
  const shown: Record<string, string> = {}
  for (const [name, { text }] of loaded.given) {
    if (loaded.values[name] === defaultOf(flags[name])) continue
    shown[name] = printableValue(name, text)
  }
  return shown
}

function printableValue(name: FlagName, text: string): string {
  if ('secret' in flags[name] && flags[name].secret) return '***'
  if (!text.includes('://')) return text
  return text
    .split(',')
    .map((part) => (part.includes('://') ? maskUrl(part.trim()) : part))
    .join(',')
}

function versionText({ version, runtime, arch, platform }: About): string {
  return `livepeer-ts ${version}\nNode.js ${runtime}\n${platform} ${arch}\n`
}

function ending(code: 0, stdout: string): Exit {
  return { exit: { code, stdout, stderr: '' } }
}
