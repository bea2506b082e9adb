import { parseArgs } from 'node:util'
import { soakEngine } from './soak-engine.ts'

/** `npm run soak -- NAME [--minutes N]`: a long run; its last line is one JSON object. */

const MAX_MINUTES = 7 * 24 * 60
const USAGE = 'npm run soak -- engine [--minutes N], N at least 0.5, default 30'

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort())

const minutes = minutesOf(process.argv.slice(2))
if (minutes === null) {
  console.error(USAGE)
  process.exitCode = 2
} else {
  const outcome = await soakEngine(minutes, stop.signal)
  console.log(JSON.stringify(outcome))
  if (outcome.failed > 0) process.exitCode = 1
}

function minutesOf(args: readonly string[]): number | null {
  try {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { minutes: { type: 'string', default: '30' } },
    })
    const value = Number(values.minutes)
    return positionals.join() === 'engine' && value >= 0.5 && value <= MAX_MINUTES ? value : null
  } catch {
    return null
  }
}
