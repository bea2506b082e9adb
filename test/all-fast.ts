import { globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { LAYERS } from './tools/layers.ts'

/** The fast tests, all in this process: starting one for each file would take longer than its tests. */

const root = new URL('../', import.meta.url)
for (const path of globSync([...LAYERS.fast], { cwd: fileURLToPath(root) }).sort()) {
  await import(new URL(path, root).href)
}
