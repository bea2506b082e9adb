import { OPERATE_COMMANDS } from './operate-commands.ts'

/** An option of a command. */
export interface CommandOption {
  readonly name: string
  /** What follows it; absent for a switch. */
  readonly value?: string
  /** Whether it may be given several times. */
  readonly isList?: boolean
  readonly about: string
}

/** A command of the program beside running a node. */
export interface Command {
  readonly name: string
  /** What follows the name. */
  readonly takes: string
  readonly about: string
  /** What else there is to say, whole sentences. */
  readonly more?: string
  /** Absent where its own help lists them. */
  readonly options?: readonly CommandOption[]
}

/** Every command of `livepeer`, for its help, its manual page and what shells complete. */
export const COMMANDS: readonly Command[] = [
  { name: 'status', takes: '[HOST:PORT ...]', about: 'shows the state of nodes' },
  {
    name: 'config check',
    takes: 'FLAGS',
    about: 'says what a node with these flags would be, and what it lacks',
  },
  {
    name: 'explain',
    takes: 'CODE|TEXT',
    about: 'says what a problem or a refusal means, and what to change',
  },
  { name: 'tickets list', takes: '[FILTERS]', about: 'shows winning tickets' },
  { name: 'tickets show', takes: 'TICKET', about: 'tells all that became of a winning ticket' },
  { name: 'tickets retry', takes: 'TICKET', about: 'tries at once to redeem a winning ticket' },
  {
    name: 'tickets export',
    takes: '[--from DAY] [--to DAY]',
    about: 'writes the book of what was received, won, redeemed and paid',
  },
  { name: 'health', takes: '[HOST:PORT]', about: 'asks a node whether it can serve' },
  { name: 'drain', takes: 'NODE', about: 'takes a node out of work' },
  { name: 'undrain', takes: 'NODE', about: 'gives a drained node work again' },
  { name: 'certs', takes: 'DIR NODE ...', about: 'makes certificates for -certs' },
  { name: 'store copy', takes: 'FROM TO', about: 'moves a store to another database' },
  ...OPERATE_COMMANDS,
  { name: 'completion', takes: 'bash|zsh|fish', about: 'prints what completes this program in a shell' },
]

/** The help of a command of the table that lists its options. */
export function commandHelp({ about, more, name, options = [], takes }: Command): string {
  const usages = options.map((option) => ({ ...option, usage: optionUsage(option) }))
  const width = Math.max(0, ...usages.map(({ usage }) => usage.length))
  const lines = usages.map(({ about, usage }) => `${usage.padEnd(width)}  ${about}`)
  const sentence = `${about[0]!.toUpperCase()}${about.slice(1)}.${more === undefined ? '' : ` ${more}`}`
  return [
    `Usage: livepeer ${name}${takes === '' || takes === 'OPTIONS' ? '' : ` ${takes}`} [OPTIONS]`,
    ...['', sentence, '', ...lines, ''],
    'The exit code is 0 if it was done, 1 if it was refused or failed, 2 for a command line that cannot be read.',
    '',
  ].join('\n')
}

/** An option with what follows it. */
export function optionUsage({ name, value }: CommandOption): string {
  return value === undefined ? `--${name}` : `--${name} ${value}`
}
