import { maskUrl, maskUrls } from '../lib/mask-url.ts'
import { isSocketPath } from '../lib/socket-path.ts'
import { refuseUnusable, unusedFlags } from './checks.ts'
import { type Flag, type FlagName, flags } from './flags.ts'
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
  refuseUnusable(loaded)
  return {
    ...settings,
    warnings: [...loaded.warnings, ...settings.warnings, ...unusedFlags(loaded, settings)],
    printable: () => printableFlags(loaded),
  }
}

/** Given flags that differ from their defaults, without secrets; of a URL, scheme, host and port. */
function printableFlags(loaded: LoadedFlags): Record<string, string> {
  const shown: Record<string, string> = {}
  for (const [name, { text }] of loaded.given) {
    if (loaded.values[name] === defaultOf(flags[name])) continue
    shown[name] = printableValue(name, text)
  }
  return shown
}

function printableValue(name: FlagName, text: string): string {
  const flag: Flag = flags[name]
  if (flag.secret) return '***'
  const isForUrls = flag.value?.startsWith('URL') ?? false
  let isInUrl = false
  const parts = text.split(',').map((part) => {
    const url = part.trim()
    // A comma inside a URL makes parts that look like something else.
    if (!hasScheme(url)) return isInUrl || (isForUrls && !isSocketPath(url)) ? '***' : part
    isInUrl = maskUrls(url) !== url
    return maskUrl(url)
  })
  return parts.join(',')
}

function hasScheme(text: string): boolean {
  return /[A-Za-z][A-Za-z0-9+.-]*:\//.test(text)
}

function versionText({ version, commit, runtime, arch, platform }: About): string {
  return `livepeer-ts ${version}${commit ? ` (commit ${commit})` : ''}\nNode.js ${runtime}\n${platform} ${arch}\n`
}

function ending(code: 0, stdout: string): Exit {
  return { exit: { code, stdout, stderr: '' } }
}
