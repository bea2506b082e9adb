import { COMMANDS, type Command } from './commands.ts'
import { type Flag, flagNames, flags } from './flags.ts'
import { knownNetworks } from './networks.ts'
import { WIZARD_FLAGS, type WizardFlag, wizardFlagNames } from './wizard-flags.ts'

/** The shells that can complete the program. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const

/** One of them. */
export type Shell = (typeof SHELLS)[number]

/**
 * What completes `livepeer` in a shell: its commands and flags, and files, folders and networks where a flag takes one; and
 * `livepeer_cli` with its flags.
 */
export function completionFor(shell: Shell): string {
  return { bash, zsh, fish }[shell]()
}

type Value = 'none' | 'file' | 'folder' | 'network' | 'other'

interface Offered {
  readonly name: string
  readonly value: Value
  /** The first sentence of its help. */
  readonly about: string
}

/** Flags that do something. */
const offered: readonly Offered[] = flagNames.flatMap((name) => {
  const flag: Flag = flags[name]
  return flag.refused ? [] : [{ name, value: kindOf(name, flag), about: firstSentence(flag) }]
})
/** Those of `livepeer_cli`. */
const wizardOffered: readonly Offered[] = wizardFlagNames.flatMap((name) => {
  const flag: WizardFlag = WIZARD_FLAGS[name]
  return flag.ignored ? [] : [{ name, value: kindOf(name, flag), about: firstSentence(flag) }]
})
/** The first words of commands; `config check` is completed by its first, then its second. */
const commands = [...new Set(COMMANDS.map(({ name }) => name.split(' ')[0]!))]
/** Those that a second word follows. */
const groups = commands.filter((first) => second(first) !== '')
const nodes = 'drain|undrain|status'
const shells = SHELLS.join(' ')
/** Commands whose options the table lists. */
const described = COMMANDS.filter(({ options }) => options !== undefined)

function kindOf(name: string, { kind, value = '' }: Pick<Flag, 'kind' | 'value'>): Value {
  if (kind === 'bool' || kind === 'tri-bool') return 'none'
  if (name === 'network') return 'network'
  if (/FILE|PATH/.test(value)) return 'file'
  return value === 'DIR' ? 'folder' : 'other'
}

function firstSentence({ help }: Pick<Flag, 'help'>): string {
  return /^.*?[.:;](?= |$)/s.exec(help)?.[0].slice(0, -1) ?? help
}

function named(value: Value, among = offered): string {
  return among
    .filter((flag) => flag.value === value)
    .map(({ name }) => `-${name}`)
    .join('|')
}

function second(first: string): string {
  return COMMANDS.flatMap(({ name }) => (name.startsWith(`${first} `) ? [name.split(' ')[1]!] : [])).join(' ')
}

/** What a first word begins, for a menu. */
function aboutOf(first: string): string {
  const those = COMMANDS.filter(({ name }) => name.split(' ')[0] === first)
  return those.length === 1 ? those[0]!.about : second(first).split(' ').join(', ')
}

/** Two words that a command line begins with, as a shell matches them. */
function pattern({ name }: Command): string {
  return name.includes(' ') ? `'${name}'` : `'${name} '*`
}

function optionNames({ options = [] }: Command): string {
  return options.map(({ name }) => `--${name}`).join(' ')
}

function bash(): string {
  return `# Completes livepeer in bash: eval "$(livepeer completion bash)"
_livepeer() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  case $before in
    ${named('file')}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    ${named('folder')}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
    ${named('network')}) mapfile -t COMPREPLY < <(compgen -W '${knownNetworks.join(' ')}' -- "$word"); return ;;
    ${named('other')}) return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ] && [[ $word != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W '${commands.join(' ')}' -- "$word")
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ]; then
    case \${COMP_WORDS[1]} in
${groups.map((first) => `      ${first}) mapfile -t COMPREPLY < <(compgen -W '${second(first)}' -- "$word"); return ;;`).join('\n')}
      completion) mapfile -t COMPREPLY < <(compgen -W '${shells}' -- "$word"); return ;;
    esac
  fi
  case $before in
    --unsigned|--out|--token) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
  esac
  case "\${COMP_WORDS[1]} \${COMP_WORDS[2]}" in
${described.map((command) => `    ${pattern(command)}) mapfile -t COMPREPLY < <(compgen -W '${optionNames(command)}' -- "$word"); return ;;`).join('\n')}
  esac
  case \${COMP_WORDS[1]} in
    ${nodes}|explain|completion) return ;;
    store|certs) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W '${offered.map(({ name }) => `-${name}`).join(' ')}' -- "$word")
}
complete -F _livepeer livepeer
_livepeer_cli() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  case $before in
    ${named('file', wizardOffered)}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    ${named('other', wizardOffered)}) return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W '${wizardOffered.map(({ name }) => `-${name}`).join(' ')}' -- "$word")
}
complete -F _livepeer_cli livepeer_cli
`
}

function zsh(): string {
  const actions: Readonly<Record<Value, string>> = {
    none: '',
    file: ':file:_files',
    folder: ':folder:_files -/',
    network: `:network:(${knownNetworks.join(' ')})`,
    other: ':value:',
  }
  const specsOf = (flags: readonly Offered[]) =>
    flags.map(({ about, name, value }) => `    '-${name}[${zshText(about)}]${actions[value]}'`).join('\n')
  const listed = commands.map((name) => `    '${name}:${zshText(aboutOf(name))}'`)
  return `#compdef livepeer livepeer_cli
# Completes livepeer in zsh: source <(livepeer completion zsh)
_livepeer() {
  local -a commands specs
  commands=(
${listed.join('\n')}
  )
  specs=(
${specsOf(offered)}
  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  case $words[2] in
    store) (( CURRENT == 3 )) && compadd ${second('store')} || _files; return ;;
${groups
  .filter((first) => first !== 'store')
  .map((first) => `    ${first}) (( CURRENT == 3 )) && compadd ${second(first)} && return ;;`)
  .join('\n')}
    completion) compadd ${SHELLS.join(' ')}; return ;;
    certs) _files; return ;;
    ${nodes}|explain) return ;;
  esac
  case "$words[2] $words[3]" in
${described.map((command) => `    ${pattern(command)}) compadd -- ${optionNames(command)}; _files; return ;;`).join('\n')}
  esac
  _arguments $specs
}
_livepeer_cli() {
  local -a specs
  specs=(
${specsOf(wizardOffered)}
  )
  _arguments $specs
}
compdef _livepeer livepeer
compdef _livepeer_cli livepeer_cli
`
}

function fish(): string {
  const rest: Readonly<Record<Value, string>> = {
    none: '',
    file: ' -r -F',
    folder: " -x -a '(__fish_complete_directories)'",
    network: ` -x -a '${knownNetworks.join(' ')}'`,
    other: ' -x',
  }
  const flagLines = (program: string, flags: readonly Offered[]) =>
    flags.map(
      ({ about, name, value }) => `complete -c ${program} -o ${name}${rest[value]} -d '${fishText(about)}'`,
    )
  const first = `-n 'test (count (commandline -opc)) -eq 1'`
  const lines = [
    ...commands.map((name) => `complete -c livepeer ${first} -f -a ${name} -d '${fishText(aboutOf(name))}'`),
    ...groups.map(
      (name) => `complete -c livepeer -n '__fish_seen_subcommand_from ${name}' -f -a '${second(name)}'`,
    ),
    ...described.flatMap(({ name, options = [] }) => {
      const seen = name
        .split(' ')
        .map((word) => `__fish_seen_subcommand_from ${word}`)
        .join('; and ')
      return options.map(
        ({ about, name: option, value }) =>
          `complete -c livepeer -n '${seen}' -l ${option}${value === undefined ? '' : ' -r'} -d '${fishText(about)}'`,
      )
    }),
    `complete -c livepeer -n '__fish_seen_subcommand_from completion' -f -a '${SHELLS.join(' ')}'`,
    ...flagLines('livepeer', offered),
    ...flagLines('livepeer_cli', wizardOffered),
  ]
  return `# Completes livepeer in fish: livepeer completion fish | source\n${lines.join('\n')}\n`
}

function zshText(text: string): string {
  return text.replace(/[\\:[\]]/g, '\\$&').replaceAll("'", "'\\''")
}

function fishText(text: string): string {
  return text.replace(/[\\']/g, '\\$&')
}
