import { z } from 'zod'
import type { SealOptions } from './seal.ts'
import type { ResourceLimits } from './syscalls.ts'
import type { SandboxView } from './view.ts'

/** The walls around a worker. Each stands without the others. */
export const walls = [
  /** Users, mounts, processes, IPC and network of its own, and a root with nothing but what it needs. */
  'namespaces',
  'Landlock',
  'seccomp',
  'no new privileges',
  'no capabilities',
  'resource limits',
] as const

export type Wall = (typeof walls)[number]

/** What `confine.ts` is to do. */
export interface ConfineOrder {
  readonly walls: readonly Wall[]
  /** Whether the process that reads this is in fresh namespaces, and makes its root itself. */
  readonly entersRoot: boolean
  readonly view: SandboxView
  readonly limits: ResourceLimits
  readonly seal: Omit<SealOptions, 'allowsExecution'>
  /** Null where the walls are only tried. */
  readonly worker: {
    readonly module: string
    readonly args: readonly string[]
    /** The file descriptor by which it is talked to. */
    readonly pipe: number
  } | null
}

/** For each wall that was tried null, or why it does not stand. */
export type WallReport = Partial<Readonly<Record<Wall, string | null>>>

/** What is printed where the walls are only tried. */
export const reportSchema = z.partialRecord(z.enum(walls), z.string().max(1_000).nullable())

/** What a worker is told of how to close itself; in the place of nothing where it is not to. */
export type SealOrder = ConfineOrder['seal'] | null
