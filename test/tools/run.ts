import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { FAST_SHARES, LAYERS, type Layer } from './layers.ts'

/**
 * Runs tests with the flags of the node itself: `run.ts` all of them, `run.ts fast e2e` those layers, `run.ts FILE…` those
 * files. Options of `node --test` may stand among them; `--long` lifts the limits of time. Fast tests share a process for each
 * share of them; every other file has one of its own.
 */

/** Longer than any test takes on a busy machine. */
const TEST_TIMEOUT_MS = 300_000
/** Each file is a process of its own: what one has compiled, the next need not. */
const NODE_COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/tests', import.meta.url))
/** Files at once. All wait for timers, sockets, blocks or processes for a good part of their time. */
const CONCURRENCY = Math.min(8, 2 * availableParallelism())
const ALL_FAST = Object.keys(FAST_SHARES).map((share) => `test/all-fast/${share}.ts`)

const wanted = process.argv.slice(2)
const options = wanted.filter((word) => word.startsWith('--') && word !== '--long')
const limits = wanted.includes('--long')
  ? []
  : [`--test-timeout=${TEST_TIMEOUT_MS}`, '--import', './test/tools/file-limit.ts']
const preloaded = ['--import', './test/tools/untracked-promises.ts']
const given = wanted.filter((word) => !word.startsWith('--'))
const named = given.length > 0 ? given : Object.keys(LAYERS)
const isLayer = (word: string): word is Layer => Object.hasOwn(LAYERS, word)
const paths = named.flatMap((word) => (word === 'fast' ? ALL_FAST : isLayer(word) ? LAYERS[word] : [word]))

// Nodes start from it in half the time.
spawnSync(process.execPath, [fileURLToPath(new URL('../../bin/bundle.ts', import.meta.url))], {
  stdio: 'inherit',
})
const { status } = spawnSync(
  process.execPath,
  [
    ...['--disable-sigusr1', '--disable-warning=ExperimentalWarning', '--max-http-header-size=1048576'],
    ...['--test', ...limits, ...preloaded, ...options, `--test-concurrency=${CONCURRENCY}`, ...paths],
  ],
  { stdio: 'inherit', env: { NODE_COMPILE_CACHE, ...process.env } },
)
process.exitCode = status === 0 ? 0 : 1
