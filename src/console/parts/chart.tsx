import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Chart } from '../models/ledger.ts'
import { type Column, Table } from './table.tsx'

const HEIGHT = 220
/** Names of colours in the style sheet, for the lines in their order. */
const COLOURS = ['--line-1', '--line-2', '--line-3', '--line-4']

/** How a chart is drawn. */
interface Look {
  /** What the places are, such as `Day`, and what each is called. */
  readonly place: string
  readonly nameOf: (place: number) => string
  readonly unit: string
  /** The two lines between which the ground is tinted. */
  readonly band?: readonly [upper: number, lower: number]
}

/** Lines over days or rounds, drawn, with the same as a table for who does not see them. */
export function ChartPart({
  chart,
  title,
  ...look
}: Look & { readonly chart: Chart; readonly title: string }) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const { lines, places } = chart
  const { nameOf, place, unit } = look
  const labels = lines.map(({ label }) => label)
  useEffect(() => {
    const into = box.current!
    const draw = () => {
      plot.current?.destroy()
      plot.current = new uPlot(optionsOf(into, labels, look), dataOf(chart), into)
    }
    draw()
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', draw)
    const sizes = new ResizeObserver(() => plot.current?.setSize({ width: into.clientWidth, height: HEIGHT }))
    sizes.observe(into)
    return () => {
      scheme.removeEventListener('change', draw)
      sizes.disconnect()
      plot.current?.destroy()
    }
  }, [labels.join('|')])
  useEffect(() => plot.current?.setData(dataOf(chart)), [JSON.stringify(chart)])
  const columns: readonly Column<number>[] = [
    { title: place, cell: (at) => nameOf(places[at]!) },
    ...lines.map(({ label, values }) => ({
      ...{ title: `${label}, ${unit}`, isNumber: true },
      cell: (at: number) => rounded(values[at]!),
    })),
  ]
  return (
    <figure class="chart">
      <figcaption>
        {title}, in {unit}
      </figcaption>
      <ul class="key">
        {labels.map((label, index) => (
          <li key={label} class={`line${index + 1}`}>
            {label}
          </li>
        ))}
      </ul>
      <div ref={box} aria-hidden="true" />
      <details>
        <summary>The same as a table</summary>
        <Table
          {...{ caption: title, columns, rows: places.map((_, at) => at) }}
          empty="nothing yet"
          keyOf={(at) => String(places[at])}
        />
      </details>
    </figure>
  )
}

function optionsOf(box: HTMLElement, labels: readonly string[], { band, nameOf }: Look): uPlot.Options {
  const style = getComputedStyle(box)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const axis = {
    ...{ stroke: colour('--quiet'), ticks: { show: false } },
    grid: { stroke: colour('--line'), width: 1 },
  }
  return {
    ...{ width: box.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { show: false } },
    scales: { x: { time: false, range: (_, min, max) => [min - 0.5, max + 0.5] } },
    axes: [
      {
        ...{ ...axis, size: 28, space: 80, incrs: [1, 2, 5, 10, 20] },
        values: (_, splits) => splits.map((at) => (Number.isInteger(at) ? nameOf(at) : '')),
      },
      { ...axis, size: 80, values: (_, splits) => splits.map(rounded) },
    ],
    series: [
      {},
      ...labels.map((label, index) => ({
        ...{ label, stroke: colour(COLOURS[index] ?? '--line-1'), width: 2, points: { show: true, size: 6 } },
      })),
    ],
    // Series are counted from the horizontal axis on.
    ...(band && { bands: [{ series: [band[0] + 1, band[1] + 1], fill: colour('--band') }] }),
  }
}

function dataOf({ lines, places }: Chart): uPlot.AlignedData {
  return [[...places], ...lines.map(({ values }) => [...values])]
}

/** A few digits, however small. */
function rounded(value: number): string {
  return value === 0 ? '0' : Number(value.toPrecision(4)).toString()
}
