import { COMMANDS } from './commands.ts'
import {
  type Flag,
  type FlagGroup,
  type FlagKind,
  type FlagName,
  flagNames,
  flags,
  oldNames,
} from './flags.ts'
import { environmentName } from './load-flags.ts'
import type { About } from './settings.ts'

const TITLES: Readonly<Record<FlagGroup, string>> = {
  'every role': 'Every role',
  'every role on chain': 'Every role on a chain',
  gateway: 'Gateway',
  'gateway on chain': 'Gateway on a chain',
  orchestrator: 'Orchestrator',
  'orchestrator on chain': 'Orchestrator on a chain',
  transcoding: 'Transcoding',
  observation: 'Observation',
}

const ON_CHAIN = '-network NAME -ethUrl URL'
const EXAMPLES: readonly string[] = [
  `livepeer -gateway ${ON_CHAIN}`,
  `livepeer -orchestrator -transcoder ${ON_CHAIN} -serviceAddr HOST:PORT -pricePerUnit WEI`,
  `livepeer -redeemer ${ON_CHAIN} -ethOrchAddr ADDRESS`,
  `livepeer ${ON_CHAIN}    (calls reward for its account)`,
  ...COMMANDS.map(({ about, name, takes }) => `livepeer ${name} ${takes}    (${about})`),
]

/** The output of -help: all flags by role. */
export function helpText(): string {
  const chapters = groupsInOrder().map(([group, names]) => {
    const lines = names.map((name) => `  ${usage(name)}\n        ${explanation(name)}`)
    return `${TITLES[group]}:\n${lines.join('\n')}`
  })
  return `Usage:\n${EXAMPLES.map((line) => `  ${line}`).join('\n')}\n\n${chapters.join('\n\n')}\n`
}

/** The output of -j: the program and its flags, for programs that start it (operations.md §1.1). */
export function flagsAsJson(about: About): string {
  const optional = Object.fromEntries(
    flagNames.map((name) => {
      const flag: Flag = flags[name]
      const entry = {
        name,
        help: flag.help,
        option: `-${name}`,
        default: flag.default ?? '',
        type: plainKinds[flag.kind] ?? flag.kind,
      }
      return [name, entry]
    }),
  )
  return `${JSON.stringify(
    {
      name: 'livepeer',
      desc: 'A Livepeer node: gateway, orchestrator, transcoder, redeemer, reward service',
      friendly: 'Livepeer',
      version: about.version,
      optional,
    },
    null,
    2,
  )}\n`
}

/** The content of docs/flags.md. */
export function flagsPage(): string {
  const chapters = groupsInOrder().map(([group, names]) => {
    const rows = names.map(
      (name) => `| \`${usage(name).replaceAll('|', '\\|')}\` | ${defaultText(flags[name])} | ${cell(name)} |`,
    )
    return `## ${TITLES[group]}\n\n| Flag | Default | Meaning |\n| --- | --- | --- |\n${rows.join('\n')}\n`
  })
  const old = Object.entries(oldNames).map(([as, name]) => `\`-${as}\` (now \`-${name}\`)`)
  return `# Flags

Written by \`src/config/write-docs.ts\` from the table in \`src/config/flags.ts\`; a test checks that it is current.

- \`-name value\`, \`-name=value\` and \`--name value\` are the same; the last one counts. A switch is \`-name\` or \`-name=false\`.
- Whole numbers may have a base (\`0x10\`) and underscores (\`1_000\`); durations need a unit (\`500ms\`, \`90s\`, \`1h30m\`).
- \`WEI\`: a number of wei, or an amount with a unit (\`21gwei\`, \`0.5eth\`); \`SECONDS\`: a whole number of them, or a duration.
- The environment sets a flag as \`LP_\` and its name in capitals: \`-ethUrl\` is \`${environmentName('ethUrl')}\`. Empty counts as absent.
- Any other variable that begins with \`LP_\` is refused like an unknown flag, except for those that Kubernetes and Docker set for
  services of other names (\`LP_…_SERVICE_HOST\`, \`LP_…_SERVICE_PORT\`, \`LP_…_PORT\`, \`LP_…_PORT_80_TCP\`).
- A file named by \`-config\` has one setting a line: the name without a dash, a space, the value; \`#\` begins a comment.
- The command line counts more than the environment, that more than the file, that more than the default.
- \`HOST:PORT\`: an IPv6 address stands in brackets, \`[::1]:8935\`.
- \`TEXT|FILE\`: if a file of that name can be read, its content is the value.
- Old names still work, with a warning: ${old.join(', ')}.

${chapters.join('\n')}`
}

/** What other programs know the kinds with units as. */
const plainKinds: Partial<Record<FlagKind, string>> = { wei: 'int', 'tri-wei': 'tri-int', seconds: 'int' }

/** The flags by the titles of their groups, in the order of the help. */
export function flagsByGroup(): [title: string, names: FlagName[]][] {
  return groupsInOrder().map(([group, names]) => [TITLES[group], names])
}

function groupsInOrder(): [FlagGroup, FlagName[]][] {
  return (Object.keys(TITLES) as FlagGroup[]).map((group) => [
    group,
    flagNames.filter((name) => flags[name].group === group),
  ])
}

/** A flag with the kind of its value. */
export function usage(name: FlagName): string {
  const flag: Flag = flags[name]
  if (flag.kind === 'bool' || flag.kind === 'tri-bool') return `-${name}`
  const kinds = {
    int: 'N',
    wei: 'WEI',
    'tri-wei': 'WEI',
    seconds: 'SECONDS',
    float: 'X',
    duration: 'DURATION',
    string: 'TEXT',
    'tri-string': 'TEXT',
  }
  return `-${name} ${flag.value ?? kinds[flag.kind]}`
}

function explanation(name: FlagName): string {
  const flag: Flag = flags[name]
  const given = flag.default && flag.default !== 'false' ? ` (default ${flag.default})` : ''
  return `${flag.help}${given}${refusal(flag)}`
}

function cell(name: FlagName): string {
  const flag: Flag = flags[name]
  return `${flag.help}${refusal(flag)}`.replaceAll('|', '\\|')
}

function refusal(flag: Flag): string {
  return flag.refused ? ` Refused: ${flag.refused}.` : ''
}

function defaultText(flag: Flag): string {
  return flag.default ? `\`${flag.default}\`` : ''
}
