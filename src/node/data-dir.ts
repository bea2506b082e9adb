import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { diskFault } from '../lib/disk-fault.ts'
import { messageOf, NodeError } from '../lib/errors.ts'
import { makeFolder } from '../lib/make-folder.ts'

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
    await makeFolder(path, 0o700)
    await tryWriting(join(path, `.probe-${process.pid}`))
  } catch (error) {
    throw new NodeError<DataDirFault>(
      'data-dir-unusable',
      `the data folder ${path} cannot be used, ${diskFault(error) ?? messageOf(error)}: fix that, or give another with -dataDir`,
      { cause: error },
    )
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
