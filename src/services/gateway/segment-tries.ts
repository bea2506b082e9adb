import {
  AttemptError,
  type AttemptFault,
  attemptConsequence,
  bestFailedResult,
  isAbsence,
  isGone,
} from '../../domain/attempt.ts'
import { segmentLimitMs } from '../../domain/segment.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { GatewayError, type GatewayEvent } from './gateway-event.ts'
import { PixelMismatch, type SegmentJob, type SegmentWork } from './segment-work.ts'
import type { Assignment } from './session-pool.ts'
import { SEARCH_AGAIN_MS } from './sessions.ts'
import type { Stream } from './stream.ts'

/** A stream without orchestrators looks for some this long, from the arrival of a segment on. */
const SEARCH_MS = 3_000
/** One that has just started again may not be able to do anything yet: it is given this long between two tries. */
const RECOVERY_MS = 1_000

/** A segment tried at one orchestrator after the other, until one does it or there is no sense in going on. */
export class SegmentTries {
  readonly #maxAttempts: number
  readonly #work: SegmentWork
  readonly #needs: { clock: Clock; log: Log; tell(event: GatewayEvent): void }

  constructor(
    options: { maxAttempts: number },
    needs: { work: SegmentWork; clock: Clock; log: Log; tell(event: GatewayEvent): void },
  ) {
    this.#maxAttempts = options.maxAttempts
    this.#work = needs.work
    this.#needs = needs
  }

  /** The renditions' bytes in profile order, from the first orchestrator that does it. */
  async transcode(stream: Stream, job: SegmentJob, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const { clock, tell } = this.#needs
    const { manifestId, sequence, durationMs } = job
    const { sessions } = stream
    const started = clock.now()
    const mismatches: PixelMismatch['result'][] = []
    const unable = new Set<string>()
    let failure: { readonly fault: AttemptFault; readonly reason: string } | null = null
    let wasAway = false
    for (let attempt = 1; attempt <= this.#maxAttempts; attempt++) {
      // A publisher may leave once it has sent its segment: only further tries need somebody who waits (gateway.md §3).
      if (attempt > 1 && signal.aborted)
        throw new GatewayError('segment-failed', 'cancelled: the client went away')
      wasAway ||= sessions.areAway
      const patienceMs = this.#patienceMs(failure?.fault ?? null, { wasAway, job, sinceMs: started })
      const assignment =
        patienceMs === null
          ? sessions.select(durationMs)
          : await sessions.selectPatiently(durationMs, patienceMs, unable)
      if (assignment === null) throw new GatewayError('no-sessions', 'No sessions available')
      const transcoder = assignment.session.key
      try {
        const result = await this.#work.attempt(job, assignment, sessions, stream.signal)
        sessions.complete(assignment, result.latencyScore)
        tell({
          kind: 'segment-transcoded',
          manifestId,
          sequence,
          durationMs,
          tookMs: clock.now() - started,
          attempts: attempt,
          transcoder,
          latencyScore: result.latencyScore,
          pixels: result.pixels,
          renditions: result.renditions.length,
        })
        return result.renditions
      } catch (error) {
        failure = this.#settleFailure(stream, job, assignment, error)
        if (failure.fault === 'unable') unable.add(transcoder)
        if (
          failure.fault === 'unsent' &&
          sessions.areAway &&
          clock.now() < started + segmentLimitMs(durationMs)
        ) {
          // Nothing was tried: the only orchestrator may be starting again.
          attempt--
          await clock.sleep(SEARCH_AGAIN_MS, stream.signal).catch(() => {})
        }
        if (error instanceof PixelMismatch) {
          mismatches.push(error.result)
          const madeDo = bestFailedResult(mismatches)
          if (madeDo) {
            this.#needs.log.warn('a result that fails verification has to do', { manifestId, sequence })
            return madeDo.renditions
          }
        }
      }
    }
    throw new GatewayError('segment-refused', `hit max transcode attempts: ${failure?.reason ?? ''}`)
  }

  /** How long to look for an orchestrator, in ms; null where waiting would not help. */
  #patienceMs(
    fault: AttemptFault | null,
    { job, sinceMs, wasAway }: { job: SegmentJob; sinceMs: number; wasAway: boolean },
  ): number | null {
    if (fault !== null && !isAbsence(fault)) return null
    const left = (limitMs: number) => Math.max(0, sinceMs + limitMs - this.#needs.clock.now())
    const untilDeadline = left(segmentLimitMs(job.durationMs))
    if (!wasAway) return left(SEARCH_MS)
    if (fault === null || isGone(fault)) return untilDeadline
    return Math.max(left(SEARCH_MS), Math.min(RECOVERY_MS, untilDeadline))
  }

  /** Does with the session what its fault entails; gives the fault, or throws when the segment is not to be tried again. */
  #settleFailure(
    stream: Stream,
    job: SegmentJob,
    assignment: Assignment,
    error: unknown,
  ): { readonly fault: AttemptFault; readonly reason: string } {
    const { sessions } = stream
    if (!(error instanceof AttemptError)) {
      sessions.release(assignment)
      throw error
    }
    const { code: fault, message: reason } = error
    const { manifestId, sequence } = job
    const transcoder = assignment.session.key
    const consequence = attemptConsequence[fault]
    this.#needs.tell({ kind: 'attempt-failed', manifestId, sequence, transcoder, fault, reason })
    this.#needs.log.info('an orchestrator did not do a segment', {
      manifestId,
      sequence,
      transcoder,
      fault,
      reason,
    })
    if (consequence.session === 'suspend') sessions.fail(assignment, reason, isGone(fault))
    else if (consequence.session === 'remove') sessions.remove(assignment, reason)
    else sessions.release(assignment)
    if (consequence.segment === 'refuse') throw new GatewayError('segment-refused', reason, { cause: error })
    if (consequence.segment === 'fail') throw new GatewayError('segment-failed', reason, { cause: error })
    return { fault, reason }
  }
}
