import { parseArgs } from 'node:util'
import { eitherDash, usageFault } from './command-words.ts'
import { ANSWER_TIMEOUT_MS, addressOf, fetchFrom, silenceOf } from './control-target.ts'
import { plain } from './status/answer.ts'
import { USUAL_PORTS } from './status/command.ts'

const HELP = `Usage: livepeer health [HOST:PORT]

Asks a node whether it can serve: /healthz of its control API, which needs no token. For health checks of containers.

HOST:PORT is the node's -cliAddr; a port alone is on this machine. Without it, the usual ports of this machine are asked
(${USUAL_PORTS.join(', ')}), and each node that answers has to be healthy.

The exit code is 0 if the node is healthy, 1 if it is not or does not answer, 2 for a command line that cannot be read.
`

/** The command line, and where the output goes. */
export interface HealthEnvironment {
  /** Without the program's name and the word `health`. */
  readonly argv: readonly string[]
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
}

interface Look {
  readonly name: string
  /** Null where nothing answers. */
  readonly status: number | null
  readonly silence: string
}

/** Runs `livepeer health`. Returns the exit code. */
export async function runHealth(env: HealthEnvironment, signal: AbortSignal): Promise<0 | 1 | 2> {
  const { write, writeError } = env
  let asked: readonly [name: string, url: string][]
  let isGuess: boolean
  try {
    const { positionals, values } = parseArgs({
      args: eitherDash(env.argv),
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h', default: false } },
    })
    if (values.help) {
      write(HELP)
      return 0
    }
    if (positionals.length > 1) throw new Error('livepeer health takes the address of one node')
    isGuess = positionals.length === 0
    asked = (isGuess ? USUAL_PORTS.map(String) : positionals).map(addressOf)
  } catch (error) {
    writeError(`${usageFault(error)}: livepeer health --help explains\n`)
    return 2
  }
  const looks = await Promise.all(asked.map(([name, url]) => look(plain(name), url, signal)))
  const answered = looks.filter(({ status }) => status !== null)
  for (const { name, status } of answered) {
    write(`${name} is ${status === 200 ? 'healthy' : `not healthy: it answers ${status}`}\n`)
  }
  if (answered.length === 0) {
    writeError(
      isGuess
        ? `no node answers at the usual ports of this machine (${USUAL_PORTS.join(', ')}): give its -cliAddr\n`
        : looks.map(({ name, silence }) => `${name} does not answer: ${silence}\n`).join(''),
    )
  }
  return answered.length > 0 && answered.every(({ status }) => status === 200) ? 0 : 1
}

async function look(name: string, url: string, signal: AbortSignal): Promise<Look> {
  try {
    const target = { url, token: '' }
    const response = await fetchFrom(target, '/healthz', {
      ...{ method: 'GET', timeoutMs: ANSWER_TIMEOUT_MS, signal },
    })
    await response.body?.cancel()
    return { name, status: response.status, silence: '' }
  } catch (error) {
    return { name, status: null, silence: silenceOf(error) }
  }
}
