import { flagValue } from '../../config/flag-values.ts'
import type { FlagKind } from '../../config/flags.ts'
import {
  type FlagTable,
  noSuchFlag,
  readCommandLine,
  readValue,
  SettingsError,
} from '../../config/load-flags.ts'
import { nearest } from '../../config/nearest.ts'
import { messageOf } from '../../lib/errors.ts'
import { hostAndPort, withoutBrackets } from '../../lib/hosts.ts'
import { addressOf, type ControlTarget, tokenOf } from '../control-target.ts'

/** The settings of `livepeer_cli`. */
export interface WizardSettings {
  readonly target: ControlTarget
  /** The node's control API as it is shown, HOST:PORT. */
  readonly name: string
  /** The port of it. */
  readonly port: number
  /** Whether what is sent is not confirmed first. */
  readonly yes: boolean
}

/** What to print instead of running. */
export interface WizardExit {
  readonly exit: { readonly code: 0 | 2; readonly stdout: string; readonly stderr: string }
}

interface WizardFlag {
  readonly kind: FlagKind
  readonly default: string
  readonly value?: string
  readonly help: string
}

/** Names, defaults and meanings: operations.md §5. */
const flags = {
  http: {
    ...{ kind: 'int', default: '7935', value: 'PORT' },
    help: 'Port of the node’s control API (its -cliAddr); a gateway’s is 5935.',
  },
  host: { kind: 'string', default: 'localhost', value: 'HOST', help: 'Host of the node’s control API.' },
  token: {
    ...{ kind: 'string', default: '', value: 'TEXT|FILE' },
    help: 'The node’s -cliToken, or a file with it (environment: LP_CLITOKEN).',
  },
  yes: {
    ...{ kind: 'bool', default: 'false' },
    help: 'Send without asking whether to send; for scripts that feed the answers.',
  },
  loglevel: { kind: 'int', default: '4', value: 'N', help: 'Accepted for old scripts, without effect.' },
  version: { kind: 'bool', default: 'false', help: 'Print the version and exit.' },
} as const satisfies Record<string, WizardFlag>

type WizardFlagName = keyof typeof flags
const names = Object.keys(flags) as readonly WizardFlagName[]
const MAX_PORT = 65_535n

const table: FlagTable<WizardFlagName> = {
  named: (name) => (Object.hasOwn(flags, name) ? (name as WizardFlagName) : null),
  kindOf: (name) => flags[name].kind,
  isSecret: (name) => name === 'token',
  unknown: (name) => {
    const guess = nearest(name, names)
    return noSuchFlag(`-${name}`, guess && `-${guess}`, 'livepeer_cli')
  },
}

/** The wizard's settings from its command line, or what to print and the exit code. */
export function loadWizardSettings({
  argv,
  readText,
  variables,
  version,
}: {
  readonly argv: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly readText: (path: string) => string | null
  readonly version: string
}): WizardSettings | WizardExit {
  try {
    const given = new Map<WizardFlagName, string>()
    const help = readCommandLine(argv, table, (name, as, text) => {
      readValue(flags[name].kind, { spelled: `-${as}`, text }, 'bad-flag')
      given.set(name, text)
    })
    if (help) return { exit: { code: 0, stdout: wizardHelp(), stderr: '' } }
    const textOf = (name: WizardFlagName) => given.get(name) ?? flags[name].default
    if (flagValue('bool', textOf('version')) === true) {
      return { exit: { code: 0, stdout: `livepeer-ts ${version}\n`, stderr: '' } }
    }
    const port = flagValue('int', textOf('http')) as bigint
    if (port < 1n || port > MAX_PORT) {
      throw new SettingsError('bad-flag', `-http is a port from 1 to ${MAX_PORT}, not ${port}`)
    }
    const [name, url] = addressOf(hostAndPort(withoutBrackets(textOf('host').trim()), Number(port)))
    const token = tokenOf(given.get('token'), { variables, readText })
    return {
      target: { url, token },
      name,
      port: Number(port),
      yes: flagValue('bool', textOf('yes')) === true,
    }
  } catch (error) {
    return { exit: { code: 2, stdout: '', stderr: `livepeer_cli: ${messageOf(error)}\n` } }
  }
}

/** What `livepeer_cli -h` prints. */
export function wizardHelp(): string {
  const lines = names.map((name) => {
    const flag: WizardFlag = flags[name]
    const usage = flag.value ? `-${name} ${flag.value}` : `-${name}`
    const byDefault = flag.default !== '' && flag.default !== 'false' ? ` (default ${flag.default})` : ''
    return `  ${usage}\n        ${flag.help}${byDefault}\n`
  })
  return `Usage: livepeer_cli [flags]

A menu for the operator of a node: shows its state, and bonds, registers, funds, withdraws and votes with its account.
Amounts of LPT without a unit are in LPTU, of which 10^18 are 1 LPT. Answers may come by a pipe, a line for each.

${lines.join('')}
The exit code is 0 after Exit or the end of the input, 1 if something was refused or the node does not answer, 2 for a
command line that cannot be read, 130 after Ctrl-C.
`
}
