import type { Capabilities } from '../../domain/capabilities.ts'
import { WORKER_DIED } from '../../domain/offences.ts'
import { maxSourceBytes, segmentLimitMs } from '../../domain/segment.ts'
import type { Notice, Registration } from '../../domain/transcoder-notice.ts'
import type { Dice } from '../../lib/dice.ts'
import { abortError, messageOf, NodeError } from '../../lib/errors.ts'
import type { ObjectStore } from '../../lib/object-store.ts'
import type { Service } from '../../lib/service.ts'
import { Offenders } from './offenders.ts'
import { PoolError } from './pool-error.ts'
import type { AdmittedJob, NextSegment, TranscodeOutput, Transcoder } from './transcoder.ts'
import { chooseTranscoder } from './transcoder-choice.ts'
import type { Member, TranscoderPeer, TranscoderState } from './transcoder-member.ts'
import { type RosterNeeds, type RosterOptions, TranscoderRoster } from './transcoder-roster.ts'
import { type TasksNeeds, TranscoderTasks, type Work } from './transcoder-tasks.ts'

/** When a transcoder is lost and no other can take its segment, the segment waits at least this long for a result or another. */
const LOST_GRACE_MS = 3_000
/** How often a waiting segment checks whether a transcoder is still expected. */
const RECHECK_MS = 250
export interface TranscoderPoolOptions extends RosterOptions {
  /** Base URL at which transcoders fetch their sources. */
  readonly serviceUri: string
  /** As it is named to transcoders: the recipient's address, or `offchain`. */
  readonly orchestrator: string
}

export interface TranscoderPoolNeeds
  extends Omit<RosterNeeds, 'localCapacity'>,
    Pick<TasksNeeds, 'sourceUrlFor'> {
  /** This node's own engine, and how many sessions it takes; null when it has none. */
  readonly local: (Transcoder & { readonly sessions: number }) | null
  /** Where sources wait to be fetched by transcoders. */
  readonly sources: ObjectStore
  readonly dice: Dice
}

/** The result of a task that a transcoder works on. */
export interface WantedResult {
  /** Aborted once the result is no longer wanted. */
  readonly over: AbortSignal
  /** The largest result that is accepted. */
  readonly maxBytes: number
  /** Which transcoder has the task. */
  readonly transcoder: string
}

/**
 * The transcoders of an orchestrator: those of other machines, and its own engine where it has one. A session stays
 * with its transcoder; a segment whose transcoder is lost goes to another (wire.md §13).
 */
export class TranscoderPool implements Service, Transcoder {
  readonly name = 'transcoders'
  readonly #needs: TranscoderPoolNeeds
  readonly #roster: TranscoderRoster
  readonly #bySession = new Map<string, Member>()
  readonly #tasks: TranscoderTasks
  /** Segments that wait for a transcoder to come. */
  readonly #stranded = new Set<Work>()
  readonly #offenders: Offenders

  constructor(options: TranscoderPoolOptions, needs: TranscoderPoolNeeds) {
    this.#needs = needs
    this.#offenders = new Offenders(needs)
    this.#tasks = new TranscoderTasks(options.orchestrator, needs)
    const { local } = needs
    this.#roster = new TranscoderRoster(
      options,
      { ...needs, localCapacity: local && (() => local.sessions) },
      {
        silent: (member) => this.#giveToOthersToo(member),
        left: (member) => {
          for (const sessionId of [...member.sessions.keys()]) this.#release(sessionId, member)
        },
        lost: (member) => {
          for (const work of this.#tasks.worksOf(member)) this.#tryAgain(work)
        },
        changed: () => {
          for (const work of [...this.#stranded]) this.#tryAgain(work)
        },
      },
    )
  }

  start(): void {
    this.#roster.count()
  }

  /** How many sessions all transcoders together take. */
  get capacity(): number {
    return this.#roster.capacity
  }

  /** What this node offers with all its transcoders (wire.md §7). */
  get capabilities(): Capabilities {
    return this.#roster.capabilities
  }

  /** The transcoders of other machines, and those that left lately. */
  status(): TranscoderState[] {
    return this.#roster.status()
  }

  /** Whether a transcoder shows the right secret. */
  knowsSecret(shown: string): boolean {
    return this.#roster.knowsSecret(shown)
  }

  /**
   * Takes a transcoder in for as long as its notices are read, and gives these; ends when it is dropped from the pool.
   * Throws PoolError with the texts that end a transcoder: `invalid secret`, `zero capacity` (wire.md §13).
   */
  register(
    registration: Registration,
    peer: TranscoderPeer,
    signal: AbortSignal,
  ): AsyncGenerator<Notice, void> {
    return this.#roster.register(registration, peer, signal)
  }

  /**
   * What result of a task is wanted; null for none. Results come over connections of their own, perhaps from another
   * address: the task's number, which only its transcoder knows, identifies it; with certificates these do too.
   */
  wanted(taskId: bigint, identity: string | null): WantedResult | null {
    const attempt = this.#tasks.attempt(taskId)
    if (!attempt) {
      this.#tasks.answeredLate(taskId)
      return null
    }
    const { member, work } = attempt
    if (member.identity !== null && member.identity !== identity) {
      this.#needs.log.warn('result refused: another transcoder has the task', { address: member.address })
      return null
    }
    const { durationMs, profiles } = work.job
    const maxBytes = Math.max(1, profiles.length) * maxSourceBytes(durationMs)
    return { over: work.over.signal, maxBytes, transcoder: member.address }
  }

  /** A transcoder has finished a task. A task that is no longer wanted is ignored. */
  finish(taskId: bigint, outcome: TranscodeOutput | NodeError): void {
    const attempt = this.#tasks.attempt(taskId)
    if (!attempt) return
    const { member, work } = attempt
    member.answered(this.#needs.clock.now())
    this.#tasks.end(taskId)
    if (!(outcome instanceof NodeError)) {
      member.done++
      work.result.resolve(outcome)
      return
    }
    // The transcoder does not know the sender, so it cannot refuse a gateway by itself.
    if (outcome.message === WORKER_DIED) this.#offenders.blame(work.job)
    this.#failed(work, member, outcome)
  }

  /** The delivery of a result broke off. It may come again; meanwhile another transcoder gets the segment. */
  resultLost(taskId: bigint): void {
    const attempt = this.#tasks.attempt(taskId)
    if (!attempt) return
    attempt.work.holders.delete(attempt.member)
    this.#tryAgain(attempt.work)
  }

  /** Only the own engine's load is known: a segment that another transcoder may get is not refused. */
  canFinish(next: NextSegment): boolean {
    const known = this.#bySession.get(next.sessionId)
    const isForOthers = known
      ? !known.isLocal
      : this.#roster.remote.some((one) => one.hasRoom && !one.isSilent)
    return isForOthers || (this.#needs.local?.canFinish?.(next) ?? true)
  }

  /** The session is over: its transcoder has room for another. */
  sessionEnded(sessionId: string): void {
    const member = this.#bySession.get(sessionId)
    if (!member) return
    this.#part(sessionId, member)
  }

  /** Transcodes a segment. Throws the texts of wire.md §13 or the transcoder's own, or NodeError `offender`. */
  async transcode(job: AdmittedJob, signal: AbortSignal): Promise<TranscodeOutput> {
    if (signal.aborted) throw abortError(signal)
    this.#offenders.assertWelcome(job)
    const { clock } = this.#needs
    const work: Work = {
      job,
      deadline: clock.now() + job.deadlineMs,
      result: Promise.withResolvers(),
      over: new AbortController(),
      tried: new Set(),
      holders: new Set(),
      tasks: new Set(),
      sourceUrl: null,
      isTimed: false,
    }
    work.result.promise.catch(() => {})
    const stop = () => work.result.reject(abortError(signal))
    signal.addEventListener('abort', stop, { once: true })
    try {
      const refusal = this.#tryElsewhere(work)
      if (refusal && !this.#isAwaited(work)) throw refusal
      if (refusal) this.#strand(work, refusal)
      return await work.result.promise
    } finally {
      signal.removeEventListener('abort', stop)
      work.over.abort()
      this.#stranded.delete(work)
      this.#tasks.close(work)
    }
  }

  /** Gives the work to a transcoder. Throws when there is none. */
  #assign(work: Work): void {
    const { segment, sessionId } = work.job
    const member = this.#choose(work)
    work.tried.add(member)
    work.holders.add(member)
    const before = this.#bySession.get(sessionId)
    if (before && before !== member) before.sessions.delete(sessionId)
    this.#bySession.set(sessionId, member)
    member.sessions.set(sessionId, segment.manifestId)
    this.#roster.count()
    if (member.isLocal) this.#doHere(work, member)
    else this.#send(work, member)
  }

  #choose({ deadline, job, tried }: Work): Member {
    const { durationMs, segment, sessionId } = job
    return chooseTranscoder({
      members: this.#roster.members,
      current: this.#bySession.get(sessionId),
      tried,
      wanted: segment.capabilities,
      isLocalLate: () => {
        const limitMs = deadline - this.#needs.clock.now()
        const next = { sessionId, durationMs, limitMs, before: { count: 0, durationMs: 0 } }
        return this.#needs.local?.canFinish?.(next) === false
      },
    })
  }

  /** Times the deadline of a segment that a transcoder elsewhere has, or none: the own engine times what it has. */
  #keepDeadline(work: Work): void {
    if (work.isTimed) return
    work.isTimed = true
    const { clock } = this.#needs
    clock.sleep(Math.max(0, work.deadline - clock.now()), work.over.signal).then(
      () => this.#expire(work),
      () => {},
    )
  }

  #send(work: Work, member: Member): void {
    this.#keepDeadline(work)
    const taskId = this.#tasks.begin(work, member)
    work.job.onBegin?.()
    this.#tasks.notice(taskId, work).then(
      (notice) => notice && this.#tell(member, notice),
      (error) => work.result.reject(error),
    )
  }

  #doHere(work: Work, member: Member): void {
    const { clock, local } = this.#needs
    const job = { ...work.job, deadlineMs: Math.max(0, work.deadline - clock.now()) }
    local!.transcode(job, work.over.signal).then(
      (output) => {
        member.done++
        work.result.resolve(output)
      },
      (error) => this.#failed(work, member, error),
    )
  }

  /** Moves the session to another transcoder for its next segment; another try of this segment may still succeed. */
  #failed(work: Work, member: Member, error: unknown): void {
    member.failed++
    this.#part(work.job.sessionId, member)
    work.holders.delete(member)
    if (work.holders.size === 0) work.result.reject(error)
  }

  #tell(member: Member, notice: Notice): void {
    if (!member.tell(notice)) this.#roster.drop(member, 'does-not-read')
  }

  /**
   * The deadline of a segment has passed. A transcoder that held it for at least half its limit and answered nothing
   * meanwhile may hang, or the segment may last longer than its gateway declared. Our own engine keeps deadlines by
   * itself.
   */
  #expire(work: Work): void {
    const attempts = this.#tasks.attemptsOf(work)
    if (attempts.length === 0 && !this.#stranded.has(work)) return
    work.result.reject(new PoolError('too-late', 'Remote transcoder took too long'))
    this.#tasks.expire(work)
    for (const { member, sinceMs } of attempts) {
      this.#release(work.job.sessionId, member)
      const hadMs = this.#needs.clock.now() - sinceMs
      const isAtWork = (member.lastAnswerMs ?? Number.NEGATIVE_INFINITY) >= sinceMs
      if (2 * hadMs >= segmentLimitMs(work.job.durationMs) && !isAtWork) {
        const { payer, sessionId } = work.job
        this.#roster.late(member, payer ?? sessionId)
      }
    }
  }

  /** A transcoder may hang: others get its segments too. */
  #giveToOthersToo(member: Member): void {
    for (const work of this.#tasks.worksOf(member)) this.#tryElsewhere(work)
  }

  /** Gives a segment to a transcoder that has not had it; returns the reason when there is none. */
  #tryElsewhere(work: Work): PoolError | null {
    try {
      this.#assign(work)
      return null
    } catch (error) {
      if (error instanceof PoolError) return error
      throw error
    }
  }

  /** Gives a segment to another transcoder; where there is none, waits a little for one, or for the lost one's result. */
  #tryAgain(work: Work): void {
    // A live transcoder may have it already.
    const isInGoodHands = [...work.holders].some((member) => this.#roster.has(member) && !member.isSilent)
    const reason = isInGoodHands ? null : this.#tryElsewhere(work)
    if (!reason) return void this.#stranded.delete(work)
    if (!this.#stranded.has(work)) this.#strand(work, reason, LOST_GRACE_MS)
  }

  /** Lets a segment wait for a transcoder: for `graceMs`, and for as long as one is expected back. */
  #strand(work: Work, reason: PoolError, graceMs = 0): void {
    const { clock, log } = this.#needs
    this.#keepDeadline(work)
    this.#stranded.add(work)
    const { sessionId } = work.job
    log.warn('segment is waiting for a transcoder', { sessionId, reason: messageOf(reason) })
    const graceEndsMs = clock.now() + graceMs
    const wait = async () => {
      while (clock.now() < graceEndsMs || this.#isAwaited(work)) {
        await clock.sleep(RECHECK_MS, work.over.signal)
        if (!this.#stranded.has(work)) return
      }
      work.result.reject(reason)
    }
    // Its wait ends with the segment.
    wait().catch(() => {})
  }

  /** Whether a transcoder is expected back that can do the segment. */
  #isAwaited({ job }: Work): boolean {
    return this.#roster.isAwaited(job.sessionId, job.segment.capabilities)
  }

  /** Ends a session at a transcoder, which is told once it has no task of it left. */
  #part(sessionId: string, member: Member): void {
    this.#release(sessionId, member)
    if (member.isLocal) this.#needs.local?.sessionEnded?.(sessionId)
    else if (!this.#tasks.worksOf(member).some(({ job }) => job.sessionId === sessionId))
      this.#tell(member, { kind: 'teardown', sessionId })
  }

  #release(sessionId: string, member: Member): void {
    member.sessions.delete(sessionId)
    if (this.#bySession.get(sessionId) === member) this.#bySession.delete(sessionId)
    this.#roster.count()
  }
}
