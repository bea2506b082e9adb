import { encodedPixels } from '../../domain/balance.ts'
import { withoutStorage } from '../../domain/capabilities.ts'
import type { NodeEvents, SegmentFailure } from '../../domain/events.ts'
import { beyondDeclared, pixelsOfFailure } from '../../domain/failed-work.ts'
import {
  type AuthToken,
  type RenditionResult,
  type SegmentData,
  segmentLimitMs,
  type TranscodeResult,
} from '../../domain/segment.ts'
import { resultHash } from '../../domain/signed-hashes.ts'
import type { Clock } from '../../lib/clock.ts'
import { type Address, keccak256, type Signer, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Backlog } from '../../lib/turns.ts'
import type { Transcoder } from '../transcoding/transcoder.ts'
import type { AwaitedResults } from './awaited-results.ts'
import type { Offers } from './offers.ts'
import type { OpenSessions, Session } from './open-sessions.ts'
import { SegmentError } from './orchestrator-error.ts'
import type { ResultUploads } from './result-uploads.ts'
import { storeResults } from './results.ts'
import type { Reservation } from './segment-accounts.ts'

/** Segments of one session that may wait while another is transcoded (wire.md §10). */
const MAX_QUEUED_PER_SESSION = 4
/** A smaller rendition cannot be a video (transcoding.md §6). */
const MIN_RENDITION_BYTES = 25
const NOTHING: Backlog = { count: 0, durationMs: 0 }

/** What answers say of this node. */
export interface SegmentAnswersOptions {
  /** The address that tickets pay, or null offchain; named in the metadata of renditions. */
  readonly recipient: Address | null
  readonly version: string
}

/** What answers are made with. */
export interface SegmentAnswersNeeds {
  readonly signer: Pick<Signer, 'sign'>
  readonly transcoder: Transcoder
  /** Saves results outside this node; absent or null: nowhere. */
  readonly uploads?: ResultUploads | null
  readonly events: NodeEvents
  readonly clock: Clock
  readonly log: Log
}

/** The parts of the orchestrator that an answer concerns. */
export interface SegmentAnswersParts {
  readonly offers: Offers
  readonly sessions: OpenSessions
  readonly results: AwaitedResults
}

/** An admitted segment with its session and its reservation. */
export interface Booking {
  readonly segment: SegmentData
  readonly token: AuthToken
  readonly sender: Address
  readonly session: Session
  readonly reservation: Reservation
  /** The gateway's host; null where it is not counted. */
  readonly clientIp: string | null
  /** When it was admitted: from then on its bytes were awaited. */
  readonly admittedMs: number
}

/** Answers segments that were admitted: has each transcoded in its session's turn, signs the result and charges it. */
export class SegmentAnswers {
  readonly #options: SegmentAnswersOptions
  readonly #needs: SegmentAnswersNeeds
  readonly #offers: Offers
  readonly #sessions: OpenSessions
  readonly #results: AwaitedResults

  constructor(options: SegmentAnswersOptions, needs: SegmentAnswersNeeds, parts: SegmentAnswersParts) {
    this.#options = options
    this.#needs = needs
    this.#offers = parts.offers
    this.#sessions = parts.sessions
    this.#results = parts.results
  }

  /** Whether the transcoder can finish a segment of a session in time, after the work that is before it there. */
  canFinish(
    sessionId: string,
    durationMs: number,
    before: Backlog = NOTHING,
    limitMs = segmentLimitMs(durationMs),
  ): boolean {
    return this.#needs.transcoder.canFinish?.({ sessionId, durationMs, limitMs, before }) ?? true
  }

  /** The result of a segment, signed, or why there is none. Charges what was done, or frees what was set aside. */
  async answer(booking: Booking, source: Uint8Array, signal: AbortSignal): Promise<TranscodeResult> {
    const { reservation, segment, sender, session, token } = booking
    this.#tellArrival(booking, source)
    const started = this.#needs.clock.now()
    let hasBegun = false
    let outcome: TranscodeResult['outcome']
    try {
      if (!this.#sessions.keepsPlace(session) && !this.#sessions.hasPlace)
        throw new SegmentError('capped', 'OrchestratorCapped')
      const onBegin = () => {
        hasBegun = true
      }
      const { pixels, results, sig } = await this.#inTurn(
        session,
        (deadlineMs) => this.#transcode(booking, source, { deadlineMs, onBegin }, signal),
        segment.durationMs,
      )
      // The answer does not wait for the charge: a charge lost in a crash is this node's loss.
      void this.#charge(booking, pixels)
      this.#sessions.finished(session)
      outcome = { kind: 'data', renditions: results, sig }
      this.#needs.events.tell({
        ...{ kind: 'segment-done', side: 'orchestrator', sessionId: token.sessionId },
        ...{ manifestId: segment.manifestId, clientIp: booking.clientIp, durationMs: segment.durationMs },
        ...{ tookMs: this.#needs.clock.now() - started, pixels, renditions: results.length },
        profiles: segment.profiles.map(({ name }) => name),
        price: reservation.price,
      })
    } catch (error) {
      const text = messageOf(error)
      this.#needs.log.warn('segment failed', { sessionId: token.sessionId, seq: segment.seq, error })
      this.#needs.events.tell({
        kind: 'segment-failed',
        side: 'orchestrator',
        sessionId: token.sessionId,
        failure: failureOf(error),
        reason: text,
      })
      const owed = pixelsOfFailure(error, { hasBegun, declared: declaredPixels(segment) })
      if (owed > 0n) void this.#charge(booking, owed)
      else reservation.release()
      outcome = { kind: 'error', text }
    }
    return { seq: segment.seq, info: await this.#offers.renewed(sender, token), outcome }
  }

  /** Never rejects. */
  async #charge({ reservation, sender, token }: Booking, pixels: bigint): Promise<void> {
    try {
      await reservation.charge(pixels)
    } catch (error) {
      const { sessionId } = token
      this.#needs.log.error('segment could not be charged', { sender, sessionId, pixels, error })
    }
  }

  /**
   * Does work in its session's turn, within the time that is left of the segment's limit. Refuses what would wait behind
   * too many or for too long.
   */
  async #inTurn<T>(
    session: Session,
    work: (deadlineMs: number) => Promise<T>,
    durationMs: number,
  ): Promise<T> {
    const before = this.#sessions.inTurn(session)
    if (before.count > MAX_QUEUED_PER_SESSION || !this.canFinish(session.id, durationMs, before)) {
      throw new SegmentError('busy', 'OrchestratorBusy')
    }
    const deadline = this.#needs.clock.now() + segmentLimitMs(durationMs)
    return await this.#sessions.takeTurn(session, durationMs, async () => {
      const left = deadline - this.#needs.clock.now()
      if (left <= 0) throw new SegmentError('too-late', 'the segment waited longer than its deadline')
      if (!this.canFinish(session.id, durationMs, NOTHING, left))
        throw new SegmentError('busy', 'OrchestratorBusy')
      return await work(left)
    })
  }

  async #transcode(
    { reservation: { maxPixels }, segment, sender, token: { sessionId } }: Booking,
    source: Uint8Array,
    { deadlineMs, onBegin }: { deadlineMs: number; onBegin: () => void },
    signal: AbortSignal,
  ): Promise<{ results: readonly RenditionResult[]; pixels: bigint; sig: Uint8Array }> {
    const { clock, signer, uploads = null } = this.#needs
    const untilMs = clock.now() + deadlineMs
    const output = await this.#needs.transcoder.transcode(
      {
        sessionId,
        payer: sender === ZERO_ADDRESS ? null : sender,
        segment: { ...segment, capabilities: segment.capabilities && withoutStorage(segment.capabilities) },
        source,
        profiles: segment.profiles,
        durationMs: segment.durationMs,
        deadlineMs,
        provider: `Livepeer Transcoder ${this.#options.version} (${this.#options.recipient ?? 'offchain'})`,
        clip: segment.clip,
        calcPerceptualHash: segment.calcPerceptualHash,
        maxPixels,
        onBegin,
      },
      signal,
    )
    if (output.renditions.length !== segment.profiles.length)
      throw new SegmentError('mismatch', 'MismatchedSegments')
    if (output.renditions.some((rendition) => rendition.bytes.length < MIN_RENDITION_BYTES)) {
      throw new SegmentError('empty-rendition', 'ZeroSegments')
    }
    const pixels = output.renditions.reduce((sum, rendition) => sum + rendition.pixels, 0n)
    // Remote transcoders are not told the limit.
    if (maxPixels !== null && pixels > maxPixels) throw beyondDeclared(maxPixels)
    const places = { store: this.#results, uploads }
    const limits = { limitMs: untilMs - clock.now(), signal }
    const results = await storeResults(places, { sessionId, segment }, output.renditions, limits)
    const hashes = output.renditions.map((rendition) => keccak256(rendition.bytes))
    // Still in turn: what follows the turn waits for nothing before the session counts as answered.
    return { results, pixels, sig: await signer.sign(resultHash(hashes)) }
  }

  #tellArrival({ admittedMs, clientIp, segment, token }: Booking, source: Uint8Array): void {
    const { clock, events } = this.#needs
    const { durationMs, manifestId } = segment
    events.tell({
      ...{ kind: 'segment-arrived', side: 'orchestrator', sessionId: token.sessionId, manifestId },
      ...{ durationMs, clientIp, bytes: source.length, tookMs: clock.now() - admittedMs },
    })
  }
}

/** What metrics call the failure of a segment. */
function failureOf(error: unknown): SegmentFailure {
  if (!(error instanceof SegmentError)) return 'transcode'
  return error.code === 'busy' || error.code === 'capped' ? error.code : 'transcode'
}

/** What a segment comes to by what its gateway declares (payments.md §7). */
export function declaredPixels({ durationMs, profiles }: SegmentData): bigint {
  return encodedPixels(profiles, durationMs)
}
