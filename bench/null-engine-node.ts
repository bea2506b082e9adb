import { homedir } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import packageJson from '../package.json' with { type: 'json' }
import { readTextFile } from '../src/config/files.ts'
import { loadSettings } from '../src/config/load-settings.ts'
import { systemClock } from '../src/lib/clock.ts'
import { systemDice } from '../src/lib/dice.ts'
import { messageOf } from '../src/lib/errors.ts'
import { levelOfVerbosity, openLog } from '../src/lib/log.ts'
import { runNode } from '../src/node/node.ts'
import { nullEngine } from './null-engine.ts'

/** The node as `src/main.ts` runs it, with an engine that takes no time. */

const { version } = packageJson
const settings = loadSettings({
  argv: process.argv.slice(2),
  variables: process.env,
  readText: readTextFile,
  homeDir: homedir() || null,
  about: { version, runtime: process.version, arch: process.arch, platform: process.platform },
})
if ('exit' in settings) {
  process.stderr.write(settings.exit.stderr)
  process.exitCode = settings.exit.code
} else {
  const stop = new AbortController()
  const drain = new AbortController()
  process.on('SIGINT', () => stop.abort())
  process.on('SIGTERM', () => drain.abort())
  // What is alive, for benches that ask.
  let looks = 0
  process.on('SIGUSR2', () => {
    setFlagsFromString('--expose-gc')
    runInNewContext('gc')({ type: 'major', execution: 'sync' })
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    process.stdout.write(`\nheap ${++looks}: ${heapUsed} bytes, ${arrayBuffers} in buffers\n`)
  })
  const log = openLog({ level: levelOfVerbosity(settings.verbosity), format: 'pretty' })
  try {
    await runNode(
      settings,
      {
        ...{ version, log, clock: systemClock, dice: systemDice, cpus: 1 },
        ...{ media: nullEngine, prompt: null, drain: drain.signal },
      },
      stop.signal,
    )
  } catch (error) {
    if (!stop.signal.aborted) {
      log.error(messageOf(error), { error })
      process.exitCode = 1
    }
  }
}
