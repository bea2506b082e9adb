import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NodeError } from '../../../lib/errors.ts'

/** Why there is no folder for temporary files. */
export type WorkFolderFault = 'no-work-folder'

const PREFIX = 'livepeer-media-'
/** A socket that accepts connections while the folder's process lives; process ids may differ between containers. */
const SIGN_OF_LIFE = 'alive'
/** A folder without that socket is still being made, unless it is older than this. */
const MAKING_MS = 60_000

/** A folder for temporary files. */
export interface WorkFolder {
  readonly path: string
  remove(): Promise<void>
}

/**
 * Makes a folder for temporary files of this process, and removes those of processes that are gone: one that was killed
 * could not clear up after itself. Throws NodeError `no-work-folder` where none can be made.
 */
export async function openWorkFolder(parent = tmpdir()): Promise<WorkFolder> {
  try {
    const path = await mkdtemp(join(parent, PREFIX))
    const sign = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve, reject) => {
      sign.once('error', reject)
      sign.listen(join(path, SIGN_OF_LIFE), resolve)
    })
    sign.unref()
    await removeLeftOvers(parent)
    const remove = async () => {
      sign.close()
      await rm(path, { recursive: true, force: true })
    }
    return { path, remove }
  } catch (error) {
    throw new NodeError<WorkFolderFault>(
      'no-work-folder',
      `cannot create a temporary folder in ${parent} (${(error as Error).message}): set TMPDIR to another folder`,
      { cause: error },
    )
  }
}

/** Removes them as far as permissions allow. */
async function removeLeftOvers(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => [])
  for (const name of names.filter((name) => name.startsWith(PREFIX))) {
    const path = join(parent, name)
    try {
      if (await isLeftOver(path)) await rm(path, { recursive: true, force: true })
    } catch {
      // It belongs to another user, whose node will remove it.
    }
  }
}

async function isLeftOver(path: string): Promise<boolean> {
  switch (await knock(join(path, SIGN_OF_LIFE))) {
    case 'ECONNREFUSED':
      return true
    case 'ENOENT':
      return Date.now() - (await stat(path)).mtimeMs > MAKING_MS
    default:
      return false
  }
}

/** The error code of a connection attempt, or null when it is accepted. */
function knock(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const end = (code: string | null) => {
      socket.destroy()
      resolve(code)
    }
    socket.once('connect', () => end(null))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? 'unknown'))
  })
}
