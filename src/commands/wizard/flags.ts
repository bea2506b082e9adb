import { flagValue } from '../../config/flag-values.ts'
import {
  type FlagTable,
  noSuchFlag,
  readCommandLine,
  readValue,
  SettingsError,
} from '../../config/load-flags.ts'
import { nearest } from '../../config/nearest.ts'
import {
  WIZARD_ABOUT,
  WIZARD_EXITS,
  WIZARD_FLAGS,
  type WizardFlag,
  type WizardFlagName,
  wizardFlagNames,
  wizardUsage,
} from '../../config/wizard-flags.ts'
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

const MAX_PORT = 65_535n

const table: FlagTable<WizardFlagName> = {
  named: (name) => (Object.hasOwn(WIZARD_FLAGS, name) ? (name as WizardFlagName) : null),
  kindOf: (name) => WIZARD_FLAGS[name].kind,
  isSecret: (name) => name === 'token',
  unknown: (name) => {
    const guess = nearest(name, wizardFlagNames)
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
      readValue(WIZARD_FLAGS[name].kind, { spelled: `-${as}`, text }, 'bad-flag')
      given.set(name, text)
    })
    if (help) return { exit: { code: 0, stdout: wizardHelp(), stderr: '' } }
    const textOf = (name: WizardFlagName) => given.get(name) ?? WIZARD_FLAGS[name].default
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
  const lines = wizardFlagNames.map((name) => {
    const flag: WizardFlag = WIZARD_FLAGS[name]
    const byDefault = flag.default !== '' && flag.default !== 'false' ? ` (default ${flag.default})` : ''
    return `  ${wizardUsage(name)}\n        ${flag.help}${byDefault}\n`
  })
  return `Usage: livepeer_cli [flags]\n\n${WIZARD_ABOUT}\n\n${lines.join('')}\n${WIZARD_EXITS}\n`
}
