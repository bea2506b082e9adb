import {
  AttemptError,
  type AttemptFault,
  attemptConsequence,
  bestFailedResult,
  isAbsence,
  isGone,
} from '../../domain/attempt.ts'
import type { NodeEvents, SegmentAttempt } from '../../domain/events.ts'
import { segmentLimitMs } from '../../domain/segment.ts'
import { skippedFor } from '../../domain/skipped-offer.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { GatewayError } from './gateway-error.ts'
import type { NoSessions } from './no-sessions.ts'
import { PixelMismatch, type SegmentJob, type SegmentResult, type SegmentWork } from './segment-work.ts'
import type { Assignment, Session } from './session.ts'
import { SEARCH_AGAIN_MS } from './sessions.ts'
import type { Stream } from './stream.ts'

/** A stream without orchestrators searches for this long after a segment arrives. */
const SEARCH_MS = 3_000
/** The pause between two attempts at an orchestrator that has just restarted and may not be ready yet. */
const RECOVERY_MS = 1_000

/** What the tries of a segment work with. */
export interface SegmentTriesNeeds {
  readonly work: SegmentWork
  readonly noSessions: NoSessions
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
}

/** What is told of a segment. */
type ToldSegment = Pick<SegmentJob, 'bytes' | 'durationMs' | 'sequence'>

/** What has been tried for a segment. */
interface Story {
  readonly startedMs: number
  readonly attempts: SegmentAttempt[]
}

/** Sends a segment to one orchestrator after another until one transcodes it or another attempt cannot help. */
export class SegmentTries {
  readonly #maxAttempts: number
  readonly #work: SegmentWork
  readonly #needs: Omit<SegmentTriesNeeds, 'work'>

  constructor(options: { maxAttempts: number }, needs: SegmentTriesNeeds) {
    this.#maxAttempts = options.maxAttempts
    this.#work = needs.work
    this.#needs = needs
  }

  /** The renditions' bytes in profile order, from the first orchestrator that transcodes it. */
  async transcode(stream: Stream, job: SegmentJob, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const story: Story = { startedMs: this.#needs.clock.now(), attempts: [] }
    try {
      const renditions = await this.#transcode(stream, job, { story, signal })
      this.#tellTried(stream, job, { ...story, isDone: true })
      return renditions
    } catch (error) {
      this.#tellTried(stream, job, { ...story, isDone: false })
      throw error
    }
  }

  /** Tells of a segment for which no attempt may be made. */
  tellUntried(stream: Stream, segment: ToldSegment): void {
    this.#tellTried(stream, segment, { startedMs: this.#needs.clock.now(), attempts: null, isDone: false })
  }

  #tellTried(
    { manifestId, streamId }: Stream,
    { bytes, durationMs, sequence }: ToldSegment,
    {
      startedMs,
      ...facts
    }: Omit<Story, 'attempts'> & {
      readonly attempts: readonly SegmentAttempt[] | null
      readonly isDone: boolean
    },
  ): void {
    const { clock, events } = this.#needs
    events.tell({
      ...{ kind: 'segment-tried', manifestId, streamId, sequence, durationMs, bytes: bytes.length },
      ...{ startedMs, tookMs: clock.now() - startedMs, ...facts },
    })
  }

  async #transcode(
    stream: Stream,
    job: SegmentJob,
    { signal, story }: { readonly signal: AbortSignal; readonly story: Story },
  ): Promise<readonly Uint8Array[]> {
    const { clock, events } = this.#needs
    const { manifestId, sequence, durationMs } = job
    const { sessions } = stream
    const started = clock.now()
    const mismatches: PixelMismatch['result'][] = []
    const unable = new Set<string>()
    /** Orchestrators whose result was lost, as with a node that goes down before it is fetched. */
    const lost = new Set<string>()
    const signals = { stream: stream.signal, publisher: signal }
    let failure: { readonly fault: AttemptFault; readonly reason: string } | null = null
    let wasAway = false
    let toldAttempt = 1
    for (let attempt = 1; attempt <= this.#maxAttempts; attempt++) {
      // A publisher may leave once it has sent its segment: further attempts are made only while it waits (gateway.md
      // §3).
      if (attempt > 1 && signal.aborted)
        throw new GatewayError('segment-failed', 'cancelled: the client went away', { failure: 'cancelled' })
      wasAway ||= sessions.areAway
      const patienceMs = this.#patienceMs(failure?.fault ?? null, { wasAway, job, sinceMs: started })
      const assignment =
        patienceMs === null
          ? sessions.select(durationMs)
          : await sessions.selectPatiently(durationMs, patienceMs, unable)
      if (assignment === null) {
        story.attempts.push({ orchestrator: '', address: null, tookMs: 0, error: null })
        const causes = await this.#needs.noSessions.explain(manifestId, sessions)
        throw new GatewayError('no-sessions', 'No sessions available', {
          causes,
          failure: 'no-orchestrators',
        })
      }
      const { session } = assignment
      const transcoder = session.key
      const sinceMs = clock.now()
      const note = (error: string | null) =>
        story.attempts.push({
          ...{ orchestrator: transcoder, address: session.info.address, error },
          tookMs: clock.now() - sinceMs,
        })
      if (attempt > toldAttempt) {
        toldAttempt = attempt
        events.tell({ kind: 'segment-retried', manifestId, sequence, attempt })
      }
      try {
        const result = await this.#work.attempt(job, assignment, sessions, signals)
        sessions.complete(assignment, result.latencyScore)
        note(null)
        this.#needs.noSessions.settled(manifestId)
        this.#tellDone(job, session, result, { attempts: attempt, tookMs: clock.now() - started })
        return result.renditions
      } catch (error) {
        note(messageOf(error))
        const isLost = error instanceof AttemptError && error.details.isResultLost === true
        const keeps = isLost && !lost.has(transcoder) && attempt < this.#maxAttempts
        if (isLost) lost.add(transcoder)
        failure = await this.#settleFailure(stream, job, assignment, { error, keeps })
        if (failure.fault === 'unable') unable.add(transcoder)
        if (
          failure.fault === 'unsent' &&
          sessions.areAway &&
          clock.now() < started + segmentLimitMs(durationMs)
        ) {
          // Not an attempt: the only orchestrator may be restarting.
          attempt--
          story.attempts.pop()
          await clock.sleep(SEARCH_AGAIN_MS, stream.signal).catch(() => {})
        }
        if (error instanceof PixelMismatch) {
          mismatches.push(error.result)
          const madeDo = bestFailedResult(mismatches)
          if (madeDo) {
            const facts = { attempts: attempt, tookMs: clock.now() - started, isVerified: false }
            this.#tellDone(job, session, madeDo, facts)
            this.#needs.log.warn('every result failed verification, serving the best of them', {
              manifestId,
              sequence,
            })
            return madeDo.renditions
          }
        }
      }
    }
    const causes = await this.#needs.noSessions.explain(manifestId, sessions)
    throw new GatewayError('segment-refused', `hit max transcode attempts: ${failure?.reason ?? ''}`, {
      causes,
      failure: 'max-attempts',
    })
  }

  #tellDone(
    { clientIp, durationMs, manifestId, profiles, sequence }: SegmentJob,
    { info, key: orchestrator, trust }: Session,
    { latencyScore, pixels, renditions, transcodeMs }: SegmentResult,
    facts: { readonly attempts: number; readonly tookMs: number; readonly isVerified?: boolean },
  ): void {
    this.#needs.events.tell({
      ...{ kind: 'segment-done', side: 'gateway', manifestId, sequence, durationMs, clientIp },
      ...{ latencyScore, pixels, transcodeMs, renditions: renditions.length, orchestrator },
      ...{ orchestratorAddress: info.address, orchestratorVersion: info.capabilities?.version ?? '' },
      ...{ profiles: profiles.map(({ name }) => name), isTrusted: trust === 'trusted' },
      ...{ isVerified: this.#work.verifies, ...facts },
    })
  }

  /** How long to search for an orchestrator, in ms; null if waiting would not help. */
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

  /**
   * Applies a fault's consequence to the session, unless it `keeps` it; returns the fault, or throws it if the segment is
   * not to be retried.
   */
  async #settleFailure(
    stream: Stream,
    job: SegmentJob,
    assignment: Assignment,
    { error, keeps }: { error: unknown; keeps: boolean },
  ): Promise<{ readonly fault: AttemptFault; readonly reason: string }> {
    const { sessions } = stream
    if (!(error instanceof AttemptError)) {
      sessions.release(assignment)
      throw error
    }
    const { code: fault, message: reason } = error
    const { manifestId, sequence } = job
    const transcoder = assignment.session.key
    const consequence = attemptConsequence[fault]
    this.#needs.events.tell({
      kind: 'attempt-failed',
      manifestId,
      sequence,
      orchestrator: transcoder,
      fault,
      reason,
    })
    this.#needs.log.info('orchestrator failed a segment', {
      manifestId,
      sequence,
      transcoder,
      fault,
      reason,
    })
    const why = skippedFor(error)
    if (keeps) sessions.release(assignment)
    else if (consequence.session === 'suspend') sessions.fail(assignment, reason, isGone(fault), why)
    else if (consequence.session === 'remove') sessions.remove(assignment, reason)
    else sessions.release(assignment)
    if (consequence.segment === 'refuse')
      throw new GatewayError('segment-refused', reason, { cause: error, failure: 'not-retryable' })
    if (consequence.segment === 'fail') {
      const causes =
        why.kind === 'unpayable'
          ? await this.#needs.noSessions.explain(manifestId, {
              size: 1,
              skipped: new Map([[transcoder, why]]),
            })
          : []
      throw new GatewayError('segment-failed', reason, { cause: error, causes })
    }
    return { fault, reason }
  }
}
