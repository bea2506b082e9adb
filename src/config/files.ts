import { readFileSync, statSync } from 'node:fs'

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
