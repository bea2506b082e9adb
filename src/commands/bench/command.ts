import { open, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { MediaAbilities } from '../../domain/media-abilities.ts'
import { readMediaPlaylist } from '../../domain/media-playlist.ts'
import { extensionOf, withFormat } from '../../domain/rendition.ts'
import { MediaEngine } from '../../io/media/engine/engine.ts'
import {
  countNvidiaGpus,
  lookAtMachine,
  tryOutInProcess,
  workersFor,
} from '../../io/media/engine/hardware.ts'
import { tellDriver } from '../../io/media/engine/nvidia-driver.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import { type Log, levelOfVerbosity, openLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import type { TranscodeOutput } from '../../services/transcoding/transcoder.ts'
import { type BenchSettings, loadBenchSettings } from './flags.ts'
import { CSV_HEADER, configurationTable, csvLine, summaryTable } from './report.ts'
import { type BenchFault, type BenchNeeds, type BenchSegment, runSessions } from './sessions.ts'

/** The command line, where the output goes, and the machine. */
export interface BenchEnvironment {
  /** Without the program's own name. */
  readonly argv: readonly string[]
  /** The text of a readable, non-empty, regular file; null for anything else. */
  readonly readText: (path: string) => string | null
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
  /** Has fractions of milliseconds. */
  readonly clock: Clock
  /** Without a GPU this many segments are transcoded at once, as in a node. */
  readonly cpus: number
  readonly version: string
}

/** The limit of orchestrators (transcoding.md §10). */
const MAX_SEGMENT_BYTES = 300_000_000
const PROGRAM = 'livepeer_bench'

/** Runs `livepeer_bench` (transcoding.md §12). Returns the exit code: 0, 1 for a failure, 2 for a bad flag. */
export async function runBench(env: BenchEnvironment, signal: AbortSignal): Promise<number> {
  const settings = loadBenchSettings(env.argv, env.readText)
  if ('exit' in settings) {
    env.write(settings.exit.stdout)
    if (settings.exit.stderr !== '') env.writeError(`${PROGRAM}: ${settings.exit.stderr}`)
    return settings.exit.code
  }
  for (const warning of settings.warnings) env.writeError(`${PROGRAM}: ${warning}\n`)
  try {
    const segments = segmentsOf(settings, env.readText)
    env.writeError(configurationTable(settings))
    await measure(settings, segments, env, signal)
    return 0
  } catch (error) {
    const stopped = signal.aborted && isAbort(error)
    if (!stopped && !(error instanceof NodeError)) throw error
    env.writeError(`${PROGRAM}: ${stopped ? 'stopped before the end' : messageOf(error)}\n`)
    return 1
  }
}

async function measure(
  settings: BenchSettings,
  segments: readonly BenchSegment[],
  env: BenchEnvironment,
  signal: AbortSignal,
): Promise<void> {
  const { clock, cpus: cores } = env
  const log = openLog({
    level: levelOfVerbosity(settings.verbosity),
    format: 'pretty',
    write: env.writeError,
  })
  const devices = await devicesOf(settings, log)
  await using supervisor = new Supervisor()
  const engine = new MediaEngine({ clock, log, cores, devices, workers: workersFor(cores, devices) })
  await supervisor.start(engine)
  env.write(CSV_HEADER)
  const needs: BenchNeeds = {
    transcoder: engine,
    read: readSegment,
    keep: (output, session, segment) => keepOutput(settings, output, session, segment),
    done: (timing) => env.write(csvLine(timing)),
    clock,
  }
  for (let round = 0; round < settings.repeat; round++) {
    const work = {
      ...settings,
      segments,
      round,
      profiles: settings.profiles.map((profile) => withFormat(profile, 'mpegts')),
      provider: `Livepeer Transcoder ${env.version} (offchain)`,
    }
    env.writeError(summaryTable(settings.sessions, await runSessions(work, needs, signal)))
  }
}

/** The GPUs that work, found as a node finds them. Throws NodeError when none of those asked for works. */
async function devicesOf({ gpus }: BenchSettings, log: Log): Promise<readonly MediaAbilities[]> {
  if (gpus.length === 0) return []
  const tools = { log, tryOut: tryOutInProcess, countGpus: countNvidiaGpus, tellDriver }
  return (await lookAtMachine({ gpus, isTried: true }, tools)).devices
}

/** The segments that the playlist lists. Throws NodeError with a sentence. */
function segmentsOf(settings: BenchSettings, readText: BenchEnvironment['readText']): BenchSegment[] {
  const { source } = settings
  const text = readText(source)
  if (text === null) {
    throw new NodeError<BenchFault>('bench-failed', `-in ${source} cannot be read or is empty or huge`)
  }
  let listed: ReturnType<typeof readMediaPlaylist>
  try {
    listed = readMediaPlaylist(text)
  } catch (error) {
    throw new NodeError<BenchFault>('bench-failed', `-in ${source}: ${messageOf(error)}`, { cause: error })
  }
  return listed.slice(0, settings.segments ?? listed.length).map(({ uri, durationMs }) => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(uri)) {
      throw new NodeError<BenchFault>(
        'bench-failed',
        `-in ${source}: the segment ${uri} is not a local file: download it and list it by its path`,
      )
    }
    return { path: resolve(dirname(source), uri), durationMs }
  })
}

/** Throws NodeError with the reason. */
async function readSegment(path: string): Promise<Uint8Array> {
  try {
    await using file = await open(path)
    const { size } = await file.stat()
    if (size <= MAX_SEGMENT_BYTES) return await file.readFile()
  } catch (error) {
    throw new NodeError<BenchFault>('bench-failed', `the file cannot be read: ${messageOf(error)}`, {
      cause: error,
    })
  }
  throw new NodeError<BenchFault>('bench-failed', `the file is larger than ${MAX_SEGMENT_BYTES} bytes`)
}

async function keepOutput(
  { outPrefix, profiles }: BenchSettings,
  { renditions }: TranscodeOutput,
  session: number,
  segment: number,
): Promise<void> {
  if (outPrefix === null) return
  for (const [number, { bytes, perceptualHash }] of renditions.entries()) {
    const { name, format } = profiles[number]!
    const path = `${outPrefix}_${name}_${number}_${session}_${segment}${extensionOf(format)}`
    try {
      await writeFile(path, bytes)
      if (perceptualHash) await writeFile(`${path}.bin`, perceptualHash)
    } catch (error) {
      throw new NodeError<BenchFault>('bench-failed', `-outPrefix: ${messageOf(error)}`, { cause: error })
    }
  }
}
