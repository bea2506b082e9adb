import { readFileSync } from 'node:fs'

/** Resident memory of a process in MB; null if it has exited. */
export function rssOfPid(pid: number): number | null {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kilobytes === undefined ? null : Number(kilobytes) / 1024
  } catch {
    return null
  }
}

/** The mean; NaN for no values. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** The increase of y per x, by least squares. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const [x, y] = [mean(points.map((point) => point[0])), mean(points.map((point) => point[1]))]
  const over = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return over / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}

const HEIGHT = 12
const WIDTH = 60

/** A plot of megabytes over time, starting at 0. */
export function plot(values: readonly number[], caption: string): string {
  const columns = Math.min(WIDTH, values.length)
  const heights = Array.from({ length: columns }, (_, column) => {
    const from = Math.floor((column * values.length) / columns)
    const to = Math.floor(((column + 1) * values.length) / columns)
    return mean(values.slice(from, to))
  })
  const top = Math.max(...heights, 1)
  const lines = Array.from({ length: HEIGHT }, (_, line) => {
    const level = (top * (HEIGHT - line - 0.5)) / HEIGHT
    const label = String(Math.round((top * (HEIGHT - line)) / HEIGHT)).padStart(6)
    return `${label} |${heights.map((height) => (height >= level ? '#' : ' ')).join('')}`
  })
  return [...lines, `     0 +${'-'.repeat(columns)}`, `        ${caption}`].join('\n')
}
