import { AttemptError } from '../../domain/attempt.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { readSignature, showSame } from '../../domain/perceptual-hash.ts'
import { extensionOf } from '../../domain/rendition.ts'
import { differenceOf, type Fingerprint, type ResultFault } from '../../domain/result-comparison.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { SegmentResult, UnsettledResult } from './segment-result.ts'
import type { WorkSignals } from './segment-submissions.ts'
import type { SegmentJob, SegmentWork } from './segment-work.ts'
import type { Assignment } from './session.ts'
import type { StreamSessions } from './sessions.ts'

/** Describes what a rendition shows and sounds like. */
export interface RenditionInspector {
  /** Rejects with NodeError `media-busy` if no worker was free in time, and with others if it cannot be decoded. */
  fingerprint(bytes: Uint8Array, signal: AbortSignal): Promise<Fingerprint>
}

/** A segment whose result was not that of a trusted orchestrator. */
export interface RefutedResult {
  readonly manifestId: string
  readonly sequence: bigint
  /** URL. */
  readonly orchestrator: string
  readonly fault: ResultFault
  /** The name of the profile that was compared, and the rendition as it was delivered. */
  readonly rendition: string
  readonly extension: '.ts' | '.mp4'
  readonly bytes: Uint8Array
}

/** Keeps results that were refuted, for the operator to look at; never throws, and does not wait. */
export interface RefutedResults {
  keep(result: RefutedResult): void
}

/** What fast verification works with. */
export interface FastVerificationNeeds {
  readonly work: SegmentWork
  readonly media: RenditionInspector
  readonly dice: Dice
  readonly log: Log
  readonly events: NodeEvents
  readonly refuted?: RefutedResults | null
}

/** The result that is used, and whose it is. */
export interface ChosenResult {
  readonly assignment: Assignment
  readonly result: SegmentResult
  /** Whether it was compared with a trusted orchestrator's. */
  readonly isCompared: boolean
}

/** Applies the consequence of a failed attempt to its session. May reject where the segment cannot be done at all. */
export type FailAssignment = (assignment: Assignment, error: unknown) => Promise<void>

/** What an attempt belongs to. */
interface Context {
  readonly sessions: StreamSessions
  readonly signals: WorkSignals
  readonly fail: FailAssignment
}

interface Candidate extends UnsettledResult {
  readonly assignment: Assignment
}

interface Verdict {
  readonly used: Candidate
  readonly faults: ReadonlyMap<Candidate, ResultFault>
  readonly isCompared: boolean
}

/**
 * Has one segment done by several orchestrators and compares what untrusted ones made of it with what a trusted one did
 * (gateway.md §8): the perceptual hash that they state, then one rendition itself, decoded here. The first one that
 * passes is used and proven; those before it are suspended, and not paid in the accounts. If none passes, the trusted
 * result is used and nobody is suspended.
 */
export class FastVerification {
  readonly #needs: FastVerificationNeeds

  constructor(needs: FastVerificationNeeds) {
    this.#needs = needs
  }

  /** Null if every orchestrator failed, each of which was handed to `fail`. */
  async attempt(
    job: SegmentJob,
    assignments: readonly Assignment[],
    context: Context,
  ): Promise<ChosenResult | null> {
    const { fail, sessions } = context
    const done = await this.#attemptAll(job, assignments, context)
    if (done.length === 0) return null
    const { faults, isCompared, used } = await this.#settle(job, done, context)
    for (const one of done) {
      const fault = faults.get(one)
      if (one === used) sessions.complete(one.assignment, one.result.latencyScore)
      else if (fault === undefined || !isCompared) sessions.dismiss(one.assignment)
      else await fail(one.assignment, new AttemptError('result-refuted', TEXTS[fault]))
    }
    if (isCompared) sessions.prove(used.assignment.session)
    return { assignment: used.assignment, result: used.result, isCompared }
  }

  /** Waits for all of them. An error that concerns the whole segment counts only if nobody did it. */
  async #attemptAll(
    job: SegmentJob,
    assignments: readonly Assignment[],
    { fail, sessions, signals }: Context,
  ): Promise<readonly Candidate[]> {
    const settled = await Promise.allSettled(
      assignments.map((assignment) => this.#needs.work.attemptToCompare(job, assignment, sessions, signals)),
    )
    const done: Candidate[] = []
    const fatal: unknown[] = []
    for (const [index, outcome] of settled.entries()) {
      const assignment = assignments[index]!
      if (outcome.status === 'fulfilled') done.push({ ...outcome.value, assignment })
      else await fail(assignment, outcome.reason).catch((error: unknown) => fatal.push(error))
    }
    if (done.length === 0 && fatal.length > 0) throw fatal[0]
    return done
  }

  /** Judges the results, and counts those without a fault as delivered. */
  async #settle(
    job: SegmentJob,
    done: readonly Candidate[],
    { sessions, signals }: Context,
  ): Promise<Verdict> {
    try {
      const verdict = await this.#judge(job, done, signals.stream)
      for (const one of done) one.settle(!verdict.faults.has(one))
      return verdict
    } catch (error) {
      for (const one of done) {
        one.settle(true)
        sessions.release(one.assignment)
      }
      throw error
    }
  }

  /** What there is without a trusted result, or without another, is used as it is. */
  async #judge(job: SegmentJob, done: readonly Candidate[], signal: AbortSignal): Promise<Verdict> {
    const trusted = done.find(isTrusted)
    const others = done.filter((one) => !isTrusted(one))
    if (!trusted || others.length === 0) return { used: done[0]!, faults: new Map(), isCompared: false }
    const { faults, passed } = await this.#compare(job, trusted, others, signal)
    return { used: passed ?? trusted, faults, isCompared: passed !== null }
  }

  /** Compares one rendition, chosen at random after the work was done, until an untrusted result passes. */
  async #compare(
    job: SegmentJob,
    trusted: Candidate,
    others: readonly Candidate[],
    signal: AbortSignal,
  ): Promise<{ passed: Candidate | null; faults: Map<Candidate, ResultFault> }> {
    const { dice, events, log, media } = this.#needs
    const { manifestId, profiles, sequence } = job
    const faults = new Map<Candidate, ResultFault>()
    const index = Math.floor(dice.fraction() * profiles.length)
    try {
      const truth = await media.fingerprint(trusted.result.renditions[index]!, signal)
      const stated = await this.#stated(trusted, index, signal)
      for (const one of others) {
        const fault = await this.#faultOf(one, index, { truth, stated, signal })
        const orchestrator = one.assignment.session.key
        events.tell({ kind: 'result-compared', manifestId, sequence, orchestrator, fault })
        if (fault === null) return { passed: one, faults }
        faults.set(one, fault)
        const bytes = one.result.renditions[index]!
        const { format, name: rendition } = profiles[index]!
        const extension = extensionOf(format)
        this.#needs.refuted?.keep({ manifestId, sequence, orchestrator, fault, rendition, extension, bytes })
      }
    } catch (error) {
      signal.throwIfAborted()
      // The trusted result cannot be decoded, or this node is too busy: that is nobody else's fault.
      log.info('results were not compared', { manifestId, sequence, error })
      faults.clear()
    }
    return { passed: null, faults }
  }

  /** Rejects where this node cannot tell. */
  async #faultOf(
    one: Candidate,
    index: number,
    { signal, stated, truth }: { truth: Fingerprint; stated: Uint8Array | null; signal: AbortSignal },
  ): Promise<ResultFault | null> {
    if (stated) {
      const claimed = await this.#stated(one, index, signal)
      if (!claimed || !isSame(claimed, stated)) return 'signature'
    }
    try {
      return differenceOf(truth, await this.#needs.media.fingerprint(one.result.renditions[index]!, signal))
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof NodeError && UNABLE.has(error.code)) throw error
      // It cannot be decoded.
      return 'pictures'
    }
  }

  /** The hash that an orchestrator states; null if there is none, or it is none. */
  async #stated(
    { assignment, result }: Candidate,
    index: number,
    signal: AbortSignal,
  ): Promise<Uint8Array | null> {
    try {
      const bytes = await result.signatureOf(index, signal)
      readSignature(bytes)
      return bytes
    } catch (error) {
      signal.throwIfAborted()
      const { key: transcoder } = assignment.session
      this.#needs.log.debug('no perceptual hash from an orchestrator', {
        transcoder,
        reason: messageOf(error),
      })
      return null
    }
  }
}

/** Faults of this node's media engine alone: a rendition that ends a worker or takes for ever is no good one. */
const UNABLE: ReadonlySet<string> = new Set(['media-busy', 'media-stopped'])

const TEXTS: Readonly<Record<ResultFault, string>> = {
  signature: 'its perceptual hash is not that of the trusted orchestrator',
  size: 'its rendition has another size than that of the trusted orchestrator',
  sound: 'its rendition sounds unlike that of the trusted orchestrator',
  pictures: 'its rendition shows other pictures than that of the trusted orchestrator',
}

function isTrusted({ assignment }: Candidate): boolean {
  return assignment.session.trust === 'trusted'
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return showSame(readSignature(one), readSignature(other))
}
