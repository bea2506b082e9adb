import { readFileSync } from 'node:fs'
import type { NodeProcess } from '../devnet/node-process.ts'

/** The value that so many percent of the values do not exceed. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil((sorted.length * percent) / 100) - 1)]!
}

/** Two decimals are all that these figures are good for. */
export function round(value: number): number {
  return Math.round(value * 100) / 100
}

/** Resident memory of the node's process itself, in MB. */
export function rssOf(node: NodeProcess): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${node.pid}/status`, 'utf8'))?.[1]
  return Math.round(Number(kilobytes) / 1024)
}
