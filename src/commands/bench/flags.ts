import { flagValue } from '../../config/flag-values.ts'
import type { FlagKind } from '../../config/flags.ts'
import {
  type FlagTable,
  noSuchFlag,
  readCommandLine,
  readValue,
  SettingsError,
  shown,
} from '../../config/load-flags.ts'
import { nearest } from '../../config/nearest.ts'
import { readGpus } from '../../config/read-gpus.ts'
import { readProfiles } from '../../config/read-profiles.ts'
import { refusal } from '../../config/reading.ts'
import type { Profile } from '../../domain/rendition.ts'

/** The settings of `livepeer_bench`. */
export interface BenchSettings {
  /** Path of the media playlist. */
  readonly source: string
  /** Whether a session waits for the playing time of a segment before it takes the next. */
  readonly isLive: boolean
  readonly sessions: number
  /** The pause between the starts of two sessions. */
  readonly sessionDelayMs: number
  readonly repeat: number
  /** The number of segments of the playlist to use; null for all. */
  readonly segments: number | null
  /** GPUs by number, or all there are; an empty list for the cores. */
  readonly gpus: readonly string[] | 'all'
  readonly profiles: readonly Profile[]
  /** The start of the renditions' file names; null keeps no renditions. */
  readonly outPrefix: string | null
  readonly mpeg7Sign: boolean
  readonly verbosity: number
  /** Sentences about settings that were ignored. */
  readonly warnings: readonly string[]
}

/** What to print instead of running. */
export interface BenchExit {
  readonly exit: { readonly code: 0 | 1 | 2; readonly stdout: string; readonly stderr: string }
}

interface BenchFlag {
  readonly kind: FlagKind
  readonly default: string
  readonly value?: string
  readonly help: string
}

/** Names, defaults and meanings: transcoding.md §12. */
const flags = {
  in: { kind: 'string', default: '', value: 'FILE', help: 'Media playlist (.m3u8) of local segments.' },
  live: {
    kind: 'bool',
    default: 'true',
    help: 'Take each segment only when the one before it would have been played; -live=false takes the next at once.',
  },
  concurrentSessions: { kind: 'int', default: '1', value: 'N', help: 'Sessions at once.' },
  concurrentSessionDelay: {
    kind: 'duration',
    default: '300ms',
    value: 'DURATION',
    help: 'Pause between the starts of two sessions.',
  },
  repeat: { kind: 'int', default: '1', value: 'N', help: 'Number of runs.' },
  segs: { kind: 'int', default: '0', value: 'N', help: 'Segments of the playlist to use; 0 is all.' },
  transcodingOptions: {
    kind: 'string',
    default: 'P240p30fps16x9,P360p30fps16x9,P720p30fps16x9',
    value: 'NAME,…|FILE',
    help: 'Renditions: names of presets, or a JSON file with profiles.',
  },
  nvidia: {
    kind: 'string',
    default: '',
    value: 'ID,…',
    help: 'Nvidia GPUs to transcode on, by number, or all.',
  },
  netint: { kind: 'string', default: '', value: 'ID,…', help: 'NETINT cards to transcode on.' },
  outPrefix: {
    kind: 'string',
    default: '',
    value: 'PREFIX',
    help: 'Keep the renditions as PREFIX_<profile>_<number>_<session>_<segment>.ts. Empty: keep none.',
  },
  mpeg7Sign: { kind: 'bool', default: 'false', help: 'Calculate MPEG-7 signatures too.' },
  log: {
    kind: 'int',
    default: '3',
    value: 'LEVEL',
    help: 'Log level: 0 errors, 2 warnings, 3 information, 5 everything.',
  },
} as const satisfies Record<string, BenchFlag>

type BenchFlagName = keyof typeof flags
const names = Object.keys(flags) as readonly BenchFlagName[]

const table: FlagTable<BenchFlagName> = {
  named: (name) => (Object.hasOwn(flags, name) ? (name as BenchFlagName) : null),
  kindOf: (name) => flags[name].kind,
  unknown: (name) => {
    const guess = nearest(name, names)
    return noSuchFlag(`-${name}`, guess && `-${guess}`, 'livepeer_bench')
  },
}

/** Further sessions would only wait for the engine. */
const MAX_SESSIONS = 256n
const MAX_REPEATS = 1_000_000n
const MAX_PAUSE_MS = 3_600_000

/** The bench's settings from its command line, or what to print and the exit code. */
export function loadBenchSettings(
  argv: readonly string[],
  readText: (path: string) => string | null,
): BenchSettings | BenchExit {
  try {
    const given = new Map<BenchFlagName, string>()
    const help = readCommandLine(argv, table, (name, as, text) => {
      readValue(flags[name].kind, { spelled: `-${as}`, text }, 'bad-flag')
      given.set(name, text)
    })
    if (help) return { exit: { code: 0, stdout: helpText(), stderr: '' } }
    return settingsOf((name) => given.get(name) ?? flags[name].default, readText)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    return { exit: { code: error.code === 'bad-flag' ? 2 : 1, stdout: '', stderr: `${error.message}\n` } }
  }
}

function settingsOf(
  textOf: (name: BenchFlagName) => string,
  readText: (path: string) => string | null,
): BenchSettings {
  const whole = (name: BenchFlagName, least: bigint, most: bigint) => {
    const value = flagValue('int', textOf(name)) as bigint
    if (value >= least && value <= most) return Number(value)
    throw refusal(`-${name} is from ${least} to ${most}, not ${value}`)
  }
  if (textOf('in') === '') throw refusal('-in is missing: give the media playlist (.m3u8) of the segments')
  if (textOf('nvidia') !== '' && textOf('netint') !== '') {
    throw refusal('-nvidia and -netint do not go together: give one of them')
  }
  if (textOf('netint') !== '') {
    throw refusal(
      '-netint is refused: the FFmpeg that comes with this program has no codecs for NETINT cards: leave it out to transcode on the CPU, or give -nvidia',
    )
  }
  const pauseMs = flagValue('duration', textOf('concurrentSessionDelay')) as number
  if (pauseMs < 0 || pauseMs > MAX_PAUSE_MS) {
    throw refusal(`-concurrentSessionDelay is from 0 to 1h, not ${shown(textOf('concurrentSessionDelay'))}`)
  }
  const segments = whole('segs', 0n, 1_000_000n)
  const warnings: string[] = []
  return {
    source: textOf('in'),
    isLive: flagValue('bool', textOf('live')) === true,
    sessions: whole('concurrentSessions', 1n, MAX_SESSIONS),
    sessionDelayMs: pauseMs,
    repeat: whole('repeat', 1n, MAX_REPEATS),
    segments: segments === 0 ? null : segments,
    gpus: readGpus('-nvidia', textOf('nvidia')),
    profiles: readProfiles('-transcodingOptions', textOf('transcodingOptions'), { readText, warnings }),
    outPrefix: textOf('outPrefix') || null,
    mpeg7Sign: flagValue('bool', textOf('mpeg7Sign')) === true,
    verbosity: whole('log', 0n, 100n),
    warnings,
  }
}

function helpText(): string {
  const lines = names.map((name) => {
    const flag: BenchFlag = flags[name]
    const usage = flag.value ? `-${name} ${flag.value}` : `-${name}`
    const byDefault = flag.default !== '' && flag.default !== 'false' ? ` (default ${flag.default})` : ''
    return `  ${usage}\n        ${flag.help}${byDefault}\n`
  })
  return `Usage: livepeer_bench -in FILE.m3u8 [flags]

Transcodes the segments of a playlist with the node's engine and measures how long each takes: a line of CSV for each
on stdout, tables on stderr.

${lines.join('')}`
}
