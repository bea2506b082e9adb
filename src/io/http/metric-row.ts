import type { NodeEvent, NodeEventOf } from '../../domain/events.ts'

/**
 * What a node may be that moves metrics. One node is several of them: an orchestrator on chain that redeems for itself
 * is `node`, `worker`, `orchestrator`, `payee`, `keeper`, `redeemer`, `chain`, `gas` and `spender`.
 */
export const REPORTERS = {
  node: 'every node',
  worker: 'gateway, orchestrator, transcoder',
  gateway: 'gateway',
  payer: 'gateway on chain',
  orchestrator: 'orchestrator',
  payee: 'orchestrator on chain',
  transcoder: 'standalone transcoder',
  keeper: 'redeemer, orchestrator on chain',
  redeemer: 'redeemer, orchestrator without `-redeemerAddr`',
  desk: 'redeemer',
  outbox: 'orchestrator with `-redeemerAddr`',
  reward: 'reward service',
  rounds: 'round initialiser',
  chain: 'every node on chain',
  gas: 'every node that follows the gas price',
  spender: 'every node that sends transactions',
} as const

/** What a node is, as far as it moves metrics. */
export type Reporter = keyof typeof REPORTERS

/** Labels that a metric has only with a flag: `-metricsPerStream`, and the last one `-metricsClientIP` (operations.md §6). */
export type FlagLabel = 'manifest_id' | 'sender' | 'client_ip'

/**
 * The values of a label: all of them, where they are known, or all that a reporter can give. `open` for values that only
 * come with events; there are never more than `MAX_SERIES` of them.
 */
export type LabelValues = 'open' | readonly string[] | { readonly [Who in Reporter]?: readonly string[] }

/** What an event does to a metric. */
export interface Move {
  /** Added to a counter, observed by a histogram, set in a gauge; 1 unless given. A counter makes up for less than 0 later. */
  readonly value?: number
  /** Taken into the mean of the last `MEAN_OF` values, which a gauge shows, instead of `value`. */
  readonly mean?: number
  /** Of a label of the metric that is absent here, the value is empty; of `client_ip`, `not_tracked`. */
  readonly labels?: Readonly<Record<string, string>>
}

/** How each kind of event moves a metric; null where one does not. */
export type Moves = {
  readonly [Kind in NodeEvent['kind']]?: (event: NodeEventOf<Kind>) => Move | readonly Move[] | null
}

interface Row {
  /** A sentence without its full stop. Amounts name their unit. */
  readonly help: string
  /** The nodes that have it: those that can move it. */
  readonly by: readonly Reporter[]
  /** Beside `node_id` and `node_type`. */
  readonly labels?: Readonly<Record<string, LabelValues>>
  /** Of open labels, the values that series have from the start. */
  readonly begin?: Readonly<Record<string, readonly string[]>>
  readonly flagLabels?: readonly FlagLabel[]
  /** Only with `-metricsPerStream`. */
  readonly perStreamOnly?: true
}

/** A metric, without the prefix of its name. */
export type MetricRow =
  | (Row & { readonly type: 'counter'; readonly on: Moves })
  | (Row & { readonly type: 'histogram'; readonly buckets: readonly number[]; readonly on: Moves })
  | (Row & {
      readonly type: 'gauge'
      readonly on: Moves
      /** Its value before the first event; 0 unless given. */
      readonly start?: number
    })
  | (Row & {
      readonly type: 'gauge'
      /** Read when metrics are requested; says what is absent until it is known. */
      readonly read: 'at once' | 'once known'
    })

/** Metrics by name. */
export type MetricRows = Readonly<Record<string, MetricRow>>

const WEI_PER_GWEI = 1e9

/** Adds one. */
export const once = (): Move => ({})

/** An amount of wei in gwei, the unit of the network's metrics of money. */
export function gwei(wei: bigint): number {
  return Number(wei) / WEI_PER_GWEI
}

/** Milliseconds in seconds. */
export function seconds(ms: number): number {
  return ms / 1000
}

/** The setting that adds a label. */
export const FLAG_OF_LABEL: Readonly<Record<FlagLabel, 'perStream' | 'clientIp'>> = {
  manifest_id: 'perStream',
  sender: 'perStream',
  client_ip: 'clientIp',
}
