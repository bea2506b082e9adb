import { z } from 'zod'
import type { SealOptions } from './seal.ts'
import type { ResourceLimits } from './syscalls.ts'
import type { SandboxView } from './view.ts'

/** The walls around a worker, each independent of the others. */
export const walls = [
  /** Own users, mounts, processes, IPC and network, and a root with only what it needs. */
  'namespaces',
  'Landlock',
  'seccomp',
  'no new privileges',
  'no capabilities',
  'resource limits',
] as const

export type Wall = (typeof walls)[number]

/** The instructions for `confine.ts`. */
export interface ConfineOrder {
  readonly walls: readonly Wall[]
  /** Whether the process that reads this is in new namespaces and makes its root itself. */
  readonly entersRoot: boolean
  readonly view: SandboxView
  readonly limits: ResourceLimits
  readonly seal: Omit<SealOptions, 'allowsExecution'>
  /** Null in a trial. */
  readonly worker: {
    readonly module: string
    readonly args: readonly string[]
    /** The file descriptor of the pipe to the parent. */
    readonly pipe: number
  } | null
}

/** For each wall tried: null, or why it does not stand. */
export type WallReport = Partial<Readonly<Record<Wall, string | null>>>

/** The output of a trial. */
export const reportSchema = z.partialRecord(z.enum(walls), z.string().max(1_000).nullable())

/** How a worker seals itself; null if it does not. */
export type SealOrder = ConfineOrder['seal'] | null
