import type { NodeEvent, NodeEventOf, SegmentFailure } from '../../domain/events.ts'

const WEI_PER_GWEI = 1e9

/** What peers' dashboards call failures (operations.md §6). */
const FAILURES: Readonly<Record<SegmentFailure, string>> = {
  busy: 'OrchestratorBusy',
  capped: 'OrchestratorCapped',
  transcode: 'Transcode',
}

/** What an event adds to a counter. */
export interface Addition {
  /** Without the prefix that all have. */
  readonly name: string
  readonly help: string
  readonly labels?: Readonly<Record<string, string>>
  /** 1 unless given. */
  readonly by?: number
}

/** For every event the counters that it adds to (operations.md §6); none for one that is not counted. */
const ADDITIONS: {
  readonly [Kind in NodeEvent['kind']]: (event: NodeEventOf<Kind>) => readonly Addition[]
} = {
  'tickets-received': ({ credit, tickets, winners }) => [
    { name: 'tickets_recv', help: 'Tickets received', by: tickets },
    { ...WINNERS, by: winners },
    {
      name: 'ticket_value_recv',
      help: 'Expected value of tickets received, gwei',
      by: credit.toNumber() / WEI_PER_GWEI,
    },
  ],
  'payment-refused': () => [
    { name: 'payment_recv_errors', help: 'Payments refused', labels: { error_code: 'PaymentError' } },
  ],
  'payment-sent': ({ tickets }) => [{ name: 'tickets_sent', help: 'Tickets sent', by: tickets }],
  'payment-accepted': ({ tickets }) => [
    { name: 'tickets_accepted', help: 'Tickets in payments that were accepted', by: tickets },
  ],
  // Counted where it is received.
  'ticket-won': () => [],
  'ticket-handed-in': () => [WINNERS],
  'handed-ticket-refused': ({ reason }) => [
    { name: 'handed_tickets_refused', help: 'Tickets handed in that were refused', labels: { reason } },
  ],
  'ticket-delivered': ({ redeemer }) => [
    { name: 'tickets_delivered', help: 'Winning tickets that a redeemer took', labels: { redeemer } },
  ],
  'ticket-delivery-failed': ({ reason, redeemer }) => [
    {
      name: 'ticket_delivery_errors',
      help: 'Winning tickets that a redeemer did not take',
      labels: { redeemer, reason },
    },
  ],
  'ticket-redeemed': ({ paid }) => [
    {
      name: 'value_redeemed',
      help: 'Paid for winning tickets, gwei',
      by: Number(paid ?? 0n) / WEI_PER_GWEI,
    },
  ],
  'ticket-refused': ({ reason }) => [
    { name: 'tickets_refused', help: 'Winning tickets that will never be redeemed', labels: { reason } },
  ],
  'ticket-reopened': () => [{ name: 'tickets_reopened', help: 'Redemptions that a reorganisation undid' }],
  'redemption-failed': () => [
    { name: 'ticket_redemption_errors', help: 'Redemptions that failed and are retried' },
  ],
  'session-begun': () => [],
  'session-ended': () => [],
  'stream-begun': () => [{ name: 'stream_started_total', help: 'Streams started' }],
  'stream-ended': () => [{ name: 'stream_ended_total', help: 'Streams ended' }],
  'segment-arrived': () => [{ name: 'segment_source_appeared_total', help: 'Segments that arrived' }],
  'segment-done': (event) => [
    { name: 'segment_transcoded_total', help: 'Segments transcoded' },
    { name: 'mil_pixels_processed', help: 'Million pixels encoded', by: Number(event.pixels) / 1e6 },
    ...(event.side === 'gateway' && event.attempts > 1
      ? [{ name: 'transcode_retried', help: 'Segments that took more than one attempt' }]
      : []),
  ],
  'segment-failed': ({ failure }) => [
    {
      name: 'segment_transcode_failed_total',
      help: 'Segments that failed',
      labels: { error_code: FAILURES[failure] },
    },
  ],
  'attempt-failed': () => [],
  'orchestrator-suspended': () => [],
  'orchestrator-swapped': () => [{ name: 'orchestrator_swaps', help: 'Changes of orchestrator' }],
  'round-begun': () => [],
  'round-initialized': () => [{ name: 'rounds_initialized', help: 'Rounds that this node initialised' }],
  'round-initialization-failed': () => [
    { name: 'round_initialization_errors', help: 'Failed attempts to initialise a round' },
  ],
  'reward-called': () => [{ name: 'reward_calls', help: 'Rewards called' }],
  'reward-failed': ({ reason }) => [
    { name: 'reward_call_errors', help: 'Failed attempts to call reward', labels: { reason } },
  ],
  'rewards-missed': ({ first, last }) => [
    {
      name: 'rewards_missed',
      help: 'Rounds that ended without their reward',
      by: Number(last - first + 1n),
    },
  ],
  'peer-up': () => [],
  'peer-down': ({ peer, reason }) =>
    peer === 'transcoder'
      ? [{ name: 'transcoders_lost', help: 'Transcoders that disconnected', labels: { reason } }]
      : [],
  'transcoders-changed': () => [],
  'problem-begun': ({ code, side }) => [{ ...OCCURRENCES, labels: { cause: code, side } }],
  'problem-repeated': ({ code, side }) => [{ ...OCCURRENCES, labels: { cause: code, side } }],
  'problem-ended': () => [],
  'setting-changed': () => [],
}

const OCCURRENCES: Addition = {
  name: 'problem_occurrences_total',
  help: 'Occurrences of causes that keep the node from part of its work',
}
const WINNERS: Addition = { name: 'winning_tickets_recv', help: 'Winning tickets received' }

/** What an event adds to the counters. */
export function additionsOf<Kind extends NodeEvent['kind']>(event: NodeEventOf<Kind>): readonly Addition[] {
  const additions = ADDITIONS[event.kind as Kind] as (event: NodeEventOf<Kind>) => readonly Addition[]
  return additions(event)
}
