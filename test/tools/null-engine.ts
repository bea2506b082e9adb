import { fileURLToPath } from 'node:url'
import { makeBundle } from '../../bin/make-bundle.ts'
import type { NodeEntry } from '../../devnet/node-process.ts'

const FOLDER = 'dist-null-engine'

/** A node whose transcoding takes no time, in a bundle, from which it starts in half the processor time. */
export async function nullEngineEntry(): Promise<NodeEntry> {
  await makeBundle({ folder: FOLDER, from: 'bench', programs: { main: 'null-engine-node.ts' } })
  return { module: fileURLToPath(new URL(`../../${FOLDER}/main.js`, import.meta.url)) }
}
