import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { messageOf } from '../lib/errors.ts'
import { eitherDash, usageFault } from './command-words.ts'
import { ControlClient } from './control-client.ts'
import { addressOf, type ControlTarget, tokenOf } from './control-target.ts'
import { plain } from './status/answer.ts'

const LOOK_MS = 250

const HELP: Readonly<Record<'drain' | 'undrain', string>> = {
  drain: `Usage: livepeer drain [--token TEXT|FILE] NODE

Takes a node out of work: its health turns red, it takes no new sessions, finishes what runs and closes its port. It goes
on running until it is stopped, and works again after livepeer undrain. Waits until that is done; Ctrl-C ends the waiting
alone.

NODE                the HOST:PORT of the node's control API, its -cliAddr; a port alone is on this machine
--token TEXT|FILE   the -cliToken of the node, or a file with it (environment: LP_CLITOKEN)

The exit code is 0 once the node is drained, 1 if that failed, 2 for a command line that cannot be read.
`,
  undrain: `Usage: livepeer undrain [--token TEXT|FILE] NODE

Gives a node work again that was drained, or is being drained.

NODE                the HOST:PORT of the node's control API, its -cliAddr; a port alone is on this machine
--token TEXT|FILE   the -cliToken of the node, or a file with it (environment: LP_CLITOKEN)

The exit code is 0 once the node works again, 1 if that failed, 2 for a command line that cannot be read.
`,
}

/** The command line, and where the output goes. */
export interface DrainEnvironment {
  readonly command: 'drain' | 'undrain'
  /** Without the program's name and the command. */
  readonly argv: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
  /** The text of a readable, non-empty, regular file; null for anything else. */
  readonly readText: (path: string) => string | null
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
}

interface Target extends ControlTarget {
  readonly name: string
}

const state = z.object({ drain: z.enum(['draining', 'drained']).nullish() })

/** Runs `livepeer drain` or `livepeer undrain`. Returns the exit code. */
export async function runDrain(env: DrainEnvironment, signal: AbortSignal): Promise<0 | 1 | 2> {
  const { command, write, writeError } = env
  let target: Target | null
  try {
    target = readTarget(env)
  } catch (error) {
    writeError(`${usageFault(error)}: livepeer ${command} --help explains\n`)
    return 2
  }
  if (!target) {
    write(HELP[command])
    return 0
  }
  const { name } = target
  try {
    const client = new ControlClient(target)
    let drain = (await client.change(`/${command}`, {}, state, signal)).drain ?? null
    if (command === 'undrain') {
      write(`${name} takes work again\n`)
      return 0
    }
    if (drain === 'draining') write(`${name} takes nothing new and finishes what runs\n`)
    while (drain === 'draining') {
      await sleep(LOOK_MS, undefined, { signal })
      drain = (await client.read('/status', state, signal)).drain ?? null
    }
    if (drain === null) throw new Error('it takes work again: somebody has undrained it')
    write(`${name} is drained\n`)
    return 0
  } catch (error) {
    writeError(signal.aborted ? `${name} goes on draining\n` : `${name}: ${messageOf(error)}\n`)
    return 1
  }
}

/** Null when help is asked for. Throws what is wrong, as one sentence. */
function readTarget(env: DrainEnvironment): Target | null {
  const { positionals, values } = parseArgs({
    args: eitherDash(env.argv),
    allowPositionals: true,
    options: { token: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
  })
  if (values.help) return null
  const [node, ...others] = positionals
  if (node === undefined || others.length > 0) {
    throw new Error(`livepeer ${env.command} takes the address of one node, not ${positionals.length}`)
  }
  const [name, url] = addressOf(node)
  return { name: plain(name), url, token: tokenOf(values.token, env) }
}
