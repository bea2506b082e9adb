import { mkdir, open, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { diskFault } from '../lib/disk-fault.ts'
import { messageOf, NodeError } from '../lib/errors.ts'

/** As much as a node writes at its start. */
const PROBE_BYTES = 64 * 1024

/** Why the data folder cannot be used. */
export type DataDirFault = 'data-dir-unusable'

/**
 * Makes the data folder, readable by its owner only, and checks that files can be written in it. Throws NodeError
 * `data-dir-unusable` with a sentence that names the folder and the cause.
 */
export async function openDataDir(path: string): Promise<void> {
  try {
    await makeFolder(path)
    await tryWriting(join(path, `.probe-${process.pid}`))
  } catch (error) {
    throw new NodeError<DataDirFault>(
      'data-dir-unusable',
      `the data folder ${path} cannot be used, ${diskFault(error) ?? messageOf(error)}: fix that, or give another with -dataDir`,
      { cause: error },
    )
  }
}

/**
 * Makes a folder and those above it. Node.js's own `recursive` tries for ever where the file system makes no folders and
 * says that the path does not exist, as automounters and /proc do.
 */
async function makeFolder(path: string): Promise<void> {
  try {
    await makeOneFolder(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await makeOneFolder(path)
  }
}

async function makeOneFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST' && (await stat(path)).isDirectory()
    if (!exists) throw error
  }
}

async function tryWriting(file: string): Promise<void> {
  const handle = await open(file, 'w', 0o600)
  try {
    await handle.write(new Uint8Array(PROBE_BYTES))
    await handle.datasync()
  } finally {
    await handle.close()
    await unlink(file)
  }
}
