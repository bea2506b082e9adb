import { closeSync, openSync, readSync } from 'node:fs'
import type { Log } from '../../../lib/log.ts'

/** The oldest driver whose encoders the FFmpeg that comes with this node opens. */
export const NEEDED_DRIVER = '520.56.06'

/** The driver's version file. */
const VERSION_FILE = '/proc/driver/nvidia/version'
const READ_BYTES = 4096

/** Logs which driver is installed and which is needed to encode. */
export function tellDriver(log: Log, file: string = VERSION_FILE): void {
  const installed = installedDriver(file)
  const facts = { installed, neededToEncode: NEEDED_DRIVER }
  if (installed === null) log.warn('found no Nvidia driver', { ...facts, file })
  else if (isOlder(installed, NEEDED_DRIVER)) log.warn('Nvidia driver is too old to encode: update it', facts)
  else log.info('Nvidia driver', facts)
}

/** The version of the Nvidia driver that the kernel has loaded, by the driver's own file; null where there is none. */
export function installedDriver(file: string = VERSION_FILE): string | null {
  try {
    return /^NVRM version:.*?\s(\d+(?:\.\d+)+)\s/m.exec(headOf(file))?.[1] ?? null
  } catch {
    return null
  }
}

function headOf(file: string): string {
  const opened = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(READ_BYTES)
    return bytes.toString('latin1', 0, readSync(opened, bytes))
  } finally {
    closeSync(opened)
  }
}

function isOlder(version: string, other: string): boolean {
  const [parts, others] = [version, other].map((text) => text.split('.').map(Number))
  for (const [index, part] of others!.entries()) {
    const difference = (parts![index] ?? 0) - part
    if (difference !== 0) return difference < 0
  }
  return false
}
