import { randomUUID } from 'node:crypto'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { BUNDLED_PROGRAMS } from './programs.ts'

/**
 * Puts the node and what it depends on into a few files of `dist/`, which Node.js loads in half the time that some 1,400
 * modules take. Packages with native code stay where they are. `bin/livepeer` runs it while no source is newer; it is
 * made only where one is.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DIST = `${ROOT}dist`
const NATIVE = ['koffi', 'node-av', 'secp256k1']
/** Optional dependencies, which packages require only when asked to. */
const ABSENT = ['pg-native']
/** Bundled CommonJS asks for the modules of Node.js by `require`. */
const REQUIRE =
  'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);'

const changes = await Promise.all([changedMs(`${ROOT}src`), changedMs(`${ROOT}package-lock.json`)])
const madeMs = await changedMs(`${DIST}/main.js`).catch(() => 0)
if (Math.max(...changes) >= madeMs) await bundle()

async function bundle(): Promise<void> {
  const made = `${DIST}-${randomUUID()}`
  await build({
    absWorkingDir: ROOT,
    entryPoints: BUNDLED_PROGRAMS.map((path) => `src/${path}`),
    outbase: 'src',
    outdir: made,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: [...NATIVE, ...ABSENT],
    banner: { js: REQUIRE },
    // Errors are told apart by name.
    keepNames: true,
    logLevel: 'warning',
  })
  const old = `${made}-old`
  await rename(DIST, old).catch(() => {})
  await rename(made, DIST)
  await rm(old, { recursive: true, force: true })
}

/** When a file, or any file in a folder, was last changed. */
async function changedMs(path: string): Promise<number> {
  const facts = await stat(path)
  if (!facts.isDirectory()) return facts.mtimeMs
  const within = (await readdir(path)).map((name) => changedMs(join(path, name)))
  return Math.max(0, ...(await Promise.all(within)))
}
