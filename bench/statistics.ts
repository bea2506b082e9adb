import { readFileSync } from 'node:fs'
import type { NodeProcess } from '../devnet/node-process.ts'

/** The percentile: the value that this percentage of the values does not exceed. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil((sorted.length * percent) / 100) - 1)]!
}

/** Rounds to two decimals, which is as precise as these figures are. */
export function round(value: number): number {
  return Math.round(value * 100) / 100
}

/** Resident memory of the node's own process, in MB. */
export function rssOf(node: NodeProcess): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${node.pid}/status`, 'utf8'))?.[1]
  return Math.round(Number(kilobytes) / 1024)
}
