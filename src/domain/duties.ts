import type { Address } from '../lib/crypto.ts'
import { bitsOf, bitstringOf, type Capabilities, capability } from './capabilities.ts'
import { needsFeed, type WrittenPrice } from './price.ts'
import type { Profile } from './rendition.ts'

/** The settings that duties follow from. A section is null when the node is offchain or does not play the role. */
export interface DutySettings {
  readonly roles: ReadonlySet<string>
  readonly maxSessions: number | 'auto'
  readonly chain: {
    readonly reward: 'on' | 'off' | 'automatic'
    readonly orchestrator: Address | null
  } | null
  readonly gateway: {
    readonly orchestrators: readonly string[]
    readonly orchestratorWebhook?: string | null
    readonly maxPrice: { readonly price: WrittenPrice } | null
  } | null
  readonly orchestrator: {
    readonly redeemers: readonly string[]
    readonly startupAvailabilityCheck: boolean
    readonly service: ServiceAddress
    readonly price: { readonly price: WrittenPrice } | null
    readonly gatewayPrices: ReadonlyMap<Address, { readonly price: WrittenPrice }>
  } | null
  readonly transcoder: object | null
  readonly redeemer: { readonly redeemAfterMs?: number } | null
  readonly secrets: { readonly orchSecret: string }
}

/** Where gateways reach an orchestrator: at a URL, where it is registered on chain, or nowhere. */
export type ServiceAddress =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'registered' | 'none' }

/** What a node does, as its settings imply. */
export interface Duties {
  /** Accepts work: streams, sessions, or segments from an orchestrator. */
  readonly takesSessions: boolean
  /** Runs media workers: to transcode, or to inspect what a gateway takes in. */
  readonly handlesMedia: boolean
  /** Transcodes with its own engine. */
  readonly transcodes: boolean
  /** Transcodes for an orchestrator in another process. */
  readonly transcodesElsewhere: boolean
  /** Registers transcoders on other machines, which show the operator's secret (wire.md §3). */
  readonly takesTranscoders: boolean
  /** Calls its advertised address after the start. */
  readonly checksItself: boolean
  /** Finds orchestrators on chain rather than in a list. */
  readonly discoversOnChain: boolean
  /** Pays orchestrators with tickets. */
  readonly sendsTickets: boolean
  /** Keeps winning tickets, to redeem them or to hand them to a redeemer. */
  readonly keepsTickets: boolean
  /** Redeems winning tickets with its own account. */
  readonly redeems: boolean
  /** Leaves tickets to another redeemer for some time. */
  readonly redeemsLate: boolean
  /** Hands winning tickets to a redeemer in another process. */
  readonly handsOver: boolean
  /** Serves orchestrators in other processes as their redeemer. */
  readonly servesOrchestrators: boolean
  /** Calls the orchestrator's reward; any node on chain does, since its account may be the orchestrator's (operations.md §2.4). */
  readonly rewards: boolean
  /** Has no other purpose than the reward, so it says why it does not call it. */
  readonly onlyRewards: boolean
  /** Initialises rounds. */
  readonly initializesRounds: boolean
  /** Pays for transactions with its own account. */
  readonly sendsTransactions: boolean
  /** Follows the gas price, to send transactions or to price tickets. */
  readonly followsGasPrice: boolean
  /** Shows the state of the orchestrator that tickets and rewards are for. */
  readonly showsRecipient: boolean
  /** May run without a data folder, since it keeps nothing that matters. */
  readonly mayKeepNothing: boolean
}

/** The duties that settings imply. */
export function dutiesOf(settings: DutySettings): Duties {
  const { chain, gateway, orchestrator, redeemer, roles, secrets, transcoder } = settings
  const isOnly = (role: string) => roles.size === 1 && roles.has(role)
  const handsOver = (orchestrator?.redeemers.length ?? 0) > 0
  const keepsTickets = chain !== null && (orchestrator !== null || redeemer !== null)
  const redeems = keepsTickets && !handsOver
  const rewards = chain !== null && chain.reward !== 'off'
  const initializesRounds = roles.has('roundInitializer')
  const sendsTransactions = chain !== null && (redeems || rewards || initializesRounds)
  return {
    takesSessions: gateway !== null || orchestrator !== null || transcoder !== null,
    handlesMedia: gateway !== null || transcoder !== null,
    transcodes: transcoder !== null,
    transcodesElsewhere: transcoder !== null && orchestrator === null,
    takesTranscoders: orchestrator !== null && secrets.orchSecret !== '',
    checksItself: (orchestrator?.startupAvailabilityCheck ?? false) && serviceUriOf(settings) !== '',
    discoversOnChain:
      chain !== null && gateway?.orchestrators.length === 0 && (gateway.orchestratorWebhook ?? null) === null,
    sendsTickets: chain !== null && gateway !== null,
    keepsTickets,
    redeems,
    redeemsLate: (redeemer?.redeemAfterMs ?? 0) > 0,
    handsOver,
    servesOrchestrators: redeemer !== null,
    rewards,
    onlyRewards: isOnly('reward'),
    initializesRounds,
    sendsTransactions,
    followsGasPrice: keepsTickets || sendsTransactions,
    showsRecipient: keepsTickets || roles.has('reward'),
    mayKeepNothing: isOnly('gateway'),
  }
}

/** What a new account of such a node needs before it is of use, as an instruction; empty for nothing. */
export function accountNeedsOf({ initializesRounds, onlyRewards, redeems, sendsTickets }: Duties): string {
  if (redeems || initializesRounds || onlyRewards) return 'send it ether'
  return sendsTickets ? 'fund its deposit and reserve' : ''
}

/** The settings of a node that runs without its data folder. It sends nothing: after a restart it could not resume it. */
export function withoutDataFolder<S extends DutySettings>(settings: S): S & { keepsNothing: true } {
  const chain = settings.chain && { ...settings.chain, reward: 'off' as const }
  return { ...settings, chain, keepsNothing: true }
}

type RedeemingDuties = 'redeems' | 'redeemsLate' | 'servesOrchestrators'

/**
 * How much a node redeems in its cluster, null for nothing: a redeemer goes before an orchestrator, which redeems only while
 * no redeemer is there.
 */
export function redeemingRank(
  { redeems, redeemsLate, servesOrchestrators }: Pick<Duties, RedeemingDuties>,
  hasRedeemer: boolean,
): number | null {
  if (servesOrchestrators) return redeemsLate ? 1 : 2
  return redeems && !hasRedeemer ? 1 : null
}

/**
 * How much a node does with its account in its cluster, null for nothing: of several with the same account, the one that does
 * most sends its transactions.
 */
export function sendingRank(
  duties: Pick<Duties, RedeemingDuties | 'rewards' | 'initializesRounds'>,
  hasRedeemer: boolean,
): number | null {
  const rank =
    (redeemingRank(duties, hasRedeemer) ?? 0) * 4 +
    (duties.initializesRounds ? 2 : 0) +
    (duties.rewards ? 1 : 0)
  return rank === 0 ? null : rank
}

/** The URL at which an orchestrator advertises itself; empty for none. */
export function serviceUriOf({ orchestrator }: Pick<DutySettings, 'orchestrator'>): string {
  return orchestrator?.service.kind === 'url' ? orchestrator.service.url : ''
}

/** The address that tickets pay and rewards are for: the registered orchestrator, or the node's own account. */
export function recipientOf({ chain }: Pick<DutySettings, 'chain'>, account: Address): Address {
  return chain?.orchestrator ?? account
}

/**
 * The sessions, or streams, that a node takes at once just now. `capacity` is that of its transcoders or its engine; a
 * gateway has none.
 */
export function maxSessionsOf(
  {
    maxSessions,
    orchestrator,
    transcoder,
  }: Pick<DutySettings, 'maxSessions' | 'orchestrator' | 'transcoder'>,
  capacity: number,
): number {
  if (orchestrator) return maxSessions === 'auto' ? capacity : Math.min(maxSessions, capacity)
  if (transcoder) return capacity
  return maxSessions === 'auto' ? 0 : maxSessions
}

/** The currencies of prices that take a feed to convert, in capitals, each once. */
export function feedCurrenciesOf({
  gateway,
  orchestrator,
}: Pick<DutySettings, 'gateway' | 'orchestrator'>): string[] {
  const prices = [...(orchestrator?.gatewayPrices.values() ?? []), orchestrator?.price, gateway?.maxPrice]
  const currencies = prices.flatMap((unit) => (unit ? [unit.price.currency] : []))
  return [...new Set(currencies.filter(needsFeed).map((currency) => currency.toUpperCase()))]
}

/**
 * The capabilities that a node announces: gateways with object stores send segments as URIs (wire.md §12), so that a node
 * that fetches none cannot work for them.
 */
export function offered(all: Capabilities, { fetchesUris }: { readonly fetchesUris: boolean }): Capabilities {
  if (fetchesUris) return all
  const missing: number[] = [capability.storageDirect, capability.storageS3, capability.storageGcs]
  const bits = bitsOf(all.bitstring).filter((bit) => !missing.includes(bit))
  const capacities = new Map([...all.capacities].filter(([bit]) => !missing.includes(bit)))
  return { ...all, bitstring: bitstringOf(bits), capacities }
}

/** The picture that an engine is measured with: larger than its renditions, as the pictures of streams are. */
export function trialPictureOf(ladder: readonly Profile[]): { width: number; height: number; fps: number } {
  const isLarge = ladder.some(({ height, width }) => Math.max(width, height) > 1280)
  const isFast = ladder.some(({ fps, fpsDen }) => fps / Math.max(1, fpsDen) > 30)
  const size = isLarge ? { width: 1920, height: 1080 } : { width: 1280, height: 720 }
  return { ...size, fps: isFast ? 60 : 30 }
}
