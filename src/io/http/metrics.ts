import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { GatewayEvent } from '../../services/gateway/gateway-event.ts'
import type { OrchestratorEvents, SegmentRefusal } from '../../services/orchestrator/orchestrator.ts'
import type { RecipientEvents } from '../../services/orchestrator/ticket-recipient.ts'
import type { RewardEvents } from '../../services/protocol/reward-service.ts'
import type { RoundInitializerEvents } from '../../services/protocol/round-initializer.ts'
import type { RedeemerEvents } from '../../services/redemption/redeemer.ts'
import type { DeskEvents } from '../../services/redemption/redeemer-desk.ts'
import type { OutboxEvents } from '../../services/redemption/redeemer-outbox.ts'
import type { PoolEvents } from '../../services/transcoding/transcoder-roster.ts'

const SECONDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10]
const RATIOS = [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10, 15, 20, 40]
const LATENCIES = [0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10]
const WEI_PER_GWEI = 1e9
/** The error codes of refused segments, as dashboards know them (operations.md §6). */
const REFUSALS: Readonly<Record<SegmentRefusal, string>> = {
  busy: 'OrchestratorBusy',
  capped: 'OrchestratorCapped',
}

/** A node's type in the labels of its metrics (operations.md §6). */
export type NodeType = 'bctr' | 'orch' | 'trcr' | 'rdmr' | 'dflt'

/** One value of a metric; a metric without labels has at most one. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** A gauge that is read when metrics are requested. */
export interface FigureReading {
  /** Without the common prefix. */
  readonly name: string
  readonly help: string
  /** Label names. */
  readonly labels?: readonly string[]
  /** If it returns nothing or throws, the metric is omitted. */
  read(): readonly Sample[] | Promise<readonly Sample[]>
}

/** Totals since the start. */
export interface MetricsTotals {
  readonly ticketsReceived: number
  readonly ticketsSent: number
  readonly ticketsAccepted: number
  readonly segmentsTranscoded: number
  readonly segmentsFailed: number
  readonly paymentsRefused: number
  /** By reason. */
  readonly handedTicketsRefused: Readonly<Record<string, number>>
}

/**
 * The node's Prometheus metrics, under the names that operators know (operations.md §6) and new names where there are
 * none (`src/node/status/facts.ts` has the gauges).
 */
export class Metrics
  implements
    OrchestratorEvents,
    RecipientEvents,
    RedeemerEvents,
    OutboxEvents,
    DeskEvents,
    RewardEvents,
    RoundInitializerEvents,
    PoolEvents
{
  readonly #registry = new Registry()
  readonly #totals = {
    ticketsReceived: 0,
    segmentsTranscoded: 0,
    segmentsFailed: 0,
    ticketsSent: 0,
    ticketsAccepted: 0,
    paymentsRefused: 0,
  }
  readonly #handedTicketsRefused = new Map<string, number>()
  readonly #counters = new Map<string, Counter>()
  readonly #gauges = new Map<string, Gauge>()
  readonly #transcodeTime: Histogram
  readonly #transcodeScore: Histogram
  readonly #latency: Histogram

  constructor(options: { nodeId: string; nodeType: NodeType; version: string }) {
    const registers = [this.#registry]
    this.#registry.setDefaultLabels({ node_id: options.nodeId, node_type: options.nodeType })
    collectDefaultMetrics({ register: this.#registry })
    this.#gauge('versions', 'Version of the node', ['livepeerversion']).set(
      { livepeerversion: options.version },
      1,
    )
    this.#transcodeTime = new Histogram({
      name: 'livepeer_transcode_time_seconds',
      help: 'Time to transcode a segment',
      buckets: SECONDS,
      registers,
    })
    this.#transcodeScore = new Histogram({
      name: 'livepeer_transcode_score',
      help: 'Duration of a segment over the time to transcode it',
      buckets: RATIOS,
      registers,
    })
    this.#latency = new Histogram({
      name: 'livepeer_transcode_overall_latency_seconds',
      help: 'Time from a segment to all its renditions',
      buckets: LATENCIES,
      registers,
    })
  }

  /** Totals since the start, for the status. */
  get totals(): MetricsTotals {
    return { ...this.#totals, handedTicketsRefused: Object.fromEntries(this.#handedTicketsRefused) }
  }

  /** Adds a gauge that is read when metrics are requested. */
  observe({ name, help, labels = [], read }: FigureReading): void {
    new Gauge({
      name: `livepeer_${name}`,
      help,
      labelNames: [...labels],
      registers: [this.#registry],
      async collect() {
        this.reset()
        // Without labels it would be 0 rather than absent.
        this.remove({})
        // A gauge that cannot be read must not keep the others from being reported.
        const samples = await (async () => read())().catch(() => [])
        for (const { labels = {}, value } of samples) this.set(labels, value)
      },
    })
  }

  /** The metrics in Prometheus format, and their media type. */
  async text(): Promise<{ text: string; type: string }> {
    return { text: await this.#registry.metrics(), type: this.#registry.contentType }
  }

  segmentTranscoded(event: { sourceMs: number; tookMs: number; pixels: bigint }): void {
    this.#totals.segmentsTranscoded++
    this.#count('segment_transcoded_total', 'Segments transcoded').inc()
    this.#count('mil_pixels_processed', 'Million pixels encoded').inc(Number(event.pixels) / 1e6)
    this.#transcodeTime.observe(event.tookMs / 1000)
    this.#transcodeScore.observe(event.sourceMs / Math.max(1, event.tookMs))
  }

  segmentFailed(event: { reason: string; refusal?: SegmentRefusal | null }): void {
    this.#totals.segmentsFailed++
    this.#count('segment_transcode_failed_total', 'Segments that failed', ['error_code']).inc({
      error_code: event.refusal ? REFUSALS[event.refusal] : 'Transcode',
    })
  }

  sessions(count: number): void {
    this.#gauge('current_sessions_total', 'Sessions running').set(count)
  }

  ticketsReceived(event: { tickets: number; winners: number; credit: { toNumber(): number } }): void {
    this.#totals.ticketsReceived += event.tickets
    this.#count('tickets_recv', 'Tickets received').inc(event.tickets)
    this.#count('winning_tickets_recv', 'Winning tickets received').inc(event.winners)
    this.#count('ticket_value_recv', 'Expected value of tickets received, gwei').inc(
      event.credit.toNumber() / WEI_PER_GWEI,
    )
  }

  paymentRefused(): void {
    this.#totals.paymentsRefused++
    this.#count('payment_recv_errors', 'Payments refused', ['error_code']).inc({ error_code: 'PaymentError' })
  }

  ticketWon(): void {
    // Counted when received; its later states are in `livepeer_tickets`.
  }

  ticketRedeemed(event: { paid: bigint | null }): void {
    this.#count('value_redeemed', 'Wei paid for winning tickets, in gwei').inc(
      Number(event.paid ?? 0n) / WEI_PER_GWEI,
    )
  }

  ticketRefused(event: { reason: string }): void {
    this.#count('tickets_refused', 'Winning tickets that will never be redeemed', ['reason']).inc({
      reason: event.reason,
    })
  }

  ticketReopened(): void {
    this.#count('tickets_reopened', 'Redemptions undone by a reorganisation').inc()
  }

  redemptionFailed(): void {
    this.#count('ticket_redemption_errors', 'Redemptions that failed and will be retried').inc()
  }

  ticketDelivered(event: { redeemer: string }): void {
    this.#count('tickets_delivered', 'Winning tickets that a redeemer accepted', ['redeemer']).inc({
      redeemer: event.redeemer,
    })
  }

  deliveryFailed(event: { redeemer: string; reason: string }): void {
    const labels = ['redeemer', 'reason']
    this.#count('ticket_delivery_errors', 'Winning tickets that a redeemer did not accept', labels).inc({
      redeemer: event.redeemer,
      reason: event.reason,
    })
  }

  ticketHandedOver(): void {
    this.#totals.ticketsReceived++
    this.#count('winning_tickets_recv', 'Winning tickets received').inc()
  }

  handedTicketRefused(event: { reason: string }): void {
    const known = this.#handedTicketsRefused.get(event.reason) ?? 0
    this.#handedTicketsRefused.set(event.reason, known + 1)
    this.#count('handed_tickets_refused', 'Handed-over tickets that were refused', ['reason']).inc({
      reason: event.reason,
    })
  }

  rewardCalled(): void {
    this.#count('reward_calls', 'Rewards called').inc()
  }

  rewardFailed(event: { why: string }): void {
    this.#count('reward_call_errors', 'Failed attempts to call reward', ['reason']).inc({
      reason: event.why,
    })
  }

  rewardMissed({ first, last }: { first: bigint; last: bigint }): void {
    this.#count('rewards_missed', 'Rounds that ended without a reward call').inc(Number(last - first + 1n))
  }

  roundInitialized(): void {
    this.#count('rounds_initialized', 'Rounds that this node initialised').inc()
  }

  roundInitializationFailed(): void {
    this.#count('round_initialization_errors', 'Failed attempts to initialise a round').inc()
  }

  transcoders({ capacity, count, load }: { count: number; capacity: number; load: number }): void {
    this.#gauge('transcoders_number', 'Remote transcoders connected').set(count)
    this.#gauge('transcoders_capacity', 'Sessions that remote transcoders can take').set(capacity)
    this.#gauge('transcoders_load', 'Sessions that remote transcoders have').set(load)
  }

  transcoderLost(event: { reason: string }): void {
    this.#count('transcoders_lost', 'Transcoders that disconnected', ['reason']).inc({ reason: event.reason })
  }

  /** Counts an event of the gateway. */
  gatewayEvent(event: GatewayEvent): void {
    switch (event.kind) {
      case 'stream-started':
        this.#count('stream_started_total', 'Streams started').inc()
        break
      case 'stream-ended':
        this.#count('stream_ended_total', 'Streams ended').inc()
        break
      case 'segment-arrived':
        this.#count('segment_source_appeared_total', 'Segments that arrived').inc()
        break
      case 'segment-transcoded':
        this.#latency.observe(event.tookMs / 1000)
        if (event.attempts > 1) this.#count('transcode_retried', 'Segments that took more than one try').inc()
        this.segmentTranscoded({
          sourceMs: event.durationMs,
          tookMs: event.tookMs,
          pixels: event.pixels,
        })
        break
      case 'segment-failed':
        this.segmentFailed({ reason: event.reason })
        break
      case 'payment-sent':
        this.#totals.ticketsSent += event.tickets
        this.#count('tickets_sent', 'Tickets sent').inc(event.tickets)
        break
      case 'payment-accepted':
        this.#totals.ticketsAccepted += event.tickets
        this.#count('tickets_accepted', 'Tickets in payments that were accepted').inc(event.tickets)
        break
      case 'orchestrator-swapped':
        this.#count('orchestrator_swaps', 'Changes of orchestrator').inc()
        break
      case 'attempt-failed':
      case 'orchestrator-suspended':
        break
    }
  }

  #count(name: string, help: string, labelNames: string[] = []): Counter {
    return getOrMake(this.#counters, name, () => {
      return new Counter({ name: `livepeer_${name}`, help, labelNames, registers: [this.#registry] })
    })
  }

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return getOrMake(this.#gauges, name, () => {
      return new Gauge({ name: `livepeer_${name}`, help, labelNames, registers: [this.#registry] })
    })
  }
}

/** The type of a node with these roles (operations.md §6): the first that applies. */
export function nodeTypeOf(roles: ReadonlySet<string>): NodeType {
  if (roles.has('redeemer')) return 'rdmr'
  if (roles.has('orchestrator')) return 'orch'
  if (roles.has('transcoder')) return 'trcr'
  return roles.has('gateway') ? 'bctr' : 'dflt'
}

function getOrMake<Value>(known: Map<string, Value>, name: string, make: () => Value): Value {
  const found = known.get(name) ?? make()
  known.set(name, found)
  return found
}
