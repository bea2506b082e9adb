import { COMMANDS, type Command, optionUsage } from './commands.ts'
import { type Flag, flags } from './flags.ts'
import { flagsByGroup, usage } from './help.ts'
import {
  WIZARD_ABOUT,
  WIZARD_EXITS,
  WIZARD_FLAGS,
  type WizardFlag,
  wizardFlagNames,
  wizardUsage,
} from './wizard-flags.ts'

/** The content of docs/livepeer.1: the manual page. */
export function manPage(): string {
  const chapters = flagsByGroup().map(
    ([title, names]) =>
      `.SH ${roff(title.toUpperCase())}\n${names
        .map((name) => {
          const flag: Flag = flags[name]
          const byDefault = flag.default && flag.default !== 'false' ? ` Default: ${flag.default}.` : ''
          return `.TP\n.B ${roff(usage(name))}\n${roff(`${flag.help}${byDefault}`)}\n`
        })
        .join('')}`,
  )
  return `.\\" Written by src/config/write-docs.ts from the table in src/config/flags.ts.
.TH LIVEPEER 1 "" "livepeer-ts" "Livepeer"
.SH NAME
livepeer \\- a node of the Livepeer network: gateway, orchestrator, transcoder, redeemer, reward service
.SH SYNOPSIS
.B livepeer
.I FLAGS
${COMMANDS.map(({ name, takes }) => `.br\n.B livepeer ${roff(name)}\n.I ${roff(takes)}\n`).join('')}.SH DESCRIPTION
Runs a node with the roles that the flags name. Flags may also be set in the environment, as LP_ and the name in capitals, and
in the file of
.BR \\-config .
SIGTERM drains the node and ends it, SIGINT ends it at once.
.SH COMMANDS
${COMMANDS.map(commandEntry).join('')}${chapters.join('')}.SH EXIT STATUS
0 after an orderly stop, 1 for settings that are refused or a failure, 2 for a command line that cannot be read.
.SH SEE ALSO
.BR livepeer_cli (1)
`
}

/** The content of docs/livepeer_cli.1: the manual page of the menu. */
export function wizardManPage(): string {
  const entries = wizardFlagNames.map((name) => {
    const flag: WizardFlag = WIZARD_FLAGS[name]
    const byDefault = flag.default !== '' && flag.default !== 'false' ? ` Default: ${flag.default}.` : ''
    return `.TP\n.B ${roff(wizardUsage(name))}\n${roff(`${flag.help}${byDefault}`)}\n`
  })
  return `.\\" Written by src/config/write-docs.ts from the table in src/config/wizard-flags.ts.
.TH LIVEPEER_CLI 1 "" "livepeer-ts" "Livepeer"
.SH NAME
livepeer_cli \\- the menu for operators of Livepeer nodes
.SH SYNOPSIS
.B livepeer_cli
.I FLAGS
.SH DESCRIPTION
${roff(WIZARD_ABOUT)}
The same can be done by commands, such as
.BR "livepeer orchestrator" ,
which
.BR livepeer (1)
lists.
.SH OPTIONS
${entries.join('')}.SH EXIT STATUS
${roff(WIZARD_EXITS)}
.SH SEE ALSO
.BR livepeer (1)
`
}

/** A command, and below it the options that the table lists. */
function commandEntry({ about, more = '', name, options = [], takes }: Command): string {
  const sentence = more === '' ? about : `${about}. ${more}`
  const lines = options.map((option) => `.TP\n.B ${roff(optionUsage(option))}\n${roff(option.about)}\n`)
  const below = lines.length === 0 ? '' : `.RS\n${lines.join('')}.RE\n`
  return `.TP\n.B livepeer ${roff(name)} ${roff(takes)}\n${roff(sentence)}\n${below}`
}

/** Text in roff: nothing at the start of a line or after a backslash is a request. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^[.']/gm, '\\&$&')
    .replace(/[^\x20-\x7e]/g, (sign) => ROFF_SIGNS[sign] ?? sign)
}

const ROFF_SIGNS: Readonly<Record<string, string>> = { '’': "'", '…': '...', '×': 'x', '–': '\\-' }
