import { availableParallelism } from 'node:os'
import packageJson from '../../../package.json' with { type: 'json' }
import { readTextFile } from '../../config/files.ts'
import { systemClock } from '../../lib/clock.ts'
import { runBench } from './command.ts'

/** The process of `livepeer_bench`: command line in, exit code out. */

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort())
// The reader has gone away, as after `| head`.
process.stdout.on('error', () => stop.abort())
process.exitCode = await runBench(
  {
    argv: process.argv.slice(2),
    readText: readTextFile,
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    clock: { ...systemClock, now: () => performance.timeOrigin + performance.now() },
    cpus: availableParallelism(),
    version: packageJson.version,
  },
  stop.signal,
)
