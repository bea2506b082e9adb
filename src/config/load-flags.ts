import { NodeError } from '../lib/errors.ts'
import { maskUrls } from '../lib/mask-url.ts'
import { quoted } from '../lib/printable.ts'
import { flagValue, wanted } from './flag-values.ts'
import {
  type Flag,
  type FlagKind,
  type FlagName,
  type FlagValues,
  flagNamed,
  flagNames,
  flags,
  foreignFlags,
  foreignKind,
  foreignTuningNames,
  isAskedFor,
  oldNames,
} from './flags.ts'
import { nearest } from './nearest.ts'

/** What is wrong: `bad-flag` is the syntax of the command line, `bad-setting` everything else. */
export type SettingsErrorCode = 'bad-flag' | 'bad-setting'

/** The only error of this folder. Its message is one sentence for the operator. */
export class SettingsError extends NodeError<SettingsErrorCode> {
  override name = 'SettingsError'
}

/** The sources of settings. */
export interface Sources {
  /** The arguments, without the program's name. */
  readonly argv: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
  /** The text of a readable, non-empty, regular file; null for anything else. */
  readonly readText: (path: string) => string | null
}

/** How a flag was given. */
export interface GivenFlag {
  /** The user's spelling, for messages: `-ethUrl`, `LP_ETHURL`, `ethUrl in node.conf`. */
  readonly spelled: string
  readonly text: string
}

/** The values of all flags, and which of them were given. */
export interface LoadedFlags {
  readonly values: FlagValues
  readonly given: ReadonlyMap<FlagName, GivenFlag>
  /** -h or -help was found; nothing after it was read. */
  readonly help: boolean
  /** Sentences about settings that are accepted but should be written differently. */
  readonly warnings: readonly string[]
}

/**
 * Reads all flags, in order of precedence: command line, environment, configuration file, defaults. Follows the rules
 * of the Go node's parser (operations.md §1.1), except that words which that parser drops are refused. Throws
 * SettingsError.
 */
export function loadFlags(sources: Sources): LoadedFlags {
  const found = new Map<FlagName, { given: GivenFlag; value: unknown }>()
  const warnings: string[] = []
  const take = (name: FlagName, as: string, last: GivenFlag, fault: SettingsErrorCode) => {
    const flag: Flag = flags[name]
    const before = flag.repeats ? found.get(name)?.given.text : undefined
    const given = before ? { ...last, text: `${before},${last.text}` } : last
    const value = readValue(flags[name].kind, given, fault)
    if (as !== name) warnings.push(`${given.spelled} is an old name: write -${name}`)
    found.set(name, { given, value })
  }

  /** Flags for what this node does not do. */
  const foreign = new Map<string, { readonly given: GivenFlag; readonly fault: SettingsErrorCode }>()
  const passOver = (word: string, given: GivenFlag, fault: SettingsErrorCode) => {
    // The last one on the command line counts, and otherwise the first source that has it.
    if (fault === 'bad-flag' || !foreign.has(word)) foreign.set(word, { given, fault })
  }

  const help = readCommandLine(sources.argv, nodeFlags, (word, as, text) => {
    const name = flagNamed(word)
    const given = { spelled: `-${as}`, text }
    if (name) take(name, as, given, 'bad-flag')
    else passOver(word, given, 'bad-flag')
  })
  if (!help) {
    const before = new Set(found.keys())
    readEnvironment(sources.variables, passOver, (name, as, spelled, text) => {
      if (before.has(name)) return
      if (flagValue(flags[name].kind, text) === undefined) throw badEnvironment(name, spelled, text)
      take(name, as, { spelled, text }, 'bad-setting')
    })
    const path = found.get('config')?.given.text ?? ''
    if (path !== '') {
      const earlier = new Set(found.keys())
      readConfigFile(path, sources.readText, (name, as, line, text) => {
        const given = { spelled: `${as} in line ${line} of ${path}`, text }
        if (!name) passOver(as, given, 'bad-setting')
        else if (!earlier.has(name)) take(name, as, given, 'bad-setting')
      })
    }
  }

  if (!help && foreign.size > 0) {
    for (const [word, { fault, given }] of foreign) refuseIfAskedFor(word, given, fault)
    warnings.push(idleFlags([...foreign.values()].map(({ given }) => given.spelled)))
  }
  return {
    values: valuesOf(found),
    given: new Map([...found].map(([name, { given }]) => [name, given])),
    help,
    warnings,
  }
}

/** A flag's value when it is not given. */
export function defaultOf(flag: Flag): unknown {
  return flag.default === null ? null : flagValue(flag.kind, flag.default)
}

/** The environment variable of a flag (operations.md §1.1). */
export function environmentName(name: string): string {
  return `LP_${name.toUpperCase()}`
}

/** A text for use in a message: in quotes, without control characters and what is secret in URLs, cut when long. */
export function shown(text: string): string {
  const masked = maskUrls(text)
  return quoted(masked.length > 80 ? `${masked.slice(0, 77)}…` : masked)
}

function valuesOf(found: ReadonlyMap<FlagName, { value: unknown }>): FlagValues {
  const entries = flagNames.map((name) => [
    name,
    found.has(name) ? found.get(name)!.value : defaultOf(flags[name]),
  ])
  return Object.fromEntries(entries) as FlagValues
}

/** The flags that a command line may have. */
export interface FlagTable<Name extends string> {
  /** The flag with that name or old name; null if there is none. */
  readonly named: (name: string) => Name | null
  readonly kindOf: (name: Name) => FlagKind
  /** Whether its value must not be printed. */
  readonly isSecret?: (name: Name) => boolean
  /** The message about an unknown name. */
  readonly unknown: (name: string) => string
}

const nodeFlags: FlagTable<string> = {
  named: (name) => flagNamed(name) ?? (foreignKind(name) ? name : null),
  kindOf: (name) => foreignKind(name) ?? flags[flagNamed(name)!].kind,
  isSecret: (name) => 'secret' in (flags[flagNamed(name) ?? 'v'] as Flag),
  unknown: (name) => unknown(`-${name}`, name, '-'),
}

/** Parses the value of a flag. Throws SettingsError with the given code. */
export function readValue(
  kind: FlagKind,
  given: GivenFlag,
  fault: SettingsErrorCode,
): NonNullable<ReturnType<typeof flagValue>> {
  const value = flagValue(kind, given.text)
  if (value === undefined) {
    throw new SettingsError(fault, `${given.spelled} must be ${wanted[kind]}, not ${shown(given.text)}`)
  }
  return value
}

/**
 * Calls `take` for each flag in order, with its name as written and the text of its value. Returns true at -h or -help
 * and stops there. Throws SettingsError.
 */
export function readCommandLine<Name extends string>(
  argv: readonly string[],
  table: FlagTable<Name>,
  take: (name: Name, as: string, text: string) => void,
): boolean {
  let last: Taken = null
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!
    // A backslash before a space at the end of a shell line passes a blank word (operations.md §10 #21).
    if (word.trim() === '') continue
    if (word === '--') {
      const rest = argv.slice(at + 1).find((left) => left.trim() !== '')
      if (rest !== undefined) throw leftOver(rest, null)
      return false
    }
    if (!word.startsWith('-') || word === '-') throw leftOver(word, last)
    const body = word.slice(word.startsWith('--') ? 2 : 1)
    const equals = body.indexOf('=', 1)
    const as = equals < 0 ? body : body.slice(0, equals)
    if (as === '' || as.startsWith('-') || as.startsWith('=')) {
      throw new SettingsError(
        'bad-flag',
        `${shown(word.replace(/=.*/s, '=…'))} is not a flag: a flag is one or two dashes and a name`,
      )
    }
    const name = table.named(as)
    if (!name && (as === 'h' || as === 'help')) return true
    if (!name) throw new SettingsError('bad-flag', table.unknown(as))
    const isBoolean = ['bool', 'tri-bool'].includes(table.kindOf(name))
    last = { as, isSwitch: isBoolean && equals < 0, isSecret: table.isSecret?.(name) ?? false }
    if (equals >= 0) take(name, as, body.slice(equals + 1))
    else if (isBoolean) take(name, as, 'true')
    else if (at + 1 < argv.length) take(name, as, argv[++at]!)
    else throw new SettingsError('bad-flag', `-${as} needs a value`)
  }
  return false
}

/** The flag before a word that belongs to none. */
type Taken = { readonly as: string; readonly isSwitch: boolean; readonly isSecret: boolean } | null

function leftOver(word: string, last: Taken): SettingsError {
  if (last?.isSwitch && flagValue('bool', word) !== undefined) {
    return new SettingsError(
      'bad-flag',
      `${shown(word)} after -${last.as} is not its value: write -${last.as}=${word}`,
    )
  }
  if (last?.isSecret) {
    return new SettingsError(
      'bad-flag',
      `a word after the value of -${last.as} is not part of a flag: put quotes around a value with spaces`,
    )
  }
  return new SettingsError(
    'bad-flag',
    `the word ${shown(word)} is not part of a flag: remove it, or put quotes around a value with spaces`,
  )
}

function unknown(spelled: string, name: string, prefix: string): string {
  const guess = nearest(name, [...flagNames, ...Object.keys(oldNames)])
  return noSuchFlag(spelled, guess && `${prefix}${guess}`, 'livepeer')
}

function refuseIfAskedFor(word: string, given: GivenFlag, fault: SettingsErrorCode): void {
  const kind = foreignFlags.get(word)
  if (!kind || !isAskedFor(readValue(kind, given, fault))) return
  throw new SettingsError(
    fault,
    `${given.spelled} is for AI or remote signing, which this node does not support: leave it out`,
  )
}

/** One sentence for all of them: a start script may have many. */
function idleFlags(spelled: readonly string[]): string {
  const [last, ...others] = spelled.toReversed()
  if (others.length === 0) return `${last} has no effect here: it is for AI, which this node does not support`
  const all = `${others.toReversed().join(', ')} and ${last}`
  return `${all} have no effect here: they are for AI, which this node does not support`
}

/** The message about an unknown flag, with the name that was probably meant. */
export function noSuchFlag(spelled: string, guess: string | null, program: string): string {
  const advice = guess ? `did you mean ${guess}?` : `${program} -help lists all flags`
  return `there is no flag ${printable(spelled)}: ${advice}`
}

/** Leaves plain names without quotes. */
function printable(spelled: string): string {
  return spelled.length <= 80 && !/[\p{C}"]|:\/\//u.test(spelled) ? spelled : shown(spelled)
}

/**
 * Calls `take` for each flag set by a variable; an empty variable is ignored. The current name overrides an old one.
 * Throws SettingsError for a variable that begins with LP_ and is no flag.
 */
function readEnvironment(
  variables: Sources['variables'],
  passOver: (word: string, given: GivenFlag, fault: SettingsErrorCode) => void,
  take: (name: FlagName, as: string, spelled: string, text: string) => void,
): void {
  const read = new Set<string>()
  for (const as of [...flagNames, ...Object.keys(oldNames)]) {
    const variable = environmentName(as)
    const text = Object.hasOwn(variables, variable) ? variables[variable] : undefined
    const name = flagNamed(as)!
    if (text === undefined || text === '' || read.has(variable) || read.has(name)) continue
    read.add(variable).add(name)
    take(name, name === as || environmentName(name) === variable ? name : as, variable, text)
  }
  for (const [variable, text] of Object.entries(variables)) {
    if (!variable.startsWith(environmentName('')) || !text || OF_CONTAINERS.test(variable)) continue
    const word = [...foreignFlags.keys(), ...foreignTuningNames].find(
      (name) => environmentName(name) === variable,
    )
    if (word) passOver(word, { spelled: variable, text }, 'bad-setting')
    else if (!isFlagVariable(variable)) throw new SettingsError('bad-setting', unknownVariable(variable))
  }
}

/** What Kubernetes and Docker set for every service whose name begins with `lp`, such as `LP_CACHE_PORT_80_TCP_ADDR`. */
const OF_CONTAINERS =
  /^LP(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/

function isFlagVariable(variable: string): boolean {
  return [...flagNames, ...Object.keys(oldNames)].some((name) => environmentName(name) === variable)
}

/** The value may be a secret under a misspelt name, so only the name is printed. */
function unknownVariable(variable: string): string {
  const spelled = printable(variable)
  const words = variable.slice(environmentName('').length).replaceAll('_', '')
  // Any single letter is close to -v.
  const guess = words.length > 1 ? nearest(words, [...flagNames, ...Object.keys(oldNames)]) : null
  if (guess) return `${spelled} in the environment is not a flag: did you mean ${environmentName(guess)}?`
  return `${spelled} in the environment is not a flag: every variable that begins with LP_ sets one, so unset ${spelled}, or rename it if it is for another program (livepeer -help lists all flags)`
}

/**
 * Variables such as LP_VERSION are easily set for another purpose, so the message says what they set here (operations.md §10 #29).
 */
function badEnvironment(name: FlagName, variable: string, text: string): SettingsError {
  return new SettingsError(
    'bad-setting',
    `${variable}=${shown(text)} in the environment sets the flag -${name}, which must be ${wanted[flags[name].kind]}: correct or unset ${variable}`,
  )
}

/**
 * Calls `take` for each line: name, space, value. `#` starts a comment at the beginning of a line or after a space. The
 * name is null for a flag that has no effect here.
 */
function readConfigFile(
  path: string,
  readText: Sources['readText'],
  take: (name: FlagName | null, as: string, line: number, text: string) => void,
): void {
  const text = readText(path)
  if (text === null) {
    throw new SettingsError('bad-setting', `-config ${shown(path)} cannot be read or is empty`)
  }
  const byVariable = new Map(
    [...Object.keys(oldNames), ...flagNames].map((name) => [environmentName(name), name]),
  )
  text.split('\n').forEach((raw, index) => {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) return
    const space = line.indexOf(' ')
    const as = space < 0 ? line : line.slice(0, space)
    const value = space < 0 ? 'true' : line.slice(space + 1).trim()
    const comment = value.indexOf(' #')
    const plain = byVariable.get(as) ?? as
    const name = flagNamed(plain)
    if (!name && !foreignKind(plain)) throw badLine(as, `line ${index + 1} of ${path}`)
    take(name, plain, index + 1, comment < 0 ? value : value.slice(0, comment).trim())
  })
}

/** The word may be `ethPassword=…`, so only the name is printed. */
function badLine(word: string, where: string): SettingsError {
  const meant = /^-{0,2}(\w+)/.exec(word)?.[1] ?? ''
  if (meant !== word && flagNamed(meant)) {
    return new SettingsError(
      'bad-setting',
      `${where} cannot be read: write ${meant} without a dash, one space, and the value`,
    )
  }
  return new SettingsError(
    'bad-setting',
    unknown(`${meant || shown(word.slice(0, 1))} in ${where}`, meant, ''),
  )
}
