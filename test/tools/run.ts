import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { LAYERS, type Layer } from './layers.ts'

/**
 * Runs tests with the flags of the node itself: `run.ts` all of them, `run.ts fast e2e` those layers, `run.ts FILE…` those
 * files. Options of `node --test` may stand among them; `--long` lifts the limits of time.
 */

/** Longer than any test takes on a busy machine. */
const TEST_TIMEOUT_MS = 300_000
/** Each file is a process of its own: what one has compiled, the next need not. */
const NODE_COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/tests', import.meta.url))
/** Files at once. All wait for timers, sockets, blocks or processes for a good part of their time, fast ones most. */
const FAST_CONCURRENCY = 4
const CONCURRENCY = 2

const wanted = process.argv.slice(2)
const options = wanted.filter((word) => word.startsWith('--') && word !== '--long')
const limits = wanted.includes('--long')
  ? []
  : [`--test-timeout=${TEST_TIMEOUT_MS}`, '--import', './test/tools/file-limit.ts']
const named = wanted.filter((word) => !word.startsWith('--'))
const concurrency =
  named.every((word) => word === 'fast') && named.length > 0 ? FAST_CONCURRENCY : CONCURRENCY
const isLayer = (word: string): word is Layer => Object.hasOwn(LAYERS, word)
const files = (named.length > 0 ? named : Object.keys(LAYERS)).flatMap((word) =>
  isLayer(word) ? LAYERS[word] : [word],
)
// Nodes start from it in half the time.
spawnSync(process.execPath, [fileURLToPath(new URL('../../bin/bundle.ts', import.meta.url))], {
  stdio: 'inherit',
})
const { status } = spawnSync(
  process.execPath,
  [
    ...['--disable-sigusr1', '--disable-warning=ExperimentalWarning', '--max-http-header-size=1048576'],
    ...['--test', `--test-concurrency=${concurrency}`, ...limits, ...options, ...files],
  ],
  { stdio: 'inherit', env: { NODE_COMPILE_CACHE, ...process.env } },
)
process.exitCode = status ?? 1
