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
import type { ChosenResult, FastVerification } from './fast-verification.ts'
import { GatewayError } from './gateway-error.ts'
import type { NoSessions } from './no-sessions.ts'
import { FailedVerification, type ScoredResult, type SegmentResult } from './segment-result.ts'
import type { SegmentJob, SegmentWork } from './segment-work.ts'
import type { Assignment, Session } from './session.ts'
import { SEARCH_AGAIN_MS, type Selection, type StreamSessions } from './sessions.ts'
import type { Stream } from './stream.ts'

/** A stream without orchestrators searches for this long after a segment arrives. */
const SEARCH_MS = 3_000
/** The pause between two attempts at an orchestrator that has just restarted and may not be ready yet. */
const RECOVERY_MS = 1_000

/** What the tries of a segment work with. */
export interface SegmentTriesNeeds {
  readonly work: SegmentWork
  readonly comparison: FastVerification
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
    const failedResults: (ScoredResult & { readonly session: Session })[] = []
    const unable = new Set<string>()
    /** Orchestrators whose result was lost, as with a node that goes down before it is fetched. */
    const lost = new Set<string>()
    const signals = { stream: stream.signal, publisher: signal }
    let failure: Failure = null
    let wasAway = false
    let toldAttempt = 1
    let attempt = 1
    let sinceMs = started
    const note = ({ session: { info, key } }: Assignment, error: string | null) =>
      story.attempts.push({ orchestrator: key, address: info.address, error, tookMs: clock.now() - sinceMs })
    const fail = async (assignment: Assignment, error: unknown) => {
      note(assignment, messageOf(error))
      const { session } = assignment
      const isLost = error instanceof AttemptError && error.details.isResultLost === true
      const keeps = isLost && !lost.has(session.key) && attempt < this.#maxAttempts
      if (isLost) lost.add(session.key)
      failure = await this.#settleFailure(stream, job, assignment, { error, keeps })
      if (failure.fault === 'unable') unable.add(session.key)
      if (error instanceof FailedVerification && error.result)
        failedResults.push({ ...error.result, session })
    }
    for (; attempt <= this.#maxAttempts; attempt++) {
      // A publisher may leave once it has sent its segment: further attempts are made only while it waits (gateway.md
      // §3).
      if (attempt > 1 && signal.aborted)
        throw new GatewayError('segment-failed', 'cancelled: the client went away', { failure: 'cancelled' })
      wasAway ||= sessions.areAway
      const patienceMs = this.#patienceMs(faultOf(failure), { wasAway, job, sinceMs: started })
      const selected = await this.#select(job, sessions, { patienceMs, unable })
      if (selected === null) {
        story.attempts.push({ orchestrator: '', address: null, tookMs: 0, error: null })
        return await this.#failWithoutSession(manifestId, sessions)
      }
      if (attempt > toldAttempt) {
        toldAttempt = attempt
        events.tell({ kind: 'segment-retried', manifestId, sequence, attempt })
      }
      sinceMs = clock.now()
      const made = await this.#attempt(job, selected, { sessions, signals, fail })
      if (made) {
        note(made.assignment, null)
        this.#needs.noSessions.settled(manifestId)
        const { assignment, isCompared, result } = made
        const facts = {
          attempts: attempt,
          tookMs: clock.now() - started,
          ...(isCompared && { isVerified: true }),
        }
        this.#tellDone(job, assignment.session, result, facts)
        return result.renditions
      }
      const isEarly = clock.now() < started + segmentLimitMs(durationMs)
      if (faultOf(failure) === 'unsent' && sessions.areAway && isEarly) {
        // Not an attempt: the only orchestrator may be restarting.
        attempt--
        story.attempts.pop()
        await clock.sleep(SEARCH_AGAIN_MS, stream.signal).catch(() => {})
      }
      const madeDo = bestFailedResult(failedResults)
      if (madeDo) {
        const facts = { attempts: attempt, tookMs: clock.now() - started, isVerified: false }
        this.#tellDone(job, madeDo.session, madeDo, facts)
        this.#needs.log.warn('every result failed verification, serving the best of them', {
          manifestId,
          sequence,
        })
        return madeDo.renditions
      }
    }
    // Each attempt went to the only orchestrator, which is away: no session, as after one attempt.
    if (sessions.areAway) return await this.#failWithoutSession(manifestId, sessions)
    const causes = await this.#needs.noSessions.explain(manifestId, sessions)
    throw new GatewayError('segment-refused', `hit max transcode attempts: ${reasonOf(failure)}`, {
      causes,
      failure: 'max-attempts',
    })
  }

  async #failWithoutSession(manifestId: string, sessions: StreamSessions): Promise<never> {
    const causes = await this.#needs.noSessions.explain(manifestId, sessions)
    throw new GatewayError('no-sessions', 'No sessions available', { causes, failure: 'no-orchestrators' })
  }

  /** The sessions that the segment goes to now; null if there is none. */
  async #select(
    { durationMs, verificationFrequency }: SegmentJob,
    sessions: StreamSessions,
    { patienceMs, unable }: { readonly patienceMs: number | null; readonly unable: ReadonlySet<string> },
  ): Promise<Selection | null> {
    const compared =
      verificationFrequency > 0 ? sessions.selectToCompare(durationMs, verificationFrequency) : null
    if (compared) return compared
    const first =
      patienceMs === null
        ? sessions.select(durationMs)
        : await sessions.selectPatiently(durationMs, patienceMs, unable)
    return first && { first, others: [] }
  }

  /** Null if it failed, which `fail` was told. */
  async #attempt(
    job: SegmentJob,
    { first, others }: Selection,
    context: Parameters<FastVerification['attempt']>[2],
  ): Promise<ChosenResult | null> {
    if (others.length > 0) return this.#needs.comparison.attempt(job, [first, ...others], context)
    const { fail, sessions, signals } = context
    try {
      const result = await this.#work.attempt(job, first, sessions, signals)
      sessions.complete(first, result.latencyScore)
      return { assignment: first, result, isCompared: false }
    } catch (error) {
      await fail(first, error)
      return null
    }
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

/** What the last attempt failed with; it is set where the compiler does not see it. */
type Failure = { readonly fault: AttemptFault; readonly reason: string } | null

function faultOf(failure: Failure): AttemptFault | null {
  return failure?.fault ?? null
}

function reasonOf(failure: Failure): string {
  return failure?.reason ?? ''
}
