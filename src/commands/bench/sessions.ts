import type { Profile } from '../../domain/rendition.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import type { TranscodeJob, TranscodeOutput } from '../../services/transcoding/transcoder.ts'
import type { SegmentTiming } from './report.ts'

/** Why a bench fails. */
export type BenchFault = 'bench-failed'

/** A segment of the playlist. */
export interface BenchSegment {
  readonly path: string
  readonly durationMs: number
}

/** The work of the sessions. */
export interface BenchWork {
  readonly segments: readonly BenchSegment[]
  readonly sessions: number
  readonly sessionDelayMs: number
  readonly isLive: boolean
  readonly profiles: readonly Profile[]
  readonly provider: string
  readonly mpeg7Sign: boolean
  /** Prefixes the names of sessions, so that the engine takes those of two rounds for different ones. */
  readonly round: number
}

/** What the sessions work with. */
export interface BenchNeeds {
  readonly transcoder: { transcode(job: TranscodeJob, signal: AbortSignal): Promise<TranscodeOutput> }
  readonly read: (path: string) => Promise<Uint8Array>
  /** Keeps the renditions; called before the segment counts as done. */
  readonly keep: (output: TranscodeOutput, session: number, segment: number) => Promise<void>
  /** Called for each segment in the order in which they finish. */
  readonly done: (timing: SegmentTiming) => void
  /** Has fractions of milliseconds. */
  readonly clock: Clock
}

/** A segment that takes this long will never finish; lateness below it is only measured. */
const DEADLINE_MS = 600_000

/**
 * Runs all sessions, each segment by segment, and returns the timings of all. The first segment that fails ends every
 * session: throws NodeError `bench-failed` with a sentence that names it.
 */
export async function runSessions(
  work: BenchWork,
  needs: BenchNeeds,
  signal: AbortSignal,
): Promise<SegmentTiming[]> {
  const timings: SegmentTiming[] = []
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  let failure: unknown = null
  const sessions = Array.from({ length: work.sessions }, async (_, session) => {
    try {
      if (session > 0) await needs.clock.sleep(session * work.sessionDelayMs, either)
      for await (const timing of oneSession(session, work, needs, either)) {
        timings.push(timing)
        needs.done(timing)
      }
    } catch (error) {
      failure ??= error
      failed.abort()
    }
  })
  await Promise.all(sessions)
  if (failure) throw failure
  return timings
}

async function* oneSession(
  session: number,
  work: BenchWork,
  needs: BenchNeeds,
  signal: AbortSignal,
): AsyncGenerator<SegmentTiming> {
  for (const [segment, { path, durationMs }] of work.segments.entries()) {
    const startMs = needs.clock.now()
    let output: TranscodeOutput
    try {
      const source = await needs.read(path)
      const job = {
        ...{ sessionId: `${work.round}/${session}`, source, durationMs, deadlineMs: DEADLINE_MS, clip: null },
        ...{ profiles: work.profiles, provider: work.provider, calcPerceptualHash: work.mpeg7Sign },
      }
      output = await needs.transcoder.transcode(job, signal)
      await needs.keep(output, session, segment)
    } catch (error) {
      if (isAbort(error)) throw error
      const where = `segment ${segment} of session ${session} (${path})`
      throw new NodeError<BenchFault>('bench-failed', `${where} failed: ${messageOf(error)}`, {
        cause: error,
      })
    }
    const endMs = needs.clock.now()
    const tookMs = endMs - startMs
    yield { session, segment, endMs, durationMs, tookMs, frames: output.renditions[0]?.frames ?? 0 }
    const isLast = segment === work.segments.length - 1
    if (work.isLive && !isLast && tookMs < durationMs) await needs.clock.sleep(durationMs - tookMs, signal)
  }
}
