import {
  bitsOf,
  bitstringOf,
  type Capabilities,
  defaultCapabilities,
  satisfies,
} from '../domain/capabilities.ts'
import { capacitiesOf, forTranscoder, type Notice, type Registration } from '../domain/transcoder-notice.ts'
import { Alarm } from '../lib/alarm.ts'
import type { Clock } from '../lib/clock.ts'
import { equalSecrets } from '../lib/crypto.ts'
import { abortError, messageOf, NodeError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Service } from '../lib/service.ts'
import type { ResultStore, SegmentJob, TranscodeOutput, Transcoder } from './orchestrator.ts'

/** Transcoders that are taken in. */
const MAX_TRANSCODERS = 1_000
/** The largest capacity that is believed. */
const MAX_CAPACITY = 1_000
/** Notices that wait for a transcoder to read them; one that reads none for so long is lost. */
const MAX_UNREAD = 256
/** When a transcoder's stream broke and no other can take its segment: how long its result, or another, is waited for. */
const LOST_GRACE_MS = 3_000

/** Why a transcoder is not taken in, or a segment not done; the message is a text that peers know (wire.md §13). */
export type PoolFault = 'invalid-secret' | 'zero-capacity' | 'no-transcoder' | 'too-late' | 'remote-failure'

/** A refusal by the pool. */
export class PoolError extends NodeError<PoolFault> {
  override name = 'PoolError'
}

/** What has happened, for whoever counts. */
export interface PoolEvents {
  transcoders(event: { count: number; capacity: number; load: number }): void
  transcoderLost(event: { address: string; reason: LossReason }): void
}

/** Why a transcoder is in the pool no more. */
export type LossReason = 'stream-ended' | 'too-late' | 'does-not-read'

export interface TranscoderPoolOptions {
  /** Base URL at which transcoders fetch their sources. */
  readonly serviceUri: string
  /** What transcoders have to show. */
  readonly secret: string
  /** Whom the work is for, as it is named to transcoders: the recipient's address, or `offchain`. */
  readonly orchestrator: string
  /** What this node offers by itself. */
  readonly capabilities: Capabilities
  /** How many sessions its own engine works on at once, where it has one. */
  readonly localCapacity: number
}

export interface TranscoderPoolNeeds {
  /** Does the work of this node itself; null when it has no engine. */
  readonly local: Transcoder | null
  /** Where sources wait for transcoders. */
  readonly sources: ResultStore
  readonly clock: Clock
  readonly log: Log
  readonly events: PoolEvents
}

/** A transcoder as the operator sees it. */
export interface TranscoderState {
  readonly address: string
  readonly sinceMs: number
  readonly capacity: number
  /** Sessions that it has. */
  readonly load: number
  readonly running: number
  readonly done: number
  readonly failed: number
  readonly version: string
}

interface Member {
  readonly address: string
  readonly sinceMs: number
  readonly capacity: number
  readonly capabilities: Capabilities
  readonly sessions: Set<string>
  /** Null for the engine of this node. */
  readonly remote: Outlet | null
  readonly tasks: Map<bigint, Attempt>
  done: number
  failed: number
}

/** The stream of notices to a transcoder. */
interface Outlet {
  readonly unread: Notice[]
  readonly alarm: Alarm
  isOver: boolean
}

/** One try of a segment at one transcoder. */
interface Attempt {
  readonly work: Work
  readonly member: Member
}

/** A segment that is being done. */
interface Work {
  readonly job: SegmentJob
  readonly result: PromiseWithResolvers<TranscodeOutput>
  readonly tried: Set<Member>
  /** Of transcoders whose stream broke too: their result still counts. */
  readonly taskIds: Set<bigint>
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
  readonly #bySession = new Map<string, Member>()
  readonly #attempts = new Map<bigint, Attempt>()
  /** Segments that wait for a transcoder to come. */
  readonly #stranded = new Set<Work>()
  #nextTask = 0n

  constructor(options: TranscoderPoolOptions, needs: TranscoderPoolNeeds) {
    this.#options = options
    this.#needs = needs
    if (!needs.local) return
    const offer = { capabilities: options.capabilities, capacity: options.localCapacity }
    this.#members.add(memberOf('local', offer, null, needs.clock))
  }

  start(): void {
    this.#tell()
  }

  /** How many sessions all transcoders together take. */
  get capacity(): number {
    return [...this.#members].reduce((sum, { capacity }) => sum + capacity, 0)
  }

  /** What this node offers with all its transcoders (wire.md §7): their capacities are added up. */
  get capabilities(): Capabilities {
    const own = this.#options.capabilities
    const capacities = new Map(own.capacities)
    for (const { capabilities, remote } of this.#members) {
      if (!remote) continue
      for (const [bit, capacity] of capacitiesOf(capabilities)) {
        capacities.set(bit, (capacities.get(bit) ?? 0) + capacity)
      }
    }
    const bits = [...capacities].flatMap(([bit, capacity]) => (capacity > 0 ? [bit] : []))
    return { ...own, bitstring: bitstringOf([...bits, ...bitsOf(own.bitstring)]), capacities }
  }

  /** The transcoders of other machines. */
  status(): TranscoderState[] {
    return [...this.#members]
      .filter(({ remote }) => remote)
      .map(({ address, sinceMs, capacity, sessions, tasks, done, failed, capabilities }) => ({
        ...{ address, sinceMs, capacity, done, failed },
        load: sessions.size,
        running: tasks.size,
        version: capabilities.version,
      }))
  }

  /** Whether somebody shows the secret. */
  knowsSecret(shown: string): boolean {
    const { secret } = this.#options
    return secret !== '' && equalSecrets(utf8(shown), utf8(secret))
  }

  /** Whether the result of a task is waited for. */
  isWanted(taskId: bigint): boolean {
    return this.#attempts.has(taskId)
  }

  /**
   * Takes a transcoder in for as long as its notices are read, and gives these; ends when it is dropped from the pool.
   * Throws PoolError with the texts that end a transcoder: `invalid secret`, `zero capacity` (wire.md §13).
   */
  async *register(
    registration: Registration,
    address: string,
    signal: AbortSignal,
  ): AsyncGenerator<Notice, void> {
    if (!this.knowsSecret(registration.secret)) {
      this.#needs.log.warn('a transcoder shows a wrong secret', { address })
      throw new PoolError('invalid-secret', 'invalid secret')
    }
    if (registration.capacity <= 0) throw new PoolError('zero-capacity', 'zero capacity')
    if (this.#members.size >= MAX_TRANSCODERS) {
      throw new PoolError('no-transcoder', `there are ${MAX_TRANSCODERS} transcoders already`)
    }
    const outlet: Outlet = { unread: [], alarm: new Alarm(), isOver: false }
    const capabilities = registration.capabilities ?? defaultCapabilities('')
    const capacity = Math.min(registration.capacity, MAX_CAPACITY)
    const member = memberOf(address, { capabilities, capacity }, outlet, this.#needs.clock)
    this.#members.add(member)
    this.#needs.log.info('a transcoder has come', { address, capacity, version: capabilities.version })
    this.#tell()
    for (const work of [...this.#stranded]) this.#tryAgain(work)
    try {
      while (!signal.aborted && !outlet.isOver) {
        const notice = outlet.unread.shift()
        if (notice) yield notice
        else await outlet.alarm.wait(this.#needs.clock, 60_000, signal).catch(() => {})
      }
    } finally {
      this.#drop(member, 'stream-ended')
    }
  }

  /** A transcoder is done with a task. One that nobody waits for any more is no error. */
  finish(taskId: bigint, outcome: TranscodeOutput | NodeError): void {
    const attempt = this.#attempts.get(taskId)
    if (!attempt) return
    const { member, work } = attempt
    this.#attempts.delete(taskId)
    member.tasks.delete(taskId)
    if (!(outcome instanceof NodeError)) {
      member.done++
      work.result.resolve(outcome)
      return
    }
    member.failed++
    // Its session goes elsewhere: the next segment may fare better there.
    this.#release(work.job.sessionId, member)
    const isTriedElsewhere = [...work.taskIds].some((id) => this.#attempts.has(id))
    if (!isTriedElsewhere) work.result.reject(outcome)
  }

  /** The session is over: its transcoder has room for another. */
  sessionEnded(sessionId: string): void {
    const member = this.#bySession.get(sessionId)
    if (!member) return
    this.#release(sessionId, member)
    this.#notify(member, { kind: 'teardown', sessionId })
  }

  /** Has a segment done. Throws the texts of wire.md §13, or the transcoder's own. */
  async transcode(job: SegmentJob, signal: AbortSignal): Promise<TranscodeOutput> {
    if (signal.aborted) throw abortError(signal)
    const work: Work = { job, result: Promise.withResolvers(), tried: new Set(), taskIds: new Set() }
    work.result.promise.catch(() => {})
    const over = new AbortController()
    const stop = () => work.result.reject(abortError(signal))
    signal.addEventListener('abort', stop, { once: true })
    this.#needs.clock.sleep(job.deadlineMs, over.signal).then(
      () => this.#expire(work),
      () => {},
    )
    try {
      this.#assign(work)
      return await work.result.promise
    } finally {
      over.abort()
      signal.removeEventListener('abort', stop)
      this.#forget(work)
    }
  }

  /** Gives the work to a transcoder. Throws when there is none. */
  #assign(work: Work): void {
    const member = this.#choose(work)
    work.tried.add(member)
    this.#bySession.set(work.job.sessionId, member)
    member.sessions.add(work.job.sessionId)
    this.#tell()
    if (member.remote) this.#send(work, member)
    else this.#doHere(work)
  }

  /** Sticky; else who suits the job and has the least to do. */
  #choose(work: Work): Member {
    const { segment, sessionId } = work.job
    const current = this.#bySession.get(sessionId)
    if (current && !work.tried.has(current)) return current
    const untried = [...this.#members].filter((member) => !work.tried.has(member))
    const suitable = untried.filter(
      ({ capabilities }) => !segment.capabilities || satisfies(segment.capabilities, capabilities),
    )
    if (untried.length > 0 && suitable.length === 0) {
      throw new PoolError('no-transcoder', 'no transcoders can provide requested capabilities')
    }
    const load = ({ capacity, sessions }: Member) => sessions.size / capacity
    const [first, ...others] = suitable
    const best = others.reduce((least, next) => (least && load(next) < load(least) ? next : least), first)
    if (!best || best.sessions.size >= best.capacity) {
      throw new PoolError('no-transcoder', 'no transcoders available')
    }
    return best
  }

  #send(work: Work, member: Member): void {
    const { orchestrator, serviceUri } = this.#options
    const { segment, sessionId, source } = work.job
    const taskId = this.#nextTask++
    const attempt: Attempt = { work, member }
    this.#attempts.set(taskId, attempt)
    member.tasks.set(taskId, attempt)
    work.taskIds.add(taskId)
    const path = `${sessionId}/${segment.seq}.tempfile`
    this.#needs.sources.put(path, source)
    const url = `${serviceUri}/stream/${path}`
    this.#notify(member, { kind: 'task', taskId, url, orchestrator, segment: forTranscoder(segment) })
  }

  #doHere(work: Work): void {
    const signal = new AbortController()
    work.result.promise.catch(() => {}).finally(() => signal.abort())
    this.#needs.local!.transcode(work.job, signal.signal).then(work.result.resolve, work.result.reject)
  }

  #notify(member: Member, notice: Notice): void {
    const { remote } = member
    if (!remote || remote.isOver) return
    remote.unread.push(notice)
    remote.alarm.ring()
    if (remote.unread.length > MAX_UNREAD) this.#drop(member, 'does-not-read')
  }

  /** The deadline of a segment has passed: whoever had it is frozen, or too slow to be of use. */
  #expire(work: Work): void {
    work.result.reject(new PoolError('too-late', 'Remote transcoder took too long'))
    const late = [...work.taskIds].flatMap((taskId) => this.#attempts.get(taskId)?.member ?? [])
    this.#forget(work)
    for (const member of late) this.#drop(member, 'too-late')
  }

  /** Takes a transcoder out of the pool; its segments go to others. */
  #drop(member: Member, reason: LossReason): void {
    if (!this.#members.delete(member)) return
    const { address, remote, sessions, tasks } = member
    if (remote) {
      remote.isOver = true
      remote.alarm.ring()
    }
    for (const sessionId of [...sessions]) this.#release(sessionId, member)
    this.#needs.log[tasks.size > 0 || reason !== 'stream-ended' ? 'warn' : 'info']('a transcoder has gone', {
      address,
      reason,
      running: tasks.size,
    })
    this.#needs.events.transcoderLost({ address, reason })
    this.#tell()
    for (const { work } of [...tasks.values()]) this.#tryAgain(work)
  }

  /** Gives a segment to another transcoder; where there is none, waits a little for one, or for the lost one's result. */
  #tryAgain(work: Work): void {
    this.#stranded.delete(work)
    try {
      this.#assign(work)
    } catch (error) {
      this.#stranded.add(work)
      this.#needs.clock.sleep(LOST_GRACE_MS).then(
        () => {
          if (this.#stranded.has(work)) work.result.reject(error)
        },
        () => {},
      )
      this.#needs.log.warn('a segment waits for a transcoder', {
        sessionId: work.job.sessionId,
        reason: messageOf(error),
      })
    }
  }

  #release(sessionId: string, member: Member): void {
    member.sessions.delete(sessionId)
    if (this.#bySession.get(sessionId) === member) this.#bySession.delete(sessionId)
    this.#tell()
  }

  #forget(work: Work): void {
    this.#stranded.delete(work)
    for (const taskId of work.taskIds) {
      this.#attempts.get(taskId)?.member.tasks.delete(taskId)
      this.#attempts.delete(taskId)
    }
  }

  #tell(): void {
    const remote = [...this.#members].filter((member) => member.remote)
    this.#needs.events.transcoders({
      count: remote.length,
      capacity: remote.reduce((sum, { capacity }) => sum + capacity, 0),
      load: remote.reduce((sum, { sessions }) => sum + sessions.size, 0),
    })
  }
}

function memberOf(
  address: string,
  offer: { capabilities: Capabilities; capacity: number },
  remote: Outlet | null,
  clock: Clock,
): Member {
  return {
    ...offer,
    ...{
      address,
      remote,
      sinceMs: clock.now(),
      sessions: new Set<string>(),
      tasks: new Map(),
      done: 0,
      failed: 0,
    },
  }
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
