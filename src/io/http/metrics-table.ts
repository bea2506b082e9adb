import type { Duties } from '../../domain/duties.ts'
import type { NodeEvent } from '../../domain/events.ts'
import {
  FLAG_OF_LABEL,
  type LabelValues,
  type MetricRow,
  type MetricRows,
  REPORTERS,
  type Reporter,
} from './metric-row.ts'
import { EXTRA_METRICS } from './metrics-extras.ts'
import { MONEY_METRICS } from './metrics-money.ts'
import { NODE_METRICS } from './metrics-node.ts'
import { RECORDING_METRICS } from './metrics-recordings.ts'
import { SEGMENT_METRICS } from './metrics-segments.ts'
import { VERIFICATION_METRICS } from './metrics-verification.ts'

const ROWS = {
  ...SEGMENT_METRICS,
  ...RECORDING_METRICS,
  ...VERIFICATION_METRICS,
  ...EXTRA_METRICS,
  ...MONEY_METRICS,
  ...NODE_METRICS,
} as const

type Name = keyof typeof ROWS
type Moving<Row> = Row extends { readonly on: infer On } ? keyof On : never
type Counted = { [Key in Name]: Moving<(typeof ROWS)[Key]> }[Name]

/** Every metric, by its name without the prefix (operations.md §6). */
export const METRICS: MetricRows = ROWS

/** A metric that is read when metrics are requested. */
export type ReadName = {
  [Key in Name]: (typeof ROWS)[Key] extends { readonly read: string } ? Key : never
}[Name]

/** The events that move no metric, and why. A new kind of event compiles only once it moves one or stands here. */
export const UNCOUNTED: Readonly<Record<Exclude<NodeEvent['kind'], Counted>, string>> = {
  'ticket-won': 'counted with the payment in which it came',
  'session-begun': 'sessions are read',
  'session-ended': 'sessions are read',
  'segment-tried': 'counted with its attempts and its end',
  'round-begun': 'the round is read',
  'peer-up': 'peers are read',
  'problem-ended': 'causes are read',
  'setting-changed': 'settings are read',
}

/** What a node does, as far as it decides which metrics it has. */
export interface Reporting {
  readonly roles: ReadonlySet<string>
  readonly isOnChain: boolean
  readonly duties: Duties
}

/** What a node is, as far as it moves metrics. */
export function reportersOf({ duties, isOnChain, roles }: Reporting): ReadonlySet<Reporter> {
  const isOrchestrator = roles.has('orchestrator')
  const is: Readonly<Record<Reporter, boolean>> = {
    node: true,
    worker: duties.takesSessions,
    gateway: roles.has('gateway'),
    payer: duties.sendsTickets,
    orchestrator: isOrchestrator,
    payee: isOrchestrator && isOnChain,
    transcoder: duties.transcodesElsewhere,
    keeper: duties.keepsTickets,
    redeemer: duties.redeems,
    desk: duties.servesOrchestrators,
    outbox: duties.handsOver && isOnChain,
    reward: duties.rewards,
    rounds: duties.initializesRounds,
    chain: isOnChain,
    gas: duties.followsGasPrice && isOnChain,
    spender: duties.sendsTransactions,
  }
  return new Set((Object.keys(REPORTERS) as Reporter[]).filter((reporter) => is[reporter]))
}

/** Whether a node that is these has a metric. */
export function has(row: MetricRow, reporters: ReadonlySet<Reporter>): boolean {
  return row.by.some((reporter) => reporters.has(reporter))
}

/** The labels of a metric beside `node_id` and `node_type`, with the flags that are given. */
export function labelsOf(row: MetricRow, flags: LabelFlags): readonly string[] {
  const optional = (row.flagLabels ?? []).filter((label) => flags[FLAG_OF_LABEL[label]])
  return [...Object.keys(row.labels ?? {}), ...optional]
}

/** The flags that add labels. */
export interface LabelFlags {
  /** `-metricsPerStream`. */
  readonly perStream: boolean
  /** `-metricsClientIP`. */
  readonly clientIp: boolean
}

/** The values of a label that are all there are for a node that is these; null for those that come with events. */
export function allValues(
  row: MetricRow,
  label: string,
  reporters: ReadonlySet<Reporter>,
): readonly string[] | null {
  const values = row.labels?.[label]
  if (values === undefined || values === 'open') return null
  if (isList(values)) return values
  return [...new Set([...reporters].flatMap((reporter) => values[reporter] ?? []))]
}

function isList(values: Exclude<LabelValues, 'open'>): values is readonly string[] {
  return Array.isArray(values)
}
