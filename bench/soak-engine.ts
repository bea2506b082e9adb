import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Profile, presetNamed, withFormat } from '../src/domain/rendition.ts'
import { MediaEngine } from '../src/io/media/engine/engine.ts'
import { livePattern, type PatternOptions } from '../src/io/media/engine/pattern.ts'
import { systemClock } from '../src/lib/clock.ts'
import { isAbort, messageOf } from '../src/lib/errors.ts'
import { openLog } from '../src/lib/log.ts'
import { Supervisor } from '../src/lib/service.ts'
import { mean, plot, rssOfPid, slope } from './memory-curve.ts'
import { round } from './statistics.ts'

/** The last line of the soak. Memory is that of the node's process and all workers. */
export interface SoakOutcome {
  readonly minutes: number
  readonly segments: number
  readonly failed: number
  readonly replaced: number
  /** Means over the first and the last half minute; the peak is the highest second. */
  readonly rssMb: { readonly first: number; readonly last: number; readonly peak: number }
}

const TELL_EVERY_S = 30
const SEGMENTS_OF_A_SOURCE = 6
const DEADLINE_MS = 60_000
const MB = 1 << 20

const SOURCES = {
  hd: { width: 1280, height: 720, bitrate: 3_000_000 },
  sd: { width: 640, height: 360, bitrate: 1_000_000 },
} as const satisfies Record<string, PatternOptions>

interface Viewing {
  readonly source: keyof typeof SOURCES
  readonly presets: readonly string[]
  readonly format: 'mpegts' | 'mp4'
  readonly hash: boolean
}

/** The renditions of the sessions: ladders of both sizes, both containers, signatures. */
const SESSIONS: readonly Viewing[] = [
  {
    source: 'hd',
    presets: ['P240p30fps16x9', 'P360p30fps16x9', 'P720p30fps16x9'],
    format: 'mpegts',
    hash: false,
  },
  {
    source: 'sd',
    presets: ['P144p30fps16x9', 'P240p30fps16x9', 'P360p30fps16x9'],
    format: 'mpegts',
    hash: false,
  },
  { source: 'sd', presets: ['P240p25fps16x9'], format: 'mp4', hash: true },
  { source: 'hd', presets: ['P144p30fps16x9', 'P360p25fps16x9'], format: 'mpegts', hash: false },
]

interface Moment {
  readonly segments: number
  readonly node: number
  /** The part of the node's memory that V8 accounts for: its heap, and buffers outside it. */
  readonly heap: number
  readonly buffers: number
  readonly workers: readonly number[]
}

/**
 * Transcodes segments of several sessions without a pause, decodes each result and compares its pixels, and records
 * memory every second. Prints a line each half minute and a curve at the end.
 */
export async function soakEngine(minutes: number, signal: AbortSignal): Promise<SoakOutcome> {
  const log = openLog({ level: 'warn', format: 'pretty' })
  const sources = { hd: await segmentsOf(SOURCES.hd, signal), sd: await segmentsOf(SOURCES.sd, signal) }
  await using supervisor = new Supervisor()
  const engine = new MediaEngine({ clock: systemClock, log, workers: availableParallelism() })
  await supervisor.start(engine)
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  const counts = { segments: 0, failed: 0 }
  const sessions = SESSIONS.map((viewing, index) =>
    view(engine, `soak-${index}`, { ...viewing, segments: sources[viewing.source] }, counts, either),
  )
  const moments: Moment[] = []
  const replaced = () => engine.state.workers.reduce((sum, worker) => sum + worker.replaced, 0)
  console.log(`${SESSIONS.length} sessions on ${engine.state.workers.length} workers for ${minutes} minutes`)
  const start = performance.now()
  while (moments.length < minutes * 60 && !signal.aborted) {
    const due = start + (moments.length + 1) * 1000
    await sleep(Math.max(0, due - performance.now()), undefined, { signal }).catch(() => {})
    moments.push(look(engine, counts.segments))
    if (moments.length % TELL_EVERY_S === 0) tell(moments, counts.failed, replaced())
  }
  over.abort()
  await Promise.all(sessions)
  const totals = moments.map(total)
  tellCurve(moments)
  return {
    minutes: round(moments.length / 60),
    segments: counts.segments,
    failed: counts.failed,
    replaced: replaced(),
    rssMb: {
      first: Math.round(mean(totals.slice(0, TELL_EVERY_S))),
      last: Math.round(mean(totals.slice(-TELL_EVERY_S))),
      peak: Math.round(Math.max(...totals)),
    },
  }
}

async function segmentsOf(options: PatternOptions, signal: AbortSignal): Promise<Uint8Array[]> {
  const segments: Uint8Array[] = []
  for await (const { bytes } of livePattern({ ...options, isPaced: false }, signal)) {
    segments.push(bytes)
    if (segments.length === SEGMENTS_OF_A_SOURCE) break
  }
  return segments
}

/** Runs one session, segment by segment, until the signal is aborted. */
async function view(
  engine: MediaEngine,
  sessionId: string,
  viewing: Viewing & { readonly segments: readonly Uint8Array[] },
  counts: { segments: number; failed: number },
  signal: AbortSignal,
): Promise<void> {
  const profiles = viewing.presets.map((name): Profile => withFormat(presetNamed(name)!, viewing.format))
  for (let number = 0; !signal.aborted; number++) {
    try {
      const job = {
        ...{ sessionId, profiles, durationMs: 2000, deadlineMs: DEADLINE_MS, clip: null },
        ...{ source: viewing.segments[number % viewing.segments.length]!, calcPerceptualHash: viewing.hash },
        provider: 'Livepeer Transcoder soak (offchain)',
      }
      const { renditions } = await engine.transcode(job, signal)
      const checked = renditions[number % renditions.length]!
      const pixels = await engine.countPixels(checked.bytes, signal)
      if (pixels !== checked.pixels) throw new Error(`${checked.pixels} pixels are told, ${pixels} decoded`)
      counts.segments++
    } catch (error) {
      if (signal.aborted && isAbort(error)) return
      counts.failed++
      console.log(`segment ${number} of ${sessionId} failed: ${messageOf(error)}`)
    }
  }
}

function look(engine: MediaEngine, segments: number): Moment {
  const workers = engine.state.workers.map(({ pid }) => (pid === null ? 0 : (rssOfPid(pid) ?? 0)))
  const { heapTotal, external } = process.memoryUsage()
  return { segments, node: rssOfPid(process.pid) ?? 0, heap: heapTotal / MB, buffers: external / MB, workers }
}

function total({ node, workers }: Moment): number {
  return workers.reduce((sum, worker) => sum + worker, node)
}

function tell(moments: readonly Moment[], failed: number, replaced: number): void {
  const last = moments.slice(-TELL_EVERY_S)
  const megabytes = (of: (moment: Moment) => number) => String(Math.round(mean(last.map(of)))).padStart(4)
  const workers = last[0]!.workers.map((_, index) => megabytes((moment) => moment.workers[index]!))
  const facts = [
    `${String(moments.length).padStart(5)} s`,
    `segments ${String(last.at(-1)!.segments).padStart(6)}`,
    `failed ${failed}`,
    `workers replaced ${replaced}`,
    `MB: node ${megabytes(({ node }) => node)} (heap ${megabytes(({ heap }) => heap)}, buffers ${megabytes(({ buffers }) => buffers)})`,
    `workers ${workers.join(' ')}`,
    `all ${megabytes(total)}`,
  ]
  console.log(facts.join('  '))
}

/** The first minute is warming up; afterwards memory should be stable. */
function tellCurve(moments: readonly Moment[]): void {
  console.log(`\n${plot(moments.map(total), `MB of all processes over ${moments.length} s`)}\n`)
  const warm = moments.slice(60)
  if (warm.length < 60) return
  const growth = (of: (moment: Moment) => number) => {
    const grown = 1000 * slope(warm.map((moment) => [moment.segments, of(moment)] as const))
    return `${grown < 0 ? '' : '+'}${grown.toFixed(1)}`
  }
  const workers = moments[0]!.workers.map((_, index) => growth((moment) => moment.workers[index]!))
  console.log(
    `MB for each 1000 segments after the first minute: node ${growth(({ node }) => node)}, workers ${workers.join(' ')}`,
  )
}
