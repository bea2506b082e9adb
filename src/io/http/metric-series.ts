import type { Counter, Gauge, Histogram } from 'prom-client'
import type { MetricRow, Move, Reporter } from './metric-row.ts'
import { allValues } from './metrics-table.ts'

/** Series of one metric whose labels come with events, many from strangers: the one that was silent longest makes room. */
export const MAX_SERIES = 1_000
/** A longer value of a label is cut. */
const MAX_VALUE_LENGTH = 200
/** Values of which a gauge shows the mean (operations.md §6). */
export const MEAN_OF = 30
/** Stands for the labels of series that made room. */
const OTHER = 'other'
const UNKNOWN_CLIENT = 'not_tracked'

/** The labels of a series, all that its metric has. */
type Labels = Readonly<Record<string, string>>

/** What the series of a node depend on. */
export interface MetricSeriesOptions {
  readonly labelNames: readonly string[]
  readonly reporters: ReadonlySet<Reporter>
  /** By label, values that this node's settings name. */
  readonly known: Readonly<Record<string, readonly string[]>>
}

interface Series {
  readonly labels: Labels
  /** Of a counter: what was added, less what was taken back, and the most that it was. */
  total: number
  shown: number
  /** Of a gauge that shows a mean: its last values. */
  recent: number[]
}

/**
 * The series of one metric. Those whose labels are known are there from the start, with 0. Of the others there are at
 * most `MAX_SERIES`: what a counter's series had counted goes to the series `other`, so that sums stay true.
 */
export class MetricSeries {
  readonly #metric: Counter | Gauge | Histogram
  readonly #row: MetricRow
  readonly #labelNames: readonly string[]
  /** Labels whose values are not known beforehand. */
  readonly #open: readonly string[]
  /** By their labels, the one that moved last at the end. */
  readonly #series = new Map<string, Series>()

  constructor(
    metric: Counter | Gauge | Histogram,
    row: MetricRow,
    { known, labelNames, reporters }: MetricSeriesOptions,
  ) {
    this.#metric = metric
    this.#row = row
    this.#labelNames = labelNames
    this.#open = labelNames.filter((label) => allValues(row, label, reporters) === null)
    const first = (label: string) =>
      allValues(row, label, reporters) ?? row.begin?.[label] ?? known[label] ?? []
    for (const labels of combinations(labelNames.map((label) => [label, first(label)]))) this.#begin(labels)
  }

  /** Applies what an event does. */
  move(move: Move): void {
    const series = this.#seriesOf(this.#labelsOf(move.labels ?? {}))
    const { labels } = series
    const metric = this.#metric
    if ('observe' in metric) metric.observe(labels, move.value ?? 1)
    else if (this.#row.type === 'counter') this.#add(series, move.value ?? 1)
    else if (move.mean !== undefined) {
      series.recent = [...series.recent, move.mean].slice(-MEAN_OF)
      const sum = series.recent.reduce((total, value) => total + value, 0)
      ;(metric as Gauge).set(labels, sum / series.recent.length)
    } else (metric as Gauge).set(labels, move.value ?? 1)
  }

  /** A counter never goes down: what is taken back is made up for by what comes next. */
  #add(series: Series, by: number): void {
    series.total += by
    if (series.total <= series.shown) return
    ;(this.#metric as Counter).inc(series.labels, series.total - series.shown)
    series.shown = series.total
  }

  #labelsOf(given: Labels): Labels {
    return Object.fromEntries(
      this.#labelNames.map((name) => {
        const value = given[name] ?? (name === 'client_ip' ? UNKNOWN_CLIENT : '')
        return [name, value.slice(0, MAX_VALUE_LENGTH)]
      }),
    )
  }

  #seriesOf(labels: Labels): Series {
    const key = keyOf(labels)
    const known = this.#series.get(key)
    if (this.#open.length === 0) return known ?? this.#begin(labels)
    if (known) {
      this.#series.delete(key)
      this.#series.set(key, known)
      return known
    }
    if (this.#series.size >= MAX_SERIES) this.#makeRoom()
    return this.#begin(labels)
  }

  #begin(labels: Labels): Series {
    const series: Series = { labels, total: 0, shown: 0, recent: [] }
    this.#series.set(keyOf(labels), series)
    const metric = this.#metric
    if ('zero' in metric) metric.zero(labels)
    else if ('set' in metric) metric.set(labels, ('start' in this.#row && this.#row.start) || 0)
    else metric.inc(labels, 0)
    return series
  }

  #makeRoom(): void {
    const oldest = this.#series.values().find(({ labels }) => !this.#isOther(labels))!
    this.#series.delete(keyOf(oldest.labels))
    this.#metric.remove(oldest.labels)
    if (this.#row.type !== 'counter') return
    const others = { ...oldest.labels, ...Object.fromEntries(this.#open.map((label) => [label, OTHER])) }
    this.#add(this.#series.get(keyOf(others)) ?? this.#begin(others), oldest.total)
  }

  #isOther(labels: Labels): boolean {
    return this.#open.every((label) => labels[label] === OTHER)
  }
}

function keyOf(labels: Labels): string {
  return JSON.stringify(Object.values(labels))
}

/** Every combination of the values of labels. */
function combinations(labels: readonly (readonly [string, readonly string[]])[]): Labels[] {
  let found: Labels[] = [{}]
  for (const [label, values] of labels) {
    found = found.flatMap((labels) => values.map((value) => ({ ...labels, [label]: value })))
  }
  return found
}
