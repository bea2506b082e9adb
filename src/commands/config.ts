import { loadSettings } from '../config/load-settings.ts'
import type { ProgramEnvironment } from '../config/settings.ts'
import { type ConfigFacts, configFacts, type MachineView } from './config-facts.ts'

const HELP = `Usage: livepeer config check [--json] FLAGS

Says what a node with these flags would be and do, and what it lacks, without starting it: its roles, account and recipient,
addresses, peers and files. The flags are those of the node; variables and -config count as they do for it. It asks no chain
and no peer, and changes nothing.

--json   as JSON: {"facts": [{"name", "says"}], "missing": [], "warnings": []}

The exit code is 0 if nothing is missing, 1 if something is or the settings are refused, 2 for a command line that cannot
be read.
`

/** The command line, and where the output goes. */
export interface ConfigEnvironment extends ProgramEnvironment {
  readonly machine: MachineView
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
}

/** Runs `livepeer config`; its arguments are those after that word. Returns the exit code. */
export async function runConfig(env: ConfigEnvironment): Promise<0 | 1 | 2> {
  const { machine, write, writeError } = env
  const [command, ...rest] = env.argv
  if (command === '--help' || command === '-h' || command === 'help') {
    write(HELP)
    return 0
  }
  if (command !== 'check') {
    writeError('the command is livepeer config check; livepeer config --help shows the options\n')
    return 2
  }
  if (rest.some((word) => word === '--help' || word === '-h')) {
    write(HELP)
    return 0
  }
  const json = rest[0] === '--json'
  const settings = loadSettings({ ...env, argv: json ? rest.slice(1) : rest })
  if ('exit' in settings) {
    write(settings.exit.stdout)
    writeError(settings.exit.stderr)
    return settings.exit.code
  }
  const found = await configFacts(settings, machine)
  write(json ? `${JSON.stringify(found, null, 2)}\n` : textOf(found))
  return found.missing.length === 0 ? 0 : 1
}

function textOf({ facts, missing, warnings }: ConfigFacts): string {
  const width = Math.max(...facts.map(({ name }) => name.length))
  const lines = facts.map(({ name, says }) => `${name.padEnd(width)}  ${says}`)
  const list = (title: string, sentences: readonly string[]) =>
    sentences.length === 0 ? [] : ['', title, ...sentences.map((sentence) => `- ${sentence}`)]
  return [
    ...lines,
    ...list('Warnings:', warnings),
    ...(missing.length === 0 ? ['', 'Nothing is missing.'] : list('Missing:', missing)),
    '',
  ].join('\n')
}
