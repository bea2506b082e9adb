import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const MEMORY = '/dev/shm'
/** A container may have as little as 64 MiB there. */
const NEEDED_BYTES = 2 ** 31

/**
 * The folder for files that need not survive the machine, only the death of processes: in memory where there is plenty of it,
 * since databases make thousands of files, and else that for temporary files.
 */
export function memoryFolder(): string {
  try {
    const { bavail, bsize } = statfsSync(MEMORY)
    return bavail * bsize >= NEEDED_BYTES ? MEMORY : tmpdir()
  } catch {
    return tmpdir()
  }
}
