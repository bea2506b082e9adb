import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { NodeEvent } from '../../domain/events.ts'
import { additionsOf } from './event-figures.ts'

const SECONDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10]
const RATIOS = [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10, 15, 20, 40]
const LATENCIES = [0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 10]

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

/**
 * The node's Prometheus metrics, under the names that operators know (operations.md §6) and new names where there are
 * none (`src/node/status/facts.ts` has the gauges).
 */
export class Metrics {
  readonly #registry = new Registry()
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

  /** Counts what happens in the node. A counter exists from its first addition on. */
  hear(event: NodeEvent): void {
    for (const { by = 1, help, labels = {}, name } of additionsOf(event)) {
      const counter = getOrMake(this.#counters, name, () => {
        const labelNames = Object.keys(labels)
        return new Counter({ name: `livepeer_${name}`, help, labelNames, registers: [this.#registry] })
      })
      counter.inc(labels, by)
    }
    if (event.kind === 'segment-done') {
      this.#transcodeTime.observe(event.tookMs / 1000)
      this.#transcodeScore.observe(event.durationMs / Math.max(1, event.tookMs))
      if (event.side === 'gateway') this.#latency.observe(event.tookMs / 1000)
    } else if (event.kind === 'session-begun' || event.kind === 'session-ended') {
      this.#gauge('current_sessions_total', 'Sessions running').set(event.running)
    } else if (event.kind === 'transcoders-changed') {
      this.#gauge('transcoders_number', 'Transcoders on other machines').set(event.count)
      this.#gauge('transcoders_capacity', 'Sessions that they take').set(event.capacity)
      this.#gauge('transcoders_load', 'Sessions that they have').set(event.load)
    }
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
