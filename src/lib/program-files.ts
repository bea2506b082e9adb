import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const OWN = fileURLToPath(import.meta.url)
const EXTENSION = OWN.endsWith('.ts') ? '.ts' : '.js'

/** The folder of all programs: `src`, or `dist` where the node runs from its bundle, whose files lie elsewhere. */
export const PROGRAMS = folderOf(`main${EXTENSION}`)

/** A program that runs in a process of its own, by its path in `src` without the extension. */
export function programFile(path: string): string {
  return join(PROGRAMS, `${path}${EXTENSION}`)
}

/** The same as a file URL. */
export function programUrl(path: string): URL {
  return pathToFileURL(programFile(path))
}

function folderOf(file: string): string {
  let folder = dirname(OWN)
  while (!existsSync(join(folder, file)) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
}
