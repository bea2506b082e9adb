import { ALERT_CODES } from '../../domain/alerts.ts'
import { codesOf } from '../../domain/causes.ts'
import type { NodeEventOf } from '../../domain/events.ts'
import type { LossReason } from '../../services/transcoding/transcoder-member.ts'
import { type LabelValues, type MetricRows, once } from './metric-row.ts'

const LOSSES: Readonly<Record<LossReason, true>> = {
  ...{ 'stream-ended': true, 'too-late': true, 'does-not-read': true, silent: true },
}
const causesOf = (role: string) => codesOf(new Set([role]))
const CAUSES_OF: LabelValues = {
  ...{ gateway: causesOf('gateway'), orchestrator: causesOf('orchestrator'), desk: causesOf('redeemer') },
  ...{ reward: causesOf('reward'), rounds: causesOf('roundInitializer'), transcoder: causesOf('transcoder') },
}

/** Metrics of the node itself, of its peers, and of the chain. */
export const NODE_METRICS = {
  versions: {
    ...{ type: 'gauge', help: 'The version of the node; always 1', by: ['node'], read: 'at once' },
    labels: { compiler: 'open', goos: 'open', goversion: 'open', livepeerversion: 'open' },
  },
  max_sessions_total: {
    ...{ type: 'gauge', help: 'Streams or sessions that are taken at once', by: ['worker'], read: 'at once' },
  },
  current_sessions_total: {
    ...{ type: 'gauge', help: 'Streams or sessions now', by: ['worker'], read: 'at once' },
  },
  success_rate: {
    ...{ type: 'gauge', help: 'Part of the last 30 segments that was transcoded', by: ['gateway'] },
    start: 1,
    on: {
      'segment-done': (event) => (event.side === 'gateway' ? { mean: 1 } : null),
      'segment-failed': (event) => (isLoss(event) ? { mean: 0 } : null),
    },
  },
  success_rate_per_stream: {
    ...{
      type: 'gauge',
      help: 'Part of the last 30 segments of a stream that was transcoded',
      by: ['gateway'],
    },
    ...{ flagLabels: ['manifest_id'], perStreamOnly: true },
    on: {
      'segment-done': (event) =>
        event.side === 'gateway' ? { mean: 1, labels: { manifest_id: event.manifestId } } : null,
      'segment-failed': (event) =>
        isLoss(event) ? { mean: 0, labels: { manifest_id: event.manifestId } } : null,
    },
  },
  problem: {
    ...{ type: 'gauge', help: 'Causes that keep the node from part of its work now', by: ['node'] },
    ...{ labels: { cause: 'open', side: 'open' }, read: 'at once' },
  },
  alert: {
    ...{ type: 'gauge', help: 'Findings of each alert rule now', by: ['node'] },
    ...{ labels: { alert: ALERT_CODES, severity: ['warning', 'critical'] }, read: 'at once' },
  },
  problem_occurrences_total: {
    ...{ type: 'counter', help: 'Occurrences of such causes', by: ['node'] },
    labels: { cause: CAUSES_OF },
    on: {
      'problem-begun': ({ code }) => ({ labels: { cause: code } }),
      'problem-repeated': ({ code }) => ({ labels: { cause: code } }),
    },
  },
  transcoders_number: {
    ...{ type: 'gauge', help: 'Transcoders on other machines', by: ['orchestrator'] },
    on: { 'transcoders-changed': ({ count }) => ({ value: count }) },
  },
  transcoders_capacity: {
    ...{ type: 'gauge', help: 'Sessions that they take', by: ['orchestrator'] },
    on: { 'transcoders-changed': ({ capacity }) => ({ value: capacity }) },
  },
  transcoders_load: {
    ...{ type: 'gauge', help: 'Sessions that they have', by: ['orchestrator'] },
    on: { 'transcoders-changed': ({ load }) => ({ value: load }) },
  },
  transcoders_lost_total: {
    ...{ type: 'counter', help: 'Transcoders that disconnected', by: ['orchestrator'] },
    labels: { reason: Object.keys(LOSSES) },
    on: { 'peer-down': ({ peer, reason }) => (peer === 'transcoder' ? { labels: { reason } } : null) },
  },
  min_gas_price: {
    ...{ type: 'gauge', help: 'Lowest gas price that is assumed, gwei', by: ['gas'], read: 'at once' },
  },
  max_gas_price: {
    ...{
      type: 'gauge',
      help: 'Gas price above which nothing is sent, gwei; absent without one',
      by: ['gas'],
    },
    read: 'once known',
  },
  suggested_gas_price: {
    ...{ type: 'gauge', help: 'Gas price that is expected, gwei', by: ['gas'], read: 'at once' },
  },
  account_balance_wei: {
    ...{ type: 'gauge', help: 'Balance of the account, wei', by: ['chain'], read: 'once known' },
  },
  open_transactions: {
    ...{ type: 'gauge', help: 'Transactions not known to be mined', by: ['spender'], read: 'at once' },
  },
  rpc_up: {
    ...{ type: 'gauge', help: 'Whether an RPC endpoint is usable', by: ['chain'], read: 'once known' },
    labels: { endpoint: 'open' },
  },
  chain_silence_seconds: {
    ...{ type: 'gauge', help: 'Time since the newest block was made', by: ['chain'], read: 'once known' },
  },
  current_round: {
    ...{ type: 'gauge', help: 'Round of the newest L1 block', by: ['chain'], read: 'once known' },
  },
  rounds_initialized_total: {
    ...{ type: 'counter', help: 'Rounds that this node initialised', by: ['rounds'] },
    on: { 'round-initialized': once },
  },
  round_initialization_errors_total: {
    ...{ type: 'counter', help: 'Attempts to initialise a round that failed', by: ['rounds'] },
    on: { 'round-initialization-failed': once },
  },
  reward_call_errors: {
    ...{ type: 'counter', help: 'Attempts to call reward that failed', by: ['reward'] },
    on: { 'reward-failed': once },
  },
  reward_calls_total: {
    ...{ type: 'counter', help: 'Rewards called', by: ['reward'] },
    on: { 'reward-called': once },
  },
  rewards_missed_total: {
    ...{ type: 'counter', help: 'Rounds that ended without their reward', by: ['reward'] },
    on: { 'rewards-missed': ({ first, last }) => ({ value: Number(last - first + 1n) }) },
  },
  last_reward_round: {
    ...{ type: 'gauge', help: 'Last round in which reward was called', by: ['reward'], read: 'once known' },
  },
} as const satisfies MetricRows

type LostByGateway = Extract<NodeEventOf<'segment-failed'>, { side: 'gateway' }>

/** Whether a segment was lost for players; of a stream that ended, none is. */
function isLoss(event: NodeEventOf<'segment-failed'>): event is LostByGateway {
  return event.side === 'gateway' && event.failure !== 'stream-ended'
}
