import { randomUUID } from 'node:crypto'
import { copyFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const NATIVE = ['koffi', 'node-av', 'secp256k1']
/** These load files of theirs that lie beside them. */
const WITH_FILES = ['@platformatic/kafka']
/** Packages that stay where they are. */
export const OUTSIDE: readonly string[] = [...NATIVE, ...WITH_FILES]
/** Optional dependencies, which packages require only when asked to. */
const ABSENT = ['pg-native']
/** Bundled CommonJS asks for the modules of Node.js by `require`. */
const REQUIRE =
  'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);'

/**
 * Takes `node:http` by `require`: imported, it shows all that it has, and the library behind `fetch` is loaded for that, which
 * is an eighth of what a command takes.
 */
const plainHttp: Plugin = {
  name: 'plain http',
  setup({ onLoad, onResolve }) {
    const namespace = 'plain-http'
    onResolve({ filter: /^(node:)?http$/ }, ({ kind }) =>
      kind === 'import-statement' ? { path: 'node:http', namespace } : null,
    )
    onLoad({ filter: /./, namespace }, () => ({ contents: 'module.exports = require("node:http")' }))
  },
}

/**
 * Puts programs and what they depend on into a few files of a folder, which Node.js loads in half the time that some 1,400
 * modules take; the first program becomes its `main.js`. Packages with native code or files of their own stay where they
 * are. It is made only where a source is newer.
 */
export async function makeBundle({
  folder,
  from = 'src',
  pages = {},
  programs,
}: {
  /** Beside `src`. */
  readonly folder: string
  /** What the paths of the programs begin with: a folder beside `src`, or `src`. */
  readonly from?: string
  readonly programs: Readonly<Record<string, string>>
  /** Web pages: a folder in the bundle for each, and the folder in `src` with its `index.html`, `main.tsx` and icon. */
  readonly pages?: Readonly<Record<string, string>>
}): Promise<void> {
  const dist = join(ROOT, folder)
  const sources = [...new Set(['src', from, 'package-lock.json'])]
  const changes = await Promise.all(sources.map((path) => changedMs(join(ROOT, path))))
  const madeMs = await changedMs(join(dist, 'main.js')).catch(() => 0)
  if (Math.max(...changes) < madeMs) return
  const made = `${dist}-${randomUUID()}`
  await build({
    absWorkingDir: ROOT,
    entryPoints: Object.entries(programs).map(([out, path]) => ({ out, in: `${from}/${path}` })),
    outdir: made,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: [...OUTSIDE, ...ABSENT],
    plugins: [plainHttp],
    banner: { js: REQUIRE },
    // Errors are told apart by name.
    keepNames: true,
    // The package is a sixth smaller; `keepNames` also keeps those of functions in stack traces.
    minify: true,
    logLevel: 'warning',
  })
  for (const [out, path] of Object.entries(pages)) await makePage(join(ROOT, 'src', path), join(made, out))
  const old = `${made}-old`
  await rename(dist, old).catch(() => {})
  await rename(made, dist)
  await rm(old, { recursive: true, force: true })
}

/** Puts the scripts of a page and what they depend on into a few files beside it. They load nothing from elsewhere. */
async function makePage(source: string, out: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: { main: join(source, 'main.tsx') },
    outdir: out,
    bundle: true,
    splitting: true,
    minify: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2023',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    chunkNames: '[name]-[hash]',
    legalComments: 'linked',
    logLevel: 'warning',
  })
  for (const file of ['index.html', 'icon.svg']) await copyFile(join(source, file), join(out, file))
}

/** When a file, or any file in a folder, was last changed. */
async function changedMs(path: string): Promise<number> {
  const facts = await stat(path)
  if (!facts.isDirectory()) return facts.mtimeMs
  const within = (await readdir(path)).map((name) => changedMs(join(path, name)))
  return Math.max(0, ...(await Promise.all(within)))
}
