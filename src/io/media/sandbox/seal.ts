import { NodeError } from '../../../lib/errors.ts'
import { workerFilter } from './seccomp.ts'
import { filterSystemCalls } from './syscalls.ts'

/** What a worker may still do after sealing. */
export interface SealOptions {
  /** Whether it may create local sockets, as GPU drivers do. */
  readonly allowsLocalSockets: boolean
  /** Whether it may execute another program. */
  readonly allowsExecution: boolean
}

/**
 * Keeps this process from starting others and from reaching the network or other processes. Further calls can only
 * restrict it more. Throws the system's error.
 */
export function seal(options: SealOptions): void {
  const { arch, pid } = process
  const filter = workerFilter({ arch, pid, ...options })
  if (!filter) throw new NodeError<'system-call'>('system-call', `no filter is known for ${arch}`)
  filterSystemCalls(filter)
}
