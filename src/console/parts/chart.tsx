import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { DayChart } from '../models/ledger.ts'
import { type Column, Table } from './table.tsx'

const HEIGHT = 240
const DAY_SECONDS = 86_400
/** Names of colours in the style sheet, for the lines in their order. */
const COLOURS = ['--line-1', '--line-2', '--line-3', '--line-4']

/**
 * Lines over days, drawn, with the same as a table for who does not see them. `band`: the two lines between which the ground
 * is tinted.
 */
export function Chart({
  band,
  chart,
  title,
}: {
  readonly band?: readonly [upper: number, lower: number]
  readonly chart: DayChart
  readonly title: string
}) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const { lines, seconds } = chart
  const labels = lines.map(({ label }) => label).join('|')
  useEffect(() => {
    const box = place.current!
    const draw = () => {
      plot.current?.destroy()
      plot.current = new uPlot(
        optionsOf(
          box,
          lines.map(({ label }) => label),
          band,
        ),
        dataOf(chart),
        box,
      )
    }
    draw()
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', draw)
    const sizes = new ResizeObserver(() => plot.current?.setSize({ width: box.clientWidth, height: HEIGHT }))
    sizes.observe(box)
    return () => {
      scheme.removeEventListener('change', draw)
      sizes.disconnect()
      plot.current?.destroy()
    }
  }, [labels])
  useEffect(() => plot.current?.setData(dataOf(chart)), [JSON.stringify(chart)])
  const columns: readonly Column<number>[] = [
    { title: 'Day', cell: (at) => dayOf(seconds[at]!) },
    ...lines.map(({ label, values }) => ({
      ...{ title: `${label}, ETH`, isNumber: true },
      cell: (at: number) => rounded(values[at]!),
    })),
  ]
  return (
    <figure class="chart">
      <figcaption>{title}, in ETH</figcaption>
      <ul class="key">
        {lines.map(({ label }, index) => (
          <li key={label} class={`line${index + 1}`}>
            {label}
          </li>
        ))}
      </ul>
      <div ref={place} aria-hidden="true" />
      <details>
        <summary>The same as a table</summary>
        <Table
          {...{ caption: title, columns, rows: seconds.map((_, at) => at) }}
          empty="nothing yet"
          keyOf={(at) => String(seconds[at])}
        />
      </details>
    </figure>
  )
}

function optionsOf(
  box: HTMLElement,
  labels: readonly string[],
  band: readonly [number, number] | undefined,
): uPlot.Options {
  const style = getComputedStyle(box)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    ...{ width: box.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { show: false } },
    scales: { x: { time: true, range: (_, min, max) => [min - DAY_SECONDS / 2, max + DAY_SECONDS / 2] } },
    axes: [
      {
        ...axis,
        values: (_, splits) => splits.map((at) => (at % DAY_SECONDS === 0 ? dayOf(at).slice(5) : '')),
      },
      { ...axis, size: 80, values: (_, splits) => splits.map(rounded) },
    ],
    series: [
      {},
      ...labels.map((label, index) => ({
        ...{ label, stroke: colour(COLOURS[index] ?? '--line-1'), width: 2, points: { show: true, size: 6 } },
      })),
    ],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
    // Series are counted from the horizontal axis on.
    ...(band && { bands: [{ series: [band[0] + 1, band[1] + 1], fill: colour('--band') }] }),
  }
}

function dataOf({ lines, seconds }: DayChart): uPlot.AlignedData {
  return [[...seconds], ...lines.map(({ values }) => [...values])]
}

function dayOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 10)
}

/** A few digits, however small. */
function rounded(value: number): string {
  return value === 0 ? '0' : Number(value.toPrecision(4)).toString()
}
