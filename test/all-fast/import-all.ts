import { globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { FAST_SHARES } from '../tools/layers.ts'

const root = new URL('../../', import.meta.url)

/** Runs a share of the fast tests in this process. */
export async function importAll(share: keyof typeof FAST_SHARES): Promise<void> {
  for (const path of globSync([...FAST_SHARES[share]], { cwd: fileURLToPath(root) }).sort()) {
    await import(new URL(path, root).href)
  }
}
