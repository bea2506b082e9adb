import { open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Puts the directory entry of a new file on disk. */
export async function syncFolderOf(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
