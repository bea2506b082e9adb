import { NodeError } from '../../../lib/errors.ts'
import { workerFilter } from './seccomp.ts'
import { filterSystemCalls } from './syscalls.ts'

/** What a worker may still do. */
export interface SealOptions {
  /** Whether it may make local sockets, as drivers of GPUs do. */
  readonly allowsLocalSockets: boolean
  /** Whether it may become another program. */
  readonly allowsExecution: boolean
}

/**
 * From here on this process starts no other, reaches no network and no other process; a second call can only take away
 * more. Throws what the system says.
 */
export function seal(options: SealOptions): void {
  const { arch, pid } = process
  const filter = workerFilter({ arch, pid, ...options })
  if (!filter) throw new NodeError<'system-call'>('system-call', `no filter is known for ${arch}`)
  filterSystemCalls(filter)
}
