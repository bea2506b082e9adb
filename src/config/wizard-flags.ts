import type { FlagKind } from './flags.ts'

/** A flag of `livepeer_cli`. */
export interface WizardFlag {
  readonly kind: FlagKind
  readonly default: string
  /** What follows it. */
  readonly value?: string
  readonly help: string
  /** Whether it is only accepted. */
  readonly ignored?: true
}

/** The flags of `livepeer_cli`, for its help, its manual page and what shells complete (operations.md §5). */
export const WIZARD_FLAGS = {
  http: {
    ...{ kind: 'int', default: '7935', value: 'PORT' },
    help: 'Port of the node’s control API (its -cliAddr); a gateway’s is 5935.',
  },
  host: { kind: 'string', default: 'localhost', value: 'HOST', help: 'Host of the node’s control API.' },
  token: {
    ...{ kind: 'string', default: '', value: 'TEXT|FILE' },
    help: 'The node’s -cliToken, or a file with it; environment: LP_CLITOKEN.',
  },
  yes: {
    ...{ kind: 'bool', default: 'false' },
    help: 'Send without asking whether to send; for scripts that feed the answers.',
  },
  loglevel: {
    ...{ kind: 'int', default: '4', value: 'N', ignored: true },
    help: 'Accepted for old scripts, without effect.',
  },
  version: { kind: 'bool', default: 'false', help: 'Print the version and exit.' },
} as const satisfies Readonly<Record<string, WizardFlag>>

/** The name of one of them. */
export type WizardFlagName = keyof typeof WIZARD_FLAGS

/** All of them, in the order of the help. */
export const wizardFlagNames = Object.keys(WIZARD_FLAGS) as readonly WizardFlagName[]

/** What `livepeer_cli` is for. */
export const WIZARD_ABOUT = `A menu for the operator of a node: shows its state, and bonds, registers, funds, withdraws and votes with its account.
Amounts of LPT without a unit are in LPTU, of which 10^18 are 1 LPT. Answers may come by a pipe, a line for each.`

/** How it ends. */
export const WIZARD_EXITS = `The exit code is 0 after Exit or the end of the input, 1 if something was refused or the node does not answer, 2 for a
command line that cannot be read, 130 after Ctrl-C.`

/** A flag with what follows it. */
export function wizardUsage(name: WizardFlagName): string {
  const { value }: WizardFlag = WIZARD_FLAGS[name]
  return value === undefined ? `-${name}` : `-${name} ${value}`
}
