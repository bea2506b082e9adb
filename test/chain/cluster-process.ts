import { fileURLToPath } from 'node:url'
import { type Leashed, spawnLeashed } from '../../devnet/leash.ts'
import { eventually } from '../tools/until.ts'
import type { ClusteredOptions } from './clustered.ts'

const PROGRAM = fileURLToPath(new URL('./redeemer-process.ts', import.meta.url))
const PATIENCE_MS = 90_000

/** A node of a cluster in a process of its own, and the lines that it has written. */
export interface ClusterProcess {
  readonly child: Leashed
  readonly node: string
  /** Its lines that contain a text. */
  said(text: string): string[]
  /** Waits for one more such line, or for the first. */
  until(text: string, options?: { more?: number; ms?: number }): Promise<void>
}

/** Starts a node of a cluster as a process, which ends with this one. */
export function startProcess(options: ClusteredOptions): ClusterProcess {
  const child = spawnLeashed(process.execPath, [PROGRAM, JSON.stringify(options)])
  const lines: string[] = []
  let rest = ''
  const hear = (chunk: Buffer) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop()!
    lines.push(...parts)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const { node } = options
  const said = (text: string) => lines.filter((line) => line.includes(text))
  const until: ClusterProcess['until'] = (text, { more = 1, ms = PATIENCE_MS } = {}) =>
    eventually(`${node}: ${text}`, () => said(text).length >= more, ms).catch((error) => {
      throw new Error(`${error}\n${lines.slice(-40).join('\n')}`)
    })
  return { child, node, said, until }
}
