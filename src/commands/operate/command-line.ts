import { parseArgs } from 'node:util'
import { COMMANDS, type Command } from '../../config/commands.ts'
import { eitherDash, usageFault } from '../command-words.ts'
import { UsageError } from './environment.ts'

/** A command of the table, and what its command line gives it. */
export interface ReadCommand {
  readonly command: Command
  readonly words: readonly string[]
  /** By the option's name; a switch is `true`. */
  readonly options: Readonly<Record<string, string | true>>
  /** Of the options that may be given several times. */
  readonly lists: Readonly<Record<string, readonly string[]>>
}

/**
 * Finds the command that these words begin with among some names, and reads its options. Throws UsageError. Returns null
 * with the command where its help is asked for.
 */
export function readCommand(
  argv: readonly string[],
  names: readonly string[],
): { readonly help: Command } | ReadCommand {
  const command = commandOf(argv, names)
  const rest = argv.slice(command.name.split(' ').length)
  const known = command.options ?? []
  const { positionals, values: read } = parsed(rest, known)
  const values: Readonly<Record<string, unknown>> = read
  if (values.help) return { help: command }
  const options: Record<string, string | true> = {}
  const lists: Record<string, readonly string[]> = {}
  for (const { name } of known) {
    const value = values[name]
    if (value === '') throw new UsageError(`--${name} has no value`)
    if (typeof value === 'string') options[name] = value
    else if (value === true) options[name] = true
    else if (Array.isArray(value)) lists[name] = value.map(String)
  }
  return { command, words: positionals, options, lists }
}

function commandOf(argv: readonly string[], names: readonly string[]): Command {
  const [first = '', second = ''] = argv
  const name = [`${first} ${second}`, first].find((one) => names.includes(one))
  const command = COMMANDS.find((one) => one.name === name)
  if (command) return command
  const seconds = names.flatMap((one) => (one.startsWith(`${first} `) ? [one.split(' ')[1]!] : []))
  const given = second === '' || second.startsWith('-') ? 'nothing' : JSON.stringify(second.slice(0, 40))
  throw new UsageError(`livepeer ${first} is followed by one of ${seconds.join(', ')}, not by ${given}`)
}

function parsed(words: readonly string[], options: NonNullable<Command['options']>) {
  const known = options.map(({ isList = false, name, value }) => {
    const type = value === undefined ? ('boolean' as const) : ('string' as const)
    return [name, { type, multiple: isList }] as const
  })
  try {
    return parseArgs({
      args: eitherDash(words),
      allowPositionals: true,
      options: { ...Object.fromEntries(known), help: { type: 'boolean', short: 'h' } },
    })
  } catch (error) {
    throw new UsageError(usageFault(error), { cause: error })
  }
}
