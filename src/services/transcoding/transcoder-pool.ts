import { type Capabilities, defaultCapabilities, withTranscoders } from '../../domain/capabilities.ts'
import { WORKER_DIED } from '../../domain/offences.ts'
import { maxSourceBytes, segmentLimitMs } from '../../domain/segment.ts'
import type { Notice, Registration } from '../../domain/transcoder-notice.ts'
import type { Clock } from '../../lib/clock.ts'
import { equalTexts } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import { abortError, messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Service } from '../../lib/service.ts'
import { DepartedTranscoders } from './departed-transcoders.ts'
import { Offenders } from './offenders.ts'
import { PoolError } from './pool-error.ts'
import type { AdmittedJob, NextSegment, TranscodeOutput, Transcoder } from './transcoder.ts'
import { chooseTranscoder } from './transcoder-choice.ts'
import { type LossReason, Member, type TranscoderPeer, type TranscoderState } from './transcoder-member.ts'
import { pulseOf } from './transcoder-pulse.ts'
import { type SourceStore, TranscoderTasks, type Work } from './transcoder-tasks.ts'

/** Transcoders that are taken in. */
const MAX_TRANSCODERS = 1_000
/** The largest capacity that is believed. */
const MAX_CAPACITY = 1_000
/** When a transcoder is lost and no other can take its segment: how long its result, or another, is waited for at least. */
const LOST_GRACE_MS = 3_000
/** How often a segment that waits looks whether there is still something to wait for. */
const RECHECK_MS = 250
/** How long a transcoder whose segment was late may go without any answer before it is taken to hang. */
const LATE_GRACE_MS = 60_000
/** From this many gateways on whose segments it was late with it is at once. */
const LATE_GATEWAYS = 2
/** What has happened, for whoever counts. */
export interface PoolEvents {
  transcoders(event: { count: number; capacity: number; load: number }): void
  transcoderLost(event: { address: string; reason: LossReason }): void
}

export interface TranscoderPoolOptions {
  /** Base URL at which transcoders fetch their sources. */
  readonly serviceUri: string
  /** What transcoders have to show. */
  readonly secret: string
  /** Whom the work is for, as it is named to transcoders: the recipient's address, or `offchain`. */
  readonly orchestrator: string
  /** What this node offers by itself. */
  readonly capabilities: Capabilities
}

export interface TranscoderPoolNeeds {
  /** Does the work of this node itself, and how many sessions it takes; null when it has no engine. */
  readonly local: (Transcoder & { readonly sessions: number }) | null
  readonly sources: SourceStore
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: PoolEvents
}

/** The result of a task that a transcoder works on. */
export interface WantedResult {
  /** Aborted once it is not waited for any more. */
  readonly over: AbortSignal
  /** The largest that is taken. */
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
  readonly #options: TranscoderPoolOptions
  readonly #needs: TranscoderPoolNeeds
  readonly #members = new Set<Member>()
  /** They get no more work, but their connection is there: what they have, they may finish. */
  readonly #leaving = new Set<Member>()
  readonly #departed: DepartedTranscoders
  readonly #bySession = new Map<string, Member>()
  readonly #tasks: TranscoderTasks
  /** Segments that wait for a transcoder to come. */
  readonly #stranded = new Set<Work>()
  readonly #offenders: Offenders
  #offer: Capabilities

  constructor(options: TranscoderPoolOptions, needs: TranscoderPoolNeeds) {
    this.#options = options
    this.#needs = needs
    this.#offenders = new Offenders(needs)
    this.#departed = new DepartedTranscoders(needs)
    this.#tasks = new TranscoderTasks(options, needs)
    this.#offer = options.capabilities
    const { local } = needs
    if (!local) return
    const { capabilities } = options
    const capacity = () => local.sessions
    const sinceMs = needs.clock.now()
    const facts = { address: 'local', identity: null, sinceMs, capacity, capabilities, isLocal: true }
    this.#members.add(new Member(facts))
  }

  start(): void {
    this.#count()
  }

  /** How many sessions all transcoders together take. */
  get capacity(): number {
    return sum([...this.#members], ({ capacity }) => capacity)
  }

  /** What this node offers with all its transcoders (wire.md §7). */
  get capabilities(): Capabilities {
    return this.#offer
  }

  /** The transcoders of other machines, and those that have gone lately. */
  status(): TranscoderState[] {
    const here = this.#remote.map((member) =>
      member.state(member.isSilent ? 'silent' : member.isDoubtful ? 'too-late' : null),
    )
    const leaving = [...this.#leaving].filter(({ tasks }) => tasks.size > 0)
    return [...here, ...leaving.map((member) => member.state('leaving')), ...this.#departed.states]
  }

  /** Whether somebody shows the secret. */
  knowsSecret(shown: string): boolean {
    const { secret } = this.#options
    return secret !== '' && equalTexts(shown, secret)
  }

  /**
   * What is waited for of a task; null when nothing is. Results come over connections of their own, perhaps from another
   * address: the task's number, which only its transcoder was told, says whose they are; with certificates these do too.
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

  /**
   * Takes a transcoder in for as long as its notices are read, and gives these; ends when it is dropped from the pool.
   * Throws PoolError with the texts that end a transcoder: `invalid secret`, `zero capacity` (wire.md §13).
   */
  async *register(
    registration: Registration,
    peer: TranscoderPeer,
    signal: AbortSignal,
  ): AsyncGenerator<Notice, void> {
    const { clock, log } = this.#needs
    const { address } = peer
    if (!this.knowsSecret(registration.secret)) {
      log.warn('a transcoder shows a wrong secret', { address })
      throw new PoolError('invalid-secret', 'invalid secret')
    }
    if (registration.capacity <= 0) throw new PoolError('zero-capacity', 'zero capacity')
    if (this.#members.size >= MAX_TRANSCODERS) {
      throw new PoolError('no-transcoder', `there are ${MAX_TRANSCODERS} transcoders already`)
    }
    const capabilities = registration.capabilities ?? defaultCapabilities('')
    const capacity = Math.min(registration.capacity, MAX_CAPACITY)
    const member = new Member({
      ...{ address, identity: peer.identity ?? null, sinceMs: clock.now(), capabilities, isLocal: false },
      capacity: () => capacity,
    })
    this.#members.add(member)
    this.#departed.registered()
    log.info('a transcoder has come', { address, capacity, version: capabilities.version })
    this.#changed()
    const over = new AbortController()
    this.#watch(member, peer, over.signal).catch(() => {})
    try {
      yield* member.notices(clock, signal)
    } finally {
      over.abort()
      this.#leave(member, peer)
    }
  }

  /** A transcoder is done with a task. One that nobody waits for any more is no error. */
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
    // The transcoder does not know who pays: it cannot refuse a gateway by itself.
    if (outcome.message === WORKER_DIED) this.#offenders.blame(work.job)
    this.#failed(work, member, outcome)
  }

  /** The result of a task broke off on its way. It may come again; meanwhile another is to do the segment. */
  resultLost(taskId: bigint): void {
    const attempt = this.#tasks.attempt(taskId)
    if (!attempt) return
    attempt.work.holders.delete(attempt.member)
    this.#tryAgain(attempt.work)
  }

  /** How much there is to do is known of the own engine alone: a segment that another may get is not refused. */
  canFinish(next: NextSegment): boolean {
    const known = this.#bySession.get(next.sessionId)
    const isForOthers = known ? !known.isLocal : this.#remote.some((one) => one.hasRoom && !one.isSilent)
    return isForOthers || (this.#needs.local?.canFinish?.(next) ?? true)
  }

  /** The session is over: its transcoder has room for another. */
  sessionEnded(sessionId: string): void {
    const member = this.#bySession.get(sessionId)
    if (!member) return
    this.#part(sessionId, member)
  }

  /** Has a segment done. Throws the texts of wire.md §13, or the transcoder's own; or that its gateway is refused for a while. */
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

  get #remote(): Member[] {
    return [...this.#members].filter(({ isLocal }) => !isLocal)
  }

  /** Gives the work to a transcoder. Throws when there is none. */
  #assign(work: Work): void {
    const { sessionId } = work.job
    const member = this.#choose(work)
    work.tried.add(member)
    work.holders.add(member)
    const before = this.#bySession.get(sessionId)
    if (before && before !== member) before.sessions.delete(sessionId)
    this.#bySession.set(sessionId, member)
    member.sessions.add(sessionId)
    this.#count()
    if (member.isLocal) this.#doHere(work, member)
    else this.#send(work, member)
  }

  #choose({ deadline, job, tried }: Work): Member {
    const { durationMs, segment, sessionId } = job
    return chooseTranscoder({
      members: this.#members,
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
    const notice = this.#tasks.begin(work, member)
    work.job.onBegin?.()
    this.#tell(member, notice)
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

  /** Its session goes elsewhere, where the next segment may fare better; another try of the segment may still succeed. */
  #failed(work: Work, member: Member, error: unknown): void {
    member.failed++
    this.#part(work.job.sessionId, member)
    work.holders.delete(member)
    if (work.holders.size === 0) work.result.reject(error)
  }

  #tell(member: Member, notice: Notice): void {
    if (!member.tell(notice)) this.#drop(member, 'does-not-read')
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
      if (2 * hadMs >= segmentLimitMs(work.job.durationMs) && !isAtWork) this.#doubt(member, work.job)
    }
  }

  /**
   * A transcoder may hang: what it has is given to others too, new work goes to others first, and it is dropped once
   * several gateways bear that out or it has answered nothing for long.
   */
  #doubt(member: Member, { payer, sessionId }: AdmittedJob): void {
    if (!this.#members.has(member)) return
    const isNew = !member.isDoubtful
    member.lateFor.add(payer ?? sessionId)
    if (member.lateFor.size >= LATE_GATEWAYS) this.#drop(member, 'too-late')
    if (member.lateFor.size >= LATE_GATEWAYS || !isNew) return
    const { clock, log } = this.#needs
    log.warn('transcoder was late with a segment and answers nothing else', { address: member.address })
    const sinceMs = clock.now()
    clock.sleep(LATE_GRACE_MS, member.over.signal).then(
      () => {
        const hasAnswered = (member.lastAnswerMs ?? Number.NEGATIVE_INFINITY) >= sinceMs
        if (!hasAnswered) this.#drop(member, 'too-late')
      },
      () => {},
    )
    for (const work of this.#tasks.worksOf(member)) this.#tryElsewhere(work)
  }

  /** While a transcoder gives no sign of life it gets no session, and its segments are given to others too. */
  async #watch(member: Member, { address, ping }: TranscoderPeer, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#needs
    for await (const pulse of pulseOf(ping, clock, signal)) {
      if (pulse === 'lost') return this.#drop(member, 'silent')
      member.isSilent = pulse === 'silent'
      log.warn(member.isSilent ? 'a transcoder gives no sign of life' : 'a transcoder is back', {
        ...{ address, running: member.tasks.size },
      })
      if (member.isSilent) for (const work of this.#tasks.worksOf(member)) this.#tryElsewhere(work)
      else this.#changed()
    }
  }

  /** Its stream has ended. With its connection there, it may finish what it has; once that is gone, others have to. */
  #leave(member: Member, { gone }: TranscoderPeer): void {
    if (!this.#members.has(member)) return
    this.#takeOut(member, 'stream-ended')
    if (gone.aborted) this.#lose(member)
    else if (member.tasks.size > 0) {
      this.#leaving.add(member)
      gone.addEventListener('abort', () => this.#lose(member), { once: true })
    }
  }

  /** Takes a transcoder out of the pool; its segments go to others. */
  #drop(member: Member, reason: LossReason): void {
    if (!this.#members.has(member)) return
    this.#takeOut(member, reason)
    this.#lose(member)
  }

  #takeOut(member: Member, reason: LossReason): void {
    const { address, tasks } = member
    this.#members.delete(member)
    this.#departed.add(member, reason)
    member.close()
    for (const sessionId of [...member.sessions]) this.#release(sessionId, member)
    const isHarmless = tasks.size === 0 && reason === 'stream-ended'
    this.#needs.log[isHarmless ? 'info' : 'warn']('a transcoder has gone', {
      ...{ address, reason, running: tasks.size },
    })
    this.#needs.events.transcoderLost({ address, reason })
    this.#changed()
  }

  #lose(member: Member): void {
    this.#leaving.delete(member)
    for (const work of this.#tasks.worksOf(member)) this.#tryAgain(work)
  }

  /** Gives a segment to a transcoder that has not had it, if there is one. Says why there is none. */
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
    // Another may have it already, and live.
    const isInGoodHands = [...work.holders].some((member) => this.#members.has(member) && !member.isSilent)
    const reason = isInGoodHands ? null : this.#tryElsewhere(work)
    if (!reason) return void this.#stranded.delete(work)
    if (!this.#stranded.has(work)) this.#strand(work, reason, LOST_GRACE_MS)
  }

  /** A segment waits for a transcoder: for `graceMs`, and while one that it can hope for is away. */
  #strand(work: Work, reason: PoolError, graceMs = 0): void {
    const { clock, log } = this.#needs
    this.#keepDeadline(work)
    this.#stranded.add(work)
    const { sessionId } = work.job
    log.warn('segment waits for a transcoder', { sessionId, reason: messageOf(reason) })
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

  /** Whether a transcoder that could do a segment may be starting again, and nobody else is there, or it had the session. */
  #isAwaited({ job }: Work): boolean {
    return this.#departed.isAwaited({
      sessionId: job.sessionId,
      wanted: job.segment.capabilities,
      isNoneLeft: this.#members.size === 0,
    })
  }

  /** A session has no more for a transcoder, which is told once nothing of it is left there. */
  #part(sessionId: string, member: Member): void {
    this.#release(sessionId, member)
    if (member.isLocal) this.#needs.local?.sessionEnded?.(sessionId)
    else if (!this.#tasks.worksOf(member).some(({ job }) => job.sessionId === sessionId))
      this.#tell(member, { kind: 'teardown', sessionId })
  }

  #release(sessionId: string, member: Member): void {
    member.sessions.delete(sessionId)
    if (this.#bySession.get(sessionId) === member) this.#bySession.delete(sessionId)
    this.#count()
  }

  /** Transcoders have come or gone, or come to life. */
  #changed(): void {
    this.#offer = withTranscoders(
      this.#options.capabilities,
      this.#remote.map(({ capabilities }) => capabilities),
    )
    for (const work of [...this.#stranded]) this.#tryAgain(work)
    this.#count()
  }

  #count(): void {
    const remote = this.#remote
    this.#needs.events.transcoders({
      count: remote.length,
      capacity: sum(remote, ({ capacity }) => capacity),
      load: sum(remote, ({ sessions }) => sessions.size),
    })
  }
}

function sum(members: readonly Member[], of: (member: Member) => number): number {
  return members.reduce((total, member) => total + of(member), 0)
}
