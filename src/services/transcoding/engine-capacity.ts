import {
  type CapacityEstimate,
  canBeDone,
  estimateOfTrial,
  rested,
  secondTakesMs,
  sessionsFor,
  shownMs,
  sustained,
  unmeasured,
  withTiming,
} from '../../domain/capacity.ts'
import type { NodeEvents } from '../../domain/events.ts'
import type { MediaFault } from '../../domain/failed-work.ts'
import { type Profile, withFormat } from '../../domain/rendition.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { DeclaredDurations } from './declared-durations.ts'
import type { NextSegment, TranscodeJob, TranscodeOutput } from './transcoder.ts'

/** A trial is cut off after this time: not even one stream is sustained then. */
const TRIAL_LIMIT_MS = 10_000
/** The first round also warms the workers; after one as short as this, a second tells more. */
const SHORT_ROUND_MS = 1_200
/** After this long without work, earlier timings say nothing about how busy the machine is now. */
const PAUSE_MS = 60_000
/** A changed capacity is logged at info level at most once in this time. */
const QUIET_MS = 60_000

const LATE: ReadonlySet<string> = new Set<MediaFault>(['media-late', 'media-busy'])

/** What does the work. */
export interface MeasuredEngine {
  /** How many segments it works on at once; 1 if absent. */
  readonly parallel?: number
  transcode(job: TranscodeJob, signal: AbortSignal): Promise<TranscodeOutput>
  sessionEnded?(sessionId: string): void
}

/** Why a node cannot start with a measured capacity. */
export type CapacityFault = 'trial-failed'

export interface EngineCapacityOptions {
  /** Sessions at once, as the operator says; `auto` measures. */
  readonly maxSessions: number | 'auto'
  /** What the trial makes of its segment. */
  readonly ladder: readonly Profile[]
}

export interface EngineCapacityNeeds {
  readonly engine: MeasuredEngine
  /** Makes a segment of a moving picture for the trial. */
  readonly sample: (
    signal: AbortSignal,
  ) => Promise<{ readonly bytes: Uint8Array; readonly durationMs: number }>
  readonly events?: NodeEvents
  readonly clock: Clock
  readonly log: Log
}

/** The capacity of a node's own engine, for the operator. */
export interface EngineCapacityStatus {
  readonly sessions: number
  readonly isAutomatic: boolean
  /** Streams that are sustained in real time by what is known now, and by the trial at the start; null: not known. */
  readonly sustained: number | null
  readonly sustainedAtStart: number | null
  /** How long a worker takes for a second of video. */
  readonly secondTakesMs: number | null
  /** Segments worked on now, and waiting for a worker. */
  readonly atWork: number
  readonly waiting: number
}

interface Entry {
  readonly sessionId: string
  /** As long as it is taken to last. */
  readonly videoMs: number
  /** Null while it waits for a worker. */
  begun: { readonly atMs: number; readonly area: number } | null
}

/**
 * The node's own engine, with a measure of what it can do: by a trial before the node is ready where the operator leaves
 * it to the node, and from then on by every segment that it works on.
 */
export class EngineCapacity implements Service {
  readonly name = 'capacity'
  readonly #options: EngineCapacityOptions
  readonly #needs: EngineCapacityNeeds
  readonly #parallel: number
  readonly #entries = new Set<Entry>()
  readonly #durations = new DeclaredDurations()
  #estimate: CapacityEstimate
  #sessions: number | null = null
  #atWork = 0
  /** The number of segments in work, integrated over time; up to when. */
  #area = 0
  #areaToMs: number
  #lastTimingMs: number
  #toldAtMs = 0

  constructor(options: EngineCapacityOptions, needs: EngineCapacityNeeds) {
    this.#options = options
    this.#needs = needs
    this.#parallel = needs.engine.parallel ?? 1
    this.#estimate = unmeasured(this.#parallel)
    this.#areaToMs = needs.clock.now()
    this.#lastTimingMs = needs.clock.now()
  }

  /** Measures the capacity if it is automatic. Throws NodeError `trial-failed` when the ladder cannot be made. */
  async start(scope: Scope): Promise<void> {
    if (this.#options.maxSessions !== 'auto') return
    const { clock, log } = this.#needs
    const startedMs = clock.now()
    this.#estimate = await this.#trial(scope.signal)
    this.#sessions = sessionsFor(this.#estimate, null)
    this.#lastTimingMs = clock.now()
    this.#toldAtMs = clock.now()
    const keepsUp = this.#estimate.atStart! >= 1
    log[keepsUp ? 'info' : 'warn'](
      keepsUp
        ? 'capacity measured; -maxSessions N sets another'
        : 'this machine cannot keep up with one stream: ask for fewer renditions or set -maxSessions N',
      {
        sessions: this.#sessions,
        sustained: rounded(this.#estimate.atStart!, 10),
        secondTakesMs: rounded(secondTakesMs(this.#estimate)!, 1),
        parallel: this.#parallel,
        ladder: this.#options.ladder.map(({ name }) => name).join(','),
        trialMs: clock.now() - startedMs,
      },
    )
  }

  /** How many sessions to take at once. */
  get sessions(): number {
    const { maxSessions } = this.#options
    return maxSessions === 'auto' ? (this.#sessions ?? 1) : maxSessions
  }

  status(): EngineCapacityStatus {
    const speed = sustained(this.#estimate)
    const takesMs = secondTakesMs(this.#estimate)
    const { atStart } = this.#estimate
    return {
      sessions: this.sessions,
      isAutomatic: this.#options.maxSessions === 'auto',
      sustained: speed && rounded(speed, 10),
      sustainedAtStart: atStart && rounded(atStart, 10),
      secondTakesMs: takesMs && rounded(takesMs, 1),
      atWork: this.#atWork,
      waiting: this.#entries.size - this.#atWork,
    }
  }

  /** Transcodes a segment with the engine, and times it. */
  async transcode(job: TranscodeJob, signal: AbortSignal): Promise<TranscodeOutput> {
    const { clock, engine } = this.#needs
    const entry: Entry = { sessionId: job.sessionId, videoMs: this.#durations.believedMs(job), begun: null }
    if (this.#entries.size === 0 && clock.now() - this.#lastTimingMs > PAUSE_MS) {
      this.#estimate = rested(this.#estimate)
    }
    this.#entries.add(entry)
    const onBegin = () => {
      this.#begin(entry)
      job.onBegin?.()
    }
    // How much video took the time; null where that tells nothing: bad input, cancelled work, clips.
    let timed: { readonly videoMs: number; readonly isDone: boolean } | null = null
    try {
      const output = await engine.transcode({ ...job, onBegin }, signal)
      if (job.clip === null) {
        const videoMs = shownMs(job.durationMs, framesOf(job, output))
        this.#durations.done(job, videoMs, clock.now())
        timed = { videoMs, isDone: true }
      }
      return output
    } catch (error) {
      const videoMs = isLate(error) ? this.#durations.late(job, this.#workedOffMs(entry), clock.now()) : null
      if (videoMs !== null) timed = { videoMs, isDone: false }
      throw error
    } finally {
      this.#end(entry, timed)
    }
  }

  sessionEnded(sessionId: string): void {
    this.#needs.engine.sessionEnded?.(sessionId)
  }

  /** Whether a segment that came now could be done in time. */
  canFinish({ sessionId, durationMs, limitMs, before }: NextSegment): boolean {
    const { doneMs, others } = this.#leftBefore(sessionId)
    return canBeDone(this.#estimate, {
      others,
      own: { count: before.count, videoMs: Math.max(0, before.durationMs - doneMs) },
      videoMs: durationMs,
      limitMs,
    })
  }

  /** The video that is left of other sessions' segments, and what is done of its own, by how long they were worked on. */
  #leftBefore(sessionId: string) {
    const others = { count: 0, videoMs: 0 }
    let doneMs = 0
    for (const entry of this.#entries) {
      const entryDoneMs = Math.min(entry.videoMs, this.#workedOffMs(entry) ?? 0)
      if (entry.sessionId === sessionId) doneMs += entryDoneMs
      else {
        others.count++
        others.videoMs += entry.videoMs - entryDoneMs
      }
    }
    return { doneMs, others }
  }

  /** The engine has taken a segment. */
  #begin(entry: Entry): void {
    if (entry.begun || !this.#entries.has(entry)) return
    this.#countArea()
    this.#atWork++
    entry.begun = { atMs: this.#areaToMs, area: this.#area }
  }

  /** How much video the machine does in the time for which a segment has been worked on. */
  #workedOffMs({ begun }: Entry): number | null {
    const takesMs = secondTakesMs(this.#estimate)
    return begun && takesMs && ((this.#needs.clock.now() - begun.atMs) * 1000) / takesMs
  }

  #end(entry: Entry, timed: { readonly videoMs: number; readonly isDone: boolean } | null): void {
    this.#countArea()
    const { begun } = entry
    if (timed && begun) {
      const now = this.#areaToMs
      const workMs = now - begun.atMs
      const together = (this.#area - begun.area) / Math.max(1, workMs)
      const sinceLastMs = now - this.#lastTimingMs
      const timing = { ...timed, workMs, together, sinceLastMs }
      this.#estimate = withTiming(this.#estimate, timing)
      if (workMs > 0) this.#lastTimingMs = now
    }
    this.#entries.delete(entry)
    if (begun) this.#atWork--
    if (this.#options.maxSessions === 'auto') this.#adjust()
  }

  #countArea(): void {
    const now = this.#needs.clock.now()
    this.#area += this.#atWork * Math.max(0, now - this.#areaToMs)
    this.#areaToMs = now
  }

  #adjust(): void {
    const { clock, log } = this.#needs
    const before = this.#sessions
    if (before === null) return
    this.#sessions = sessionsFor(this.#estimate, before)
    if (this.#sessions === before) return
    const isQuiet = clock.now() - this.#toldAtMs < QUIET_MS
    if (!isQuiet) this.#toldAtMs = clock.now()
    const { sessions, secondTakesMs: takesMs, sustained: speed } = this.status()
    log[isQuiet ? 'debug' : 'info']('capacity changed: segments take more or less time than before', {
      ...{ sessions, before, sustained: speed, secondTakesMs: takesMs },
    })
    if (this.#options.maxSessions === 'auto')
      this.#needs.events?.tell({
        ...{ kind: 'setting-changed', setting: '-maxSessions' },
        ...{ from: String(before), to: String(this.#sessions) },
      })
  }

  /** Gives every worker a segment at once, as live streams would. */
  async #trial(signal: AbortSignal): Promise<CapacityEstimate> {
    const { clock, engine, sample } = this.#needs
    const { bytes, durationMs } = await sample(signal)
    const profiles = this.#options.ladder.map((profile) => withFormat(profile, 'mpegts'))
    const transcode = async (worker: number): Promise<number> => {
      const startedMs = clock.now()
      const job: TranscodeJob = {
        sessionId: `trial-${worker}`,
        source: bytes,
        profiles,
        durationMs,
        deadlineMs: TRIAL_LIMIT_MS,
        provider: 'Livepeer Transcoder',
        clip: null,
        calcPerceptualHash: false,
      }
      await engine.transcode(job, signal).catch((error) => {
        if (signal.aborted || isLate(error)) return
        throw new NodeError<CapacityFault>(
          'trial-failed',
          `-maxSessions auto: a trial segment could not be transcoded (${messageOf(error)}): give -maxSessions a number, or -transcodingOptions renditions that this machine can make`,
        )
      })
      return clock.now() - startedMs
    }
    const round = () => Promise.all(Array.from({ length: this.#parallel }, (_, worker) => transcode(worker)))
    let took = await round()
    if (Math.max(...took) <= SHORT_ROUND_MS) took = await round()
    for (let worker = 0; worker < this.#parallel; worker++) engine.sessionEnded?.(`trial-${worker}`)
    signal.throwIfAborted()
    return estimateOfTrial(durationMs, took)
  }
}

/** Whether the time of a job was over before it was done. */
function isLate(error: unknown): boolean {
  return error instanceof NodeError && LATE.has(error.code)
}

function framesOf({ profiles }: TranscodeJob, { renditions }: TranscodeOutput) {
  return renditions.map(({ frames = null }, index) => {
    const { fps = 0, fpsDen = 0 } = profiles[index] ?? {}
    return { frames, fps: fps > 0 ? fps / (fpsDen || 1) : null }
  })
}

function rounded(value: number, parts: number): number {
  return Math.round(value * parts) / parts
}
