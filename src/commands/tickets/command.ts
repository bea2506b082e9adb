import { parseArgs } from 'node:util'
import { messageOf } from '../../lib/errors.ts'
import { eitherDash, usageFault } from '../command-words.ts'
import { ControlClient } from '../control-client.ts'
import { addressOf, tokenOf } from '../control-target.ts'
import { plain } from '../status/answer.ts'
import {
  type LedgerDay,
  type LedgerLine,
  type ListedTicket,
  ledger,
  retried,
  ticketList,
  ticketStory,
} from './answers.ts'
import { csvOf, DAY_COLUMNS, LINE_COLUMNS, TICKET_COLUMNS } from './csv.ts'
import { listText, storyText } from './text.ts'

const DAY_MS = 86_400_000
/** The days that are asked for at once: an answer has a bound, and a day as many lines as there are gateways. */
const DAYS_AT_ONCE = 7
const USUAL_DAYS = 30
const MAX_DAYS = 3_660
const MAX_PAGE = 500
const USUAL_LIMIT = 100
const MAX_LIMIT = 100_000
const DEFAULT_PORT = '7935'

const HELP = `Usage: livepeer tickets list [FILTERS] [--limit N] [--csv|--json]
       livepeer tickets show TICKET [--json]
       livepeer tickets retry TICKET [--json]
       livepeer tickets export [--from DAY] [--to DAY] [--by gateway|day] [--csv|--json]

Shows the winning tickets of a node, what became of each, and the book of what they came to.

list    winning tickets, the newest first
  --state STATE     open, submitted, delivered, redeemed or refused; waiting is the first three
  --reason REASON   why they are open or refused, such as underfunded
  --sender ADDRESS  the gateway that paid them
  --within BLOCKS   only those that can be redeemed for at most so many further L1 blocks
  --limit N         how many, at most ${MAX_LIMIT}; ${USUAL_LIMIT} by default
show    one ticket's whole story, with its transactions
retry   tries at once to redeem a ticket, or to hand it over
export  the book: expected value, won, redeemed, fees and gas, in wei
  --from DAY, --to DAY  as YYYY-MM-DD in UTC; the last ${USUAL_DAYS} days by default
  --by gateway|day      a line for each gateway on each day, the default, or one for each day with all gas

TICKET              the hash of a ticket, as list shows it
--node HOST:PORT    the control API of the node, its -cliAddr; a port alone is on this machine; ${DEFAULT_PORT} by default
--token TEXT|FILE   the -cliToken of the node, or a file with it (environment: LP_CLITOKEN)

The exit code is 0 when it is done, 1 if that failed, 2 for a command line that cannot be read.
`

/** The command line, and where the output goes. */
export interface TicketsEnvironment {
  /** Without the program's name and the word `tickets`. */
  readonly argv: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
  /** The text of a readable, non-empty, regular file; null for anything else. */
  readonly readText: (path: string) => string | null
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
  readonly now: () => number
}

interface Options {
  readonly client: ControlClient
  readonly name: string
  readonly format: 'text' | 'csv' | 'json'
  readonly run: (options: Options, env: TicketsEnvironment, signal: AbortSignal) => Promise<void>
}

/** Runs `livepeer tickets`. Returns the exit code. */
export async function runTickets(env: TicketsEnvironment, signal: AbortSignal): Promise<0 | 1 | 2> {
  let options: Options | null
  try {
    options = readOptions(env)
  } catch (error) {
    env.writeError(`${usageFault(error)}: livepeer tickets --help explains\n`)
    return 2
  }
  if (!options) {
    env.write(HELP)
    return 0
  }
  try {
    await options.run(options, env, signal)
    return 0
  } catch (error) {
    env.writeError(`${options.name}: ${messageOf(error)}\n`)
    return 1
  }
}

const FLAGS = {
  list: ['state', 'reason', 'sender', 'within', 'limit', 'csv'],
  show: [],
  retry: [],
  export: ['from', 'to', 'by', 'csv'],
} as const
type Subcommand = keyof typeof FLAGS

type Values = Readonly<Partial<Record<string, string | boolean>>>

/** Null when help is asked for. Throws what is wrong, as one sentence. */
function readOptions(env: TicketsEnvironment): Options | null {
  const text = { type: 'string' } as const
  const { positionals, values } = parseArgs({
    args: eitherDash(env.argv),
    allowPositionals: true,
    options: {
      ...{ state: text, reason: text, sender: text, within: text, limit: text },
      ...{ from: text, to: text, by: text, node: text, token: text },
      ...{ csv: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    },
  })
  if (values.help) return null
  const [command, ...words] = positionals
  if (command === undefined) throw new Error('livepeer tickets takes list, show, retry or export')
  if (!(command in FLAGS)) throw new Error(`livepeer tickets knows no ${plain(command)}`)
  refuseOthers(command as Subcommand, values)
  if (values.csv && values.json) throw new Error('--csv and --json do not go together')
  const [name, url] = addressOf(values.node ?? DEFAULT_PORT)
  const run = commandOf(command as Subcommand, words, values, env)
  return {
    client: new ControlClient({ url, token: tokenOf(values.token, env) }),
    ...{ name: plain(name), format: values.csv ? 'csv' : values.json ? 'json' : 'text', run },
  }
}

function refuseOthers(command: Subcommand, values: Values): void {
  const known: readonly string[] = [...FLAGS[command], 'json', 'node', 'token']
  const other = Object.keys(values).find((name) => !known.includes(name))
  if (other !== undefined) throw new Error(`--${other} does not go with livepeer tickets ${command}`)
}

function commandOf(
  command: Subcommand,
  words: readonly string[],
  values: Values,
  { now }: TicketsEnvironment,
): Options['run'] {
  const text = (name: string) => values[name] as string | undefined
  if (command === 'list' || command === 'export') {
    if (words.length > 0) throw new Error(`livepeer tickets ${command} takes no ${plain(words[0]!)}`)
    if (command === 'list') {
      const limit = numberOf('limit', text('limit') ?? String(USUAL_LIMIT), MAX_LIMIT)
      const filter = ['state', 'reason', 'sender', 'within'].flatMap((name) => {
        const value = text(name)
        return value === undefined ? [] : [[name, value] as const]
      })
      return (...of) => list(new Map(filter), limit, ...of)
    }
    const by = text('by') ?? 'gateway'
    if (by !== 'gateway' && by !== 'day') throw new Error(`--by is gateway or day, not ${plain(by)}`)
    const to = dayOf('to', text('to')) ?? Math.floor(now() / DAY_MS)
    const from = dayOf('from', text('from')) ?? to - USUAL_DAYS + 1
    if (from > to) throw new Error('--from is later than --to')
    if (to - from >= MAX_DAYS) throw new Error(`at most ${MAX_DAYS} days can be exported at once`)
    return (...of) => exportBook({ from, to, by }, ...of)
  }
  const [ticket = '', ...others] = words
  if (others.length > 0 || !/^0x[0-9a-fA-F]{64}$/.test(ticket)) {
    throw new Error(`livepeer tickets ${command} takes the hash of one ticket, 0x and 64 hexadecimal digits`)
  }
  return command === 'show' ? (...of) => show(ticket, ...of) : (...of) => retry(ticket, ...of)
}

/** Reads page after page, up to the limit. */
async function list(
  filter: ReadonlyMap<string, string>,
  limit: number,
  { client, format }: Options,
  { write }: TicketsEnvironment,
  signal: AbortSignal,
): Promise<void> {
  const tickets: ListedTicket[] = []
  let next: string | null = null
  do {
    const query = new URLSearchParams([...filter])
    query.set('limit', String(Math.min(MAX_PAGE, limit - tickets.length)))
    if (next !== null) query.set('after', next)
    const page = await client.read(`/tickets?${query}`, ticketList, signal)
    tickets.push(...page.tickets)
    next = page.tickets.length > 0 ? page.next : null
  } while (next !== null && tickets.length < limit)
  if (format === 'json') write(json(tickets))
  else write(format === 'csv' ? csvOf(TICKET_COLUMNS, tickets) : listText(tickets, next !== null))
}

async function show(
  ticket: string,
  { client, format }: Options,
  { write }: TicketsEnvironment,
  signal: AbortSignal,
): Promise<void> {
  const told = await client.read(`/ticket?ticket=${ticket}`, ticketStory, signal)
  write(format === 'json' ? json(told) : storyText(told))
}

async function retry(
  ticket: string,
  { client, format }: Options,
  { write }: TicketsEnvironment,
  signal: AbortSignal,
): Promise<void> {
  const done = await client.change('/tickets/retry', { ticket }, retried, signal)
  write(
    format === 'json'
      ? json(done)
      : `${done.ticket} is tried again; livepeer tickets show says what comes of it\n`,
  )
}

/** The book of some days, a few at a time. */
async function exportBook(
  { by, from, to }: { readonly from: number; readonly to: number; readonly by: 'gateway' | 'day' },
  { client, format }: Options,
  { write }: TicketsEnvironment,
  signal: AbortSignal,
): Promise<void> {
  const lines: LedgerLine[] = []
  const days: LedgerDay[] = []
  for (let first = from; first <= to; first += DAYS_AT_ONCE) {
    const last = Math.min(to, first + DAYS_AT_ONCE - 1)
    const query = `from=${nameOf(first)}&to=${nameOf(last)}`
    const book = await client.read(`/ledger?${query}`, ledger, signal)
    lines.push(...book.lines)
    days.push(...book.days)
  }
  if (format === 'json') write(json(by === 'day' ? days : lines))
  else write(by === 'day' ? csvOf(DAY_COLUMNS, days) : csvOf(LINE_COLUMNS, lines))
}

function json(value: unknown): string {
  return `${JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? each.toString() : each), 2)}\n`
}

function numberOf(name: string, text: string, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (value >= 1 && value <= most) return value
  throw new Error(`--${name} is a number from 1 to ${most}, not ${plain(text)}`)
}

function dayOf(name: string, text: string | undefined): number | null {
  if (text === undefined) return null
  const ms = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(ms) || nameOf(ms / DAY_MS) !== text) {
    throw new Error(`--${name} is a day as YYYY-MM-DD, not ${plain(text)}`)
  }
  return ms / DAY_MS
}

function nameOf(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10)
}
