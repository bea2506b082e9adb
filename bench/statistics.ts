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

/** Processor time of the node's own process so far, in ms. */
export function cpuMsOf(node: NodeProcess): number {
  // Fields 14 and 15, counted after the name in brackets; a tick is 10 ms.
  const fields = readFileSync(`/proc/${node.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** The numbers of a command line by their flags. Throws if one is not above zero. */
export function numbersIn<Name extends string>(
  options: Readonly<Record<Name, string>>,
): Record<Name, number> {
  const entries = Object.entries<string>(options).map(([name, text]) => {
    const value = Number(text)
    if (!(value > 0)) throw new Error(`--${name} must be a number above zero`)
    return [name, value]
  })
  return Object.fromEntries(entries) as Record<Name, number>
}
