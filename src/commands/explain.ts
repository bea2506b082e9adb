import { parseArgs } from 'node:util'
import { type Explanation, explanationsOf } from '../domain/explain.ts'
import { messageOf } from '../lib/errors.ts'
import { escaped } from '../lib/printable.ts'

/** Fewer fit a screen; more words narrow them down. */
const MAX_SHOWN = 10
/** A line of a log is shorter. */
const MAX_ASKED = 10_000

const HELP = `Usage: livepeer explain [--json] CODE|TEXT

Says what a problem or a refusal means, whose side it is on, and what to change.

CODE     the code of a problem, as in livepeer status --json or the label of livepeer_problem
TEXT     what a node or a peer says: a line of the log, the text of a refusal, or part of it
--json   as a JSON list of {name, title, side, means, change}

The exit code is 0 if something is known, 1 if nothing is, 2 for a command line that cannot be read.
`

/** The command line, and where the output goes. */
export interface ExplainEnvironment {
  /** Without the program's name and the command. */
  readonly argv: readonly string[]
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
}

/** Runs `livepeer explain`. Returns the exit code. */
export function runExplain({ argv, write, writeError }: ExplainEnvironment): 0 | 1 | 2 {
  let asked: string
  let json: boolean
  try {
    const { positionals, values } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, json: { type: 'boolean' } },
    })
    if (values.help) {
      write(HELP)
      return 0
    }
    asked = positionals.join(' ').slice(0, MAX_ASKED)
    json = values.json ?? false
    if (asked.trim() === '') throw new Error('a code or a text is missing')
  } catch (error) {
    writeError(`${messageOf(error)}; livepeer explain --help shows the options\n`)
    return 2
  }
  const found = explanationsOf(asked)
  if (json) write(`${JSON.stringify(found, null, 2)}\n`)
  else if (found.length > 0) write(textOf(found))
  if (found.length > 0) return 0
  writeError(
    `nothing is known of "${escaped(asked.slice(0, 200))}"; docs/errors.md lists all problems and refusals\n`,
  )
  return 1
}

function textOf(found: readonly Explanation[]): string {
  const more = found.length - MAX_SHOWN
  const shown = found
    .slice(0, MAX_SHOWN)
    .map(
      ({ change, means, name, side, title }) =>
        `${name}${title === null ? '' : `: ${title}`}\n  ${title === null ? 'means' : 'for example'}: ${means}\n` +
        `  who must act: ${SIDES[side]}\n  to change: ${change}\n`,
    )
  return `${shown.join('\n')}${more > 0 ? `\nand ${more} more: ask with more words\n` : ''}`
}

const SIDES: Readonly<Record<Explanation['side'], string>> = {
  operator: 'the operator of this node',
  gateway: 'the gateway',
  orchestrator: 'the orchestrator',
  redeemer: 'the redeemer',
  transcoder: 'the transcoder',
  chain: 'the endpoints of the chain',
  publisher: 'the publisher of the stream',
}
