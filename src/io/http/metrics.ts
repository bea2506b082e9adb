import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { NodeEvent } from '../../domain/events.ts'
import type { Clock } from '../../lib/clock.ts'
import { isDoneWithin } from '../../lib/patience.ts'
import type { MetricRow, Move, Moves, Reporter } from './metric-row.ts'
import { MetricSeries } from './metric-series.ts'
import { has, type LabelFlags, labelsOf, METRICS, type ReadName } from './metrics-table.ts'

/** A reading that takes longer is left out of the answer: a request must not wait for a chain that is away. */
const READING_MS = 2_000

/** A node's type in the labels of its metrics (operations.md §6). */
export type NodeType = 'bctr' | 'orch' | 'trcr' | 'rdmr' | 'dflt'

/** One value of a metric; a metric without labels has at most one. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** Reads a metric when metrics are requested. If it returns nothing, throws or takes long, the metric has no value. */
export type Reading = () => readonly Sample[] | Promise<readonly Sample[]>

/** The readings of a node, by the name of their metric. */
export type Readings = { readonly [Name in ReadName]?: Reading }

/** What the metrics of a node are told of it. */
export interface MetricsOptions {
  readonly nodeId: string
  readonly nodeType: NodeType
  readonly reporters: ReadonlySet<Reporter>
  readonly flags: LabelFlags
  /** By label, values that the settings name: series with them exist from the start. */
  readonly known: Readonly<Record<string, readonly string[]>>
}

/**
 * The node's Prometheus metrics: those of the table (`metrics-table.ts`) that the node can move, each from the start on,
 * and those of the process.
 */
export class Metrics {
  readonly #options: MetricsOptions
  readonly #clock: Clock
  readonly #registry = new Registry()
  /** The version names no node (operations.md §6). */
  readonly #unnamed = new Registry()
  readonly #moved = new Map<
    string,
    { readonly move: (event: NodeEvent) => Moved; readonly series: MetricSeries }[]
  >()

  constructor(options: MetricsOptions, needs: { readonly clock: Clock }) {
    const { nodeId, nodeType } = options
    this.#options = options
    this.#clock = needs.clock
    this.#registry.setDefaultLabels({ node_id: nodeId, node_type: nodeType })
    this.#unnamed.setDefaultLabels({ node_type: nodeType })
    collectDefaultMetrics({ register: this.#registry })
    for (const [name, row] of Object.entries(METRICS)) {
      if ('on' in row && this.#has(row)) this.#follow(name, row)
    }
  }

  /** Adds what is read when metrics are requested. Readings of metrics that the node does not have are ignored. */
  observe(readings: Readings): void {
    for (const [name, read] of Object.entries(readings)) {
      const row = METRICS[name]!
      if (this.#has(row)) this.#observe(name, row, read)
    }
  }

  /** The metrics in Prometheus format, and their media type. */
  async text(): Promise<{ text: string; type: string }> {
    const texts = await Promise.all([this.#unnamed.metrics(), this.#registry.metrics()])
    return { text: texts.join('\n'), type: this.#registry.contentType }
  }

  /** Counts what happens in the node. */
  hear(event: NodeEvent): void {
    for (const { move, series } of this.#moved.get(event.kind) ?? []) {
      const moved = move(event)
      if (moved === null) continue
      for (const one of Array.isArray(moved) ? (moved as readonly Move[]) : [moved as Move]) series.move(one)
    }
  }

  #has(row: MetricRow): boolean {
    return has(row, this.#options.reporters) && (!row.perStreamOnly || this.#options.flags.perStream)
  }

  #follow(name: string, row: MetricRow & { readonly on: Moves }): void {
    const { flags, known, reporters } = this.#options
    const labelNames = labelsOf(row, flags)
    const about = { name: `livepeer_${name}`, help: row.help, labelNames, registers: [this.#registry] }
    const metric =
      row.type === 'counter'
        ? new Counter(about)
        : row.type === 'gauge'
          ? new Gauge(about)
          : new Histogram({ ...about, buckets: [...row.buckets] })
    const series = new MetricSeries(metric, row, { known, labelNames, reporters })
    for (const [kind, move] of Object.entries(row.on)) {
      const followers = this.#moved.get(kind) ?? []
      followers.push({ move: move as (event: NodeEvent) => Moved, series })
      this.#moved.set(kind, followers)
    }
  }

  #observe(name: string, row: MetricRow, read: Reading): void {
    const labelNames = labelsOf(row, this.#options.flags)
    const within = (reading: Promise<readonly Sample[]>) => this.#inTime(reading)
    new Gauge({
      name: `livepeer_${name}`,
      help: row.help,
      labelNames,
      registers: [name === 'versions' ? this.#unnamed : this.#registry],
      async collect() {
        // One that cannot be read must not keep the others from being reported.
        const samples = await within((async () => read())()).catch(() => [])
        this.reset()
        // Without labels it would be 0 rather than absent.
        this.remove({})
        const seen = new Set<string>()
        for (const { labels = {}, value } of samples) {
          const shown = labelNames.map((name) => [name, labels[name] ?? ''] as const)
          const key = JSON.stringify(shown)
          // Without a flag's label several are one: the first stands for all.
          if (!seen.has(key)) this.set(Object.fromEntries(shown), value)
          seen.add(key)
        }
      },
    })
  }

  async #inTime(reading: Promise<readonly Sample[]>): Promise<readonly Sample[]> {
    return (await isDoneWithin(this.#clock, READING_MS, reading)) ? reading : []
  }
}

type Moved = Move | readonly Move[] | null

/** The type of a node with these roles (operations.md §6): the first that applies. */
export function nodeTypeOf(roles: ReadonlySet<string>): NodeType {
  if (roles.has('redeemer')) return 'rdmr'
  if (roles.has('orchestrator')) return 'orch'
  if (roles.has('transcoder')) return 'trcr'
  return roles.has('gateway') ? 'bctr' : 'dflt'
}
