import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it. Node.js's own `recursive` tries for ever where the file system makes no folders and
 * says that the path does not exist, as automounters and /proc do.
 */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  try {
    await makeOneFolder(path, mode)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path), mode)
    await makeOneFolder(path, mode)
  }
}

async function makeOneFolder(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST' && (await stat(path)).isDirectory()
    if (!exists) throw error
  }
}
