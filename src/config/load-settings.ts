import { maskUrl } from '../lib/mask-url.ts'
import { refuseWhatIsLater, unusedFlags } from './checks.ts'
import { type FlagName, flags } from './flags.ts'
import { flagsAsJson, helpText } from './help.ts'
import { defaultOf, type LoadedFlags, loadFlags, SettingsError } from './load-flags.ts'
import { readSettings } from './read-settings.ts'
import type { About, ProgramEnvironment, Settings } from './settings.ts'

/** A request to exit with this code after printing these texts. */
export interface Exit {
  readonly exit: { readonly code: 0 | 1 | 2; readonly stdout: string; readonly stderr: string }
}

/**
 * Settings from command line, environment and configuration file; or the text to print and the exit code: 0 after
 * -help, -version and -j, 2 for a bad command line, 1 for bad settings.
 */
export function loadSettings(env: ProgramEnvironment): Settings | Exit {
  try {
    const loaded = loadFlags(env)
    if (loaded.help) return ending(0, helpText())
    if (loaded.values.j) return ending(0, flagsAsJson(env.about))
    if (loaded.values.version) return ending(0, versionText(env.about))
    return settingsOf(loaded, env)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    return { exit: { code: error.code === 'bad-flag' ? 2 : 1, stdout: '', stderr: `${error.message}\n` } }
  }
}

function settingsOf(loaded: LoadedFlags, env: ProgramEnvironment): Settings {
  const settings = readSettings(loaded, env)
  refuseWhatIsLater(loaded)
  return {
    ...settings,
    warnings: [...loaded.warnings, ...settings.warnings, ...unusedFlags(loaded, settings)],
    printable: () => printableFlags(loaded),
  }
}

/** Given flags that differ from their defaults, without secrets and credentials in URLs. */
function printableFlags(loaded: LoadedFlags): Record<string, string> {
  const shown: Record<string, string> = {}
  for (const [name, { text }] of loaded.given) {
    if (loaded.values[name] === defaultOf(flags[name])) continue
    shown[name] = printableValue(name, text)
  }
  return shown
}

function printableValue(name: FlagName, text: string): string {
  if ('secret' in flags[name] && flags[name].secret) return '***'
  if (!text.includes('://')) return text
  return text
    .split(',')
    .map((part) => (part.includes('://') ? maskUrl(part.trim()) : part))
    .join(',')
}

function versionText({ version, runtime, arch, platform }: About): string {
  return `livepeer-ts ${version}\nNode.js ${runtime}\n${platform} ${arch}\n`
}

function ending(code: 0, stdout: string): Exit {
  return { exit: { code, stdout, stderr: '' } }
}
