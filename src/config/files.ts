import { readFileSync, statSync, writeFileSync } from 'node:fs'

/** Settings, passwords and price lists are small; a larger file is something else. */
const MAX_FILE_BYTES = 4 * 1024 * 1024

/**
 * The text of a readable, regular, non-empty file; null for anything else. The node's implementation of
 * `Sources.readText`.
 */
export function readTextFile(path: string): string | null {
  try {
    const stat = statSync(path)
    const fits = stat.isFile() && stat.size > 0 && stat.size <= MAX_FILE_BYTES
    return fits ? readFileSync(path, 'utf8') : null
  } catch {
    return null
  }
}

/** Creates a file that its owner alone can read. Throws a sentence where it cannot, and where there is one already. */
export function writeNewFile(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EEXIST')
      throw new Error(`${path} is there already, and is not overwritten: name another file`)
    throw new Error(`${path} could not be written: ${message}`, { cause: error })
  }
}
