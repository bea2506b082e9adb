import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { escaped } from '../../lib/printable.ts'
import { eitherDash, usageFault } from '../command-words.ts'
import { ANSWER_TIMEOUT_MS, addressOf, fetchFrom, silenceOf, textOf, tokenOf } from '../control-target.ts'
import { type NodeAnswer, plain, readAnswer } from './answer.ts'
import { oncePerStore } from './clusters.ts'
import { type LuckBook, luckBookIn } from './luck.ts'
import { screenOf } from './screen.ts'

/** The default control ports of nodes; 7937 is for a second orchestrator. */
export const USUAL_PORTS: readonly number[] = [7935, 7937, 5935, 6935, 4935, 2935]
const DEFAULT_INTERVAL_SECONDS = 2
/** The screen waits no longer for a book, from a database that may not answer: without it, it says nothing of luck. */
const BOOK_TIMEOUT_MS = 1_500
const MAX_INTERVAL_SECONDS = 3_600
const MAX_ADDRESSES = 100

const HELP = `Usage: livepeer status [--watch [--interval SECONDS]] [--json] [--token TEXT|FILE] [HOST:PORT ...]

Shows the state of an operator's nodes: what they earned and with what luck, who redeems, who rewards, what is pending,
what was lost and why.

HOST:PORT is the control API of a node, its -cliAddr; a port alone is on this machine; http and https URLs work too.
Without any, the usual ports of this machine are tried (${USUAL_PORTS.join(', ')}), and the nodes that answer are shown.

  --watch             redraw the screen again and again, until Ctrl-C; into a pipe, one screen after the other
  --interval SECONDS  the time between two screens of --watch, 1 to ${MAX_INTERVAL_SECONDS}; ${DEFAULT_INTERVAL_SECONDS} by default
  --json              print what the nodes answered
  --token TEXT|FILE   the -cliToken of the nodes, or a file with it (environment: LP_CLITOKEN)

The exit code is 0 when all is well, 1 when something needs attention, 2 for a command line that cannot be read.
`

/** The command line, and where the output goes. */
export interface StatusEnvironment {
  /** Without the program's name and the word `status`. */
  readonly argv: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
  /** The text of a readable, non-empty, regular file; null for anything else. */
  readonly readText: (path: string) => string | null
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
  /** The size of the terminal; null where there is none. */
  readonly terminal: () => { readonly rows: number; readonly columns: number } | null
  readonly now: () => number
}

interface Options {
  readonly watch: boolean
  readonly intervalMs: number
  readonly json: boolean
  readonly token: string
  /** Base URLs by the name shown. */
  readonly addresses: ReadonlyMap<string, string>
  /** Whether the addresses are only the usual ports, where there may be no node. */
  readonly isGuess: boolean
}

/** Runs `livepeer status`. Returns the exit code. */
export async function runStatus(env: StatusEnvironment, signal: AbortSignal): Promise<number> {
  let options: Options | null
  try {
    options = readOptions(env)
  } catch (error) {
    env.writeError(`${usageFault(error)}: livepeer status --help explains\n`)
    return 2
  }
  if (!options) {
    env.write(HELP)
    return 0
  }
  return options.watch ? watch(options, env, signal) : show(options, env, signal)
}

/** Shows one screen after the other until the signal is aborted, and leaves the terminal as it was. */
async function watch(options: Options, env: StatusEnvironment, signal: AbortSignal): Promise<number> {
  const isTerminal = env.terminal() !== null
  if (isTerminal) env.write(HIDE_CURSOR)
  try {
    while (!signal.aborted) {
      await show(options, env, signal)
      await sleep(options.intervalMs, undefined, { signal }).catch(() => {})
    }
    return 0
  } finally {
    if (isTerminal) env.write(SHOW_CURSOR)
  }
}

const HIDE_CURSOR = '\x1b[?25l'
const SHOW_CURSOR = '\x1b[?25h'

/** Null when help is asked for. Throws what is wrong, as one sentence. */
function readOptions(env: StatusEnvironment): Options | null {
  const { positionals, values } = parseArgs({
    args: eitherDash(env.argv),
    allowPositionals: true,
    options: {
      watch: { type: 'boolean', default: false },
      interval: { type: 'string' },
      json: { type: 'boolean', default: false },
      token: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return null
  if (values.watch && values.json) throw new Error('--watch and --json do not go together')
  if (values.interval !== undefined && !values.watch) throw new Error('--interval goes with --watch')
  if (positionals.length > MAX_ADDRESSES) throw new Error(`at most ${MAX_ADDRESSES} addresses can be asked`)
  const token = tokenOf(values.token, env)
  const addresses = positionals.length > 0 ? positionals : USUAL_PORTS.map(String)
  return {
    ...{ watch: values.watch, json: values.json, token },
    intervalMs: intervalOf(values.interval),
    addresses: new Map(addresses.map(addressOf)),
    isGuess: positionals.length === 0,
  }
}

/** Throws for an interval out of bounds. */
function intervalOf(text = String(DEFAULT_INTERVAL_SECONDS)): number {
  const seconds = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : 0
  if (seconds >= 1 && seconds <= MAX_INTERVAL_SECONDS) return seconds * 1_000
  throw new Error(`--interval is a number of seconds from 1 to ${MAX_INTERVAL_SECONDS}, not ${plain(text)}`)
}

async function show(options: Options, env: StatusEnvironment, signal: AbortSignal): Promise<number> {
  const asked = await Promise.all(
    [...options.addresses].map(([address, url]) => ask(address, url, options.token, env.now(), signal)),
  )
  // Most of the usual ports are free, and other programs may listen on some.
  const known = options.isGuess
    ? asked.filter(({ answer, isFree }) => answer.kind !== 'stranger' && !isFree)
    : asked
  const answers = known.map(({ answer }) => answer)
  const books = options.json ? new Map() : await booksOf(answers, options, signal)
  if (options.watch && signal.aborted) return 0
  const screen = screenOf(answers, env.now(), books)
  if (options.json) env.write(printableJson(known.map(rawOf)))
  else {
    const text = known.length === 0 ? noNode(options) : screen.text
    env.write(options.watch ? drawn(text, env.terminal()) : text)
  }
  return screen.needsAttention || known.length === 0 ? 1 : 0
}

function noNode({ addresses }: Options): string {
  return `no node answers at the usual control ports of this machine (${[...addresses.keys()].join(', ')}): start one, or give the HOST:PORT of its -cliAddr\n`
}

interface Asked {
  readonly answer: NodeAnswer
  readonly body: string
  /** Whether nothing listens there. */
  readonly isFree: boolean
}

async function ask(
  address: string,
  url: string,
  token: string,
  atMs: number,
  signal: AbortSignal,
): Promise<Asked> {
  try {
    const response = await fetchFrom({ url, token }, '/status', {
      ...{ method: 'GET', signal, timeoutMs: ANSWER_TIMEOUT_MS },
    })
    const body = await textOf(response)
    const answer = readAnswer(
      address,
      { httpStatus: response.status, body },
      { atMs, withToken: token !== '' },
    )
    return { answer, body, isFree: false }
  } catch (error) {
    const cause = error instanceof Error ? error.cause : null
    const isFree = cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
    return { answer: { address, kind: 'silent', why: reasonOf(error) }, body: '', isFree }
  }
}

/** The books of nodes that keep tickets, by their addresses: each store is asked once. What does not answer has none. */
async function booksOf(
  answers: readonly NodeAnswer[],
  { addresses, token }: Options,
  signal: AbortSignal,
): Promise<Map<string, LuckBook>> {
  const nodes = answers.filter((answer) => answer.kind === 'status')
  const keepers = oncePerStore(nodes).filter(({ status: { tickets } }) => tickets && tickets.received > 0)
  const found = await Promise.all(
    keepers.map(async ({ address }) => {
      const url = addresses.get(address)!
      try {
        const response = await fetchFrom({ url, token }, '/ledger', {
          ...{ method: 'GET', signal, timeoutMs: BOOK_TIMEOUT_MS },
        })
        const book = response.status === 200 ? luckBookIn(await textOf(response)) : null
        return book ? [[address, book] as const] : []
      } catch {
        return []
      }
    }),
  )
  return new Map(found.flat())
}

function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return `no answer within ${ANSWER_TIMEOUT_MS / 1000} s`
  }
  return silenceOf(error)
}

/** Indented JSON without control characters that a terminal would obey. */
function printableJson(value: unknown): string {
  const lines = JSON.stringify(value, null, 2).split('\n')
  return lines.map((line) => `${escaped(line)}\n`).join('')
}

function rawOf({ answer, body }: Asked): Record<string, unknown> {
  const { address } = answer
  if (answer.kind === 'status') return { address, status: JSON.parse(body) }
  return { address, error: answer.kind === 'no-token' ? 'it asks for a token' : answer.why }
}

/** The screen drawn over the last one; what does not fit the terminal is cut off. */
function drawn(text: string, terminal: ReturnType<StatusEnvironment['terminal']>): string {
  if (terminal === null) return `${text}\n`
  const { columns, rows } = terminal
  // A line that the terminal wrapped would take more than its row.
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => (line.length > columns ? `${line.slice(0, Math.max(0, columns - 1))}…` : line))
  const room = Math.max(2, rows - 1)
  const fit =
    lines.length <= room ? lines : [...lines.slice(0, room - 1), '… (the rest does not fit the terminal)']
  return `\x1b[H${fit.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`
}
