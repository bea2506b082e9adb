import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { LAYERS, type Layer } from './layers.ts'

/**
 * Runs tests with the flags of the node itself: `run.ts` all of them, `run.ts fast e2e` those layers, `run.ts FILE…` those
 * files. Options of `node --test` may stand among them; `--long` lifts the limits of time.
 *
 * All of them run in two lanes: whole nodes, which wait for blocks and timers for much of their time, and beside them most
 * of what computes, whose output follows at the end.
 */

/** Longer than any test takes on a busy machine. */
const TEST_TIMEOUT_MS = 300_000
/** Each file is a process of its own: what one has compiled, the next need not. */
const NODE_COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/tests', import.meta.url))
/** Files at once. All wait for timers, sockets, blocks or processes for a good part of their time. */
const CONCURRENCY = 2
/** The layers that run beside the others. */
const BESIDE: readonly string[] = ['fast', 'parts']
/** Beside whole nodes one at a time, so that two cores are not asked for more than they have. */
const CONCURRENCY_BESIDE = 1

const wanted = process.argv.slice(2)
const options = wanted.filter((word) => word.startsWith('--') && word !== '--long')
const limits = wanted.includes('--long')
  ? []
  : [`--test-timeout=${TEST_TIMEOUT_MS}`, '--import', './test/tools/file-limit.ts']
const named = wanted.filter((word) => !word.startsWith('--'))
const isLayer = (word: string): word is Layer => Object.hasOwn(LAYERS, word)
const children = new Set<ChildProcess>()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    for (const child of children) child.kill(signal)
  })

// Nodes start from it in half the time.
spawnSync(process.execPath, [fileURLToPath(new URL('../../bin/bundle.ts', import.meta.url))], {
  stdio: 'inherit',
})
const passed = named.length > 0 ? await lane(named) : await allLayers()
process.exitCode = passed ? 0 : 1

async function allLayers(): Promise<boolean> {
  const output: Buffer[] = []
  const others = Object.keys(LAYERS).filter((layer) => !BESIDE.includes(layer))
  const lanes = await Promise.all([lane(others), lane(BESIDE, output)])
  process.stdout.write(Buffer.concat(output))
  return lanes.every(Boolean)
}

/**
 * Runs layers or files; fast files share one process, all others have one each. With `kept`, beside others and with the
 * output there. Resolves to whether all passed.
 */
async function lane(words: readonly string[], kept: Buffer[] | null = null): Promise<boolean> {
  const isFast = (word: string) => word === 'fast'
  const isolated = words.filter((word) => !isFast(word))
  const runs = [
    ...(words.some(isFast) ? [['--test-isolation=none', ...LAYERS.fast]] : []),
    ...(isolated.length > 0
      ? [
          [
            `--test-concurrency=${kept ? CONCURRENCY_BESIDE : CONCURRENCY}`,
            ...isolated.flatMap((word) => (isLayer(word) ? LAYERS[word] : [word])),
          ],
        ]
      : []),
  ]
  let passed = true
  for (const run of runs) passed = (await runTests(run, kept)) && passed
  return passed
}

async function runTests(args: readonly string[], kept: Buffer[] | null): Promise<boolean> {
  const child = spawn(
    process.execPath,
    [
      ...['--disable-sigusr1', '--disable-warning=ExperimentalWarning', '--max-http-header-size=1048576'],
      ...['--test', ...limits, ...options, ...args],
    ],
    {
      stdio: kept ? ['ignore', 'pipe', 'pipe'] : 'inherit',
      env: { NODE_COMPILE_CACHE, ...process.env },
    },
  )
  children.add(child)
  for (const stream of kept ? [child.stdout, child.stderr] : [])
    stream?.on('data', (chunk: Buffer) => kept?.push(chunk))
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(1))
    child.once('close', resolve)
  })
  children.delete(child)
  return code === 0
}
