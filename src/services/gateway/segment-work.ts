import { AttemptError, faultOfText, isDisprovedByDecoding } from '../../domain/attempt.ts'
import { isTokenEnding } from '../../domain/auth-token.ts'
import { encodedPixels } from '../../domain/balance.ts'
import type { Capabilities } from '../../domain/capabilities.ts'
import type { NodeEvents } from '../../domain/events.ts'
import type { Profile } from '../../domain/rendition.ts'
import {
  type Clip,
  maxRenditionBytes,
  type OrchestratorInfo,
  type RenditionResult,
  type TranscodeResult,
} from '../../domain/segment.ts'
import { latencyScore } from '../../domain/selection.ts'
import { resultHash } from '../../domain/signed-hashes.ts'
import type { Clock } from '../../lib/clock.ts'
import { keccak256, type Signer, signedBy, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { isUnsent, paymentFault } from './attempt-faults.ts'
import { infoRequest } from './discovery.ts'
import type { Payer, StagedPayment } from './payer.ts'
import { countedPixels, type RenditionDecoder } from './rendition-check.ts'
import type { ResultStore } from './result-store.ts'
import type { ResultVerifier } from './result-verifier.ts'
import {
  FailedVerification,
  failedVerdict,
  type SegmentResult,
  type UnsettledResult,
} from './segment-result.ts'
import { SegmentSubmissions, type ShownPayment, type WorkSignals } from './segment-submissions.ts'
import type { Assignment, Session } from './session.ts'
import type { StreamSessions } from './sessions.ts'
import type { SubmissionClient } from './submission.ts'

/** How long an orchestrator may take to renew its offer (gateway.md §10). */
const REFRESH_TIMEOUT_MS = 2_500
/** Reported pixels that this node did not count are believed up to this many times the estimate. */
const UNCOUNTED_FACTOR = 4n

/** The largest perceptual hash that is fetched: of five minutes at several hundred frames a second. */
const MAX_SIGNATURE_BYTES = 8_000_000

/** Decodes video and counts its pixels. */
export interface PixelCounter {
  /**
   * Throws NodeError `media-busy` if no worker was free in time, and others if the bytes cannot be decoded. `streamId`
   * names the stream to charge with crashed workers.
   */
  countPixels(bytes: Uint8Array, signal: AbortSignal, streamId?: string): Promise<bigint>
}

/** A segment to be transcoded, the same for every attempt. */
export interface SegmentJob {
  readonly manifestId: string
  readonly sequence: bigint
  readonly bytes: Uint8Array
  /** keccak-256 of the bytes. */
  readonly hash: Uint8Array
  readonly durationMs: number
  readonly profiles: readonly Profile[]
  readonly capabilities: Capabilities
  readonly clip: Clip | null
  readonly forceSessionReinit: boolean
  readonly timeoutMultiplier: number
  /** The publisher's address; null where it is not known. */
  readonly clientIp: string | null
  /** Where orchestrators may save its results; null or absent: at themselves. */
  readonly store?: ResultStore | null
  /** One result in so many is compared with a trusted orchestrator's (gateway.md §8); 0 for none. */
  readonly verificationFrequency: number
}

/** What an attempt works with. */
export interface SegmentWorkNeeds {
  readonly client: SubmissionClient
  readonly payer: Payer
  readonly signer: Signer
  /** Checks renditions; null trusts the orchestrator (-localVerify=false). */
  readonly verifier: RenditionDecoder | null
  /** Judges results too; null for none. */
  readonly externalVerifier: ResultVerifier | null
  /** Decodes inputs that an orchestrator called undecodable. */
  readonly inputs: PixelCounter
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
}

/** One segment at one orchestrator: renew the offer, pay, submit, fetch, verify. */
export class SegmentWork {
  readonly #needs: SegmentWorkNeeds
  readonly #submissions: SegmentSubmissions
  readonly #renewals = new WeakMap<Session, Promise<void>>()

  constructor(needs: SegmentWorkNeeds) {
    this.#needs = needs
    this.#submissions = new SegmentSubmissions(needs)
  }

  /** Whether renditions are checked. */
  get verifies(): boolean {
    return this.#needs.verifier !== null || this.#needs.externalVerifier !== null
  }

  /** Throws AttemptError; the caller decides what happens to the session. */
  async attempt(
    job: SegmentJob,
    assignment: Assignment,
    sessions: StreamSessions,
    signals: WorkSignals,
  ): Promise<SegmentResult> {
    const { result, settle } = await this.attemptToCompare(job, assignment, sessions, signals)
    settle(true)
    return result
  }

  /** As `attempt`, for a result that is compared with others before it counts as delivered. */
  async attemptToCompare(
    job: SegmentJob,
    assignment: Assignment,
    sessions: StreamSessions,
    signals: WorkSignals,
  ): Promise<UnsettledResult> {
    const { session } = assignment
    const signal = signals.stream
    await this.#prepare(job, session, sessions, signal)
    const shown = await this.#submissions.stage(job, session)
    try {
      const result = await this.#work(job, session, { sessions, shown, signals })
      return { result, settle: (isGood) => shown.staged.settled(isGood ? result.delivered : 0n) }
    } catch (error) {
      shown.staged.settled(await this.#deliveredDespite(error, job, { staged: shown.staged, signal }))
      throw error
    }
  }

  async #work(
    job: SegmentJob,
    session: Session,
    { sessions, shown, signals }: { sessions: StreamSessions; shown: ShownPayment; signals: WorkSignals },
  ): Promise<SegmentResult> {
    const signal = signals.stream
    const sentTo = session.info
    const { answeredMs, result, sentMs } = await this.#submissions.submit(job, session, shown, signals)
    const { info } = result
    const transcodeMs = this.#needs.clock.now() - answeredMs
    const score = latencyScore(this.#needs.clock.now() - sentMs, job.durationMs)
    const { renditions, sig } = dataOf(result)
    const pixels = renditions.reduce((sum, rendition) => sum + rendition.pixels, 0n)
    if (renditions.some((rendition) => rendition.pixels < 0n)) {
      throw new AttemptError('bad-answer', 'negative pixels in the result')
    }
    shown.staged.completed(pixels)
    if (job.store?.mayHaveLost(job, sentTo, renditions.length)) {
      const details = { isResultLost: true }
      throw new AttemptError('download-failed', 'results could not be saved in the object store', { details })
    }
    if (renditions.length !== job.profiles.length) {
      throw new AttemptError(
        'bad-answer',
        `${renditions.length} renditions in the result, ${job.profiles.length} requested`,
      )
    }
    const fetchedFromMs = this.#needs.clock.now()
    const bytes = await this.#fetch(job, renditions, sentTo, signal)
    this.#needs.events.tell({
      ...{ kind: 'segment-downloaded', manifestId: job.manifestId, orchestrator: session.key },
      tookMs: this.#needs.clock.now() - fetchedFromMs,
    })
    const outcome = {
      ...{ renditions: bytes, pixels, latencyScore: score, transcodeMs },
      signatureOf: (index: number, until: AbortSignal) => this.#signature(renditions[index]!, sentTo, until),
    }
    const { verifier } = this.#needs
    if (verifier && !isSigned(info ?? session.info, bytes, sig))
      throw new AttemptError('signature-mismatch', 'PM Check Failed')
    if (info) sessions.refreshed(session, info)
    const counts = verifier && (await countedPixels(job.bytes, bytes, { decoder: verifier, signal }))
    const made = { ...outcome, delivered: deliveredPixels(job, renditions, counts ?? []) }
    if (counts?.some((count, i) => count !== null && count !== renditions[i]!.pixels)) {
      const found = { result: { ...made, score: 0 }, delivered: made.delivered }
      throw new FailedVerification('pixel-mismatch', 'PixelMismatch', found)
    }
    await this.#judge(job, session, { made, pixels: renditions.map((one) => one.pixels), signal })
    return made
  }

  /** Asks the operator's verifier, if there is one. Throws FailedVerification. */
  async #judge(
    job: SegmentJob,
    { info, key }: Session,
    { made, pixels, signal }: { made: SegmentResult; pixels: readonly bigint[]; signal: AbortSignal },
  ): Promise<void> {
    const { externalVerifier } = this.#needs
    if (!externalVerifier) return
    const { bytes: source, durationMs, manifestId, profiles, sequence } = job
    const orchestrator = info.ticketParams?.recipient.toLowerCase().slice(2) ?? key
    const renditions = profiles.map((profile, index) => ({
      ...{ profile, bytes: made.renditions[index]!, pixels: pixels[index]! },
    }))
    const judged = { manifestId, sequence, durationMs, orchestrator, source, renditions }
    const verdict = await externalVerifier.judge(judged, signal)
    if (verdict?.fault) throw failedVerdict(made, { ...verdict, fault: verdict.fault })
  }

  /** Renews an offer that is about to expire, once, and checks that it can be paid. */
  async #prepare(
    job: SegmentJob,
    session: Session,
    sessions: StreamSessions,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, payer } = this.#needs
    const { authToken } = session.info
    if (authToken === null) throw new AttemptError('missing-token', 'missing auth token')
    let renewed = false
    if (session.payment.needsRefresh() || isTokenEnding(authToken, session.tokenSinceMs, clock.now())) {
      await this.#renew(job, session, sessions, signal)
      renewed = true
    }
    try {
      await payer.validate(session.info)
    } catch (error) {
      const lapsed = error instanceof NodeError && error.code === 'params-expired'
      if (!lapsed || renewed) throw paymentFault(error)
      await this.#renew(job, session, sessions, signal)
      await payer.validate(session.info).catch((again: unknown) => Promise.reject(paymentFault(again)))
    }
  }

  /** Segments of one session that arrive together share one renewal. */
  #renew(job: SegmentJob, session: Session, sessions: StreamSessions, signal: AbortSignal): Promise<void> {
    let renewal = this.#renewals.get(session)
    if (!renewal) {
      renewal = this.#askAgain(job, session, sessions, signal).finally(() => this.#renewals.delete(session))
      this.#renewals.set(session, renewal)
    }
    return renewal
  }

  async #askAgain(
    job: SegmentJob,
    session: Session,
    sessions: StreamSessions,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, clock, signer } = this.#needs
    const { authToken, reach, transcoder } = session.info
    const tokenEnds = authToken !== null && isTokenEnding(authToken, session.tokenSinceMs, clock.now())
    let info: OrchestratorInfo
    try {
      const request = await infoRequest(signer, job.capabilities)
      info = await client.info(transcoder, request, { timeoutMs: REFRESH_TIMEOUT_MS, reach }, signal)
    } catch (error) {
      signal.throwIfAborted()
      throw new AttemptError(isUnsent(error) ? 'unsent' : 'refresh-failed', messageOf(error), {
        cause: error,
      })
    }
    if (info.authToken === null) throw new AttemptError('missing-token', 'missing auth token')
    sessions.renewed(session, info, tokenEnds)
    if (session.state.kind === 'ended') throw new AttemptError('refresh-failed', session.state.reason)
  }

  /** Fetches all in parallel; if one fails, the others are aborted. */
  async #fetch(
    job: SegmentJob,
    renditions: readonly RenditionResult[],
    info: OrchestratorInfo,
    signal: AbortSignal,
  ): Promise<readonly Uint8Array[]> {
    const { bytes, durationMs, profiles, store } = job
    const { reach, transcoder: base } = info
    const giveUp = new AbortController()
    const either = AbortSignal.any([signal, giveUp.signal])
    try {
      return await Promise.all(
        renditions.map(async ({ url }, i) => {
          const saved = await store?.load(url, profiles[i]!, { segment: job, info }, either)
          if (saved) return saved
          const maxBytes = maxRenditionBytes(profiles[i]!, { durationMs, sourceBytes: bytes.length })
          return await this.#needs.client.fetchRendition(url, { base, reach, maxBytes }, either)
        }),
      )
    } catch (error) {
      giveUp.abort()
      signal.throwIfAborted()
      // Distinguishes an orchestrator that is down from one that lacks the rendition.
      const isCut = error instanceof NodeError && error.code === 'unreachable'
      const options = { cause: error, details: { isResultLost: true } }
      throw new AttemptError(isCut ? 'unreachable' : 'download-failed', messageOf(error), options)
    }
  }

  async #signature(
    { perceptualHashUrl: url }: RenditionResult,
    { reach, transcoder: base }: OrchestratorInfo,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    if (url === '') throw new AttemptError('bad-answer', 'no perceptual hash in the result')
    return this.#needs.client.fetchRendition(url, { base, reach, maxBytes: MAX_SIGNATURE_BYTES }, signal)
  }

  /** The pixels that a failed attempt delivered anyway; null if it says nothing about the orchestrator. */
  async #deliveredDespite(
    error: unknown,
    job: SegmentJob,
    { staged, signal }: { staged: StagedPayment; signal: AbortSignal },
  ): Promise<bigint | null> {
    if (signal.aborted || !(error instanceof AttemptError)) return null
    if (error instanceof FailedVerification) return error.delivered
    if (error.code !== 'not-retryable') return 0n
    // The answer blames the input. If that is false, the payment is lost as with any other failure.
    const isFalse =
      staged.payment !== null &&
      isDisprovedByDecoding(error.message) &&
      (await this.#isDecodable(job, signal))
    return isFalse ? 0n : null
  }

  async #isDecodable({ bytes, manifestId }: SegmentJob, signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.#needs.inputs.countPixels(bytes, signal, manifestId)) > 0n
    } catch {
      // Key frames are missing, the input is damaged, or this node is too busy to tell.
      return false
    }
  }
}

/**
 * The pixels that the orchestrator has earned: at most those counted or, if none were counted, several times the
 * estimate, since publishers declare durations and frame rates only roughly.
 */
function deliveredPixels(
  { durationMs, profiles }: SegmentJob,
  renditions: readonly RenditionResult[],
  counts: readonly (bigint | null)[],
): bigint {
  let delivered = 0n
  for (const [i, { pixels: claimed }] of renditions.entries()) {
    const limit = counts[i] ?? UNCOUNTED_FACTOR * encodedPixels([profiles[i]!], durationMs)
    const pixels = claimed < limit ? claimed : limit
    if (pixels > 0n) delivered += pixels
  }
  return delivered
}

function dataOf({ outcome }: TranscodeResult): {
  readonly renditions: readonly RenditionResult[]
  readonly sig: Uint8Array
} {
  if (outcome.kind === 'data') return outcome
  const text = outcome.kind === 'none' ? '' : outcome.text
  throw new AttemptError(faultOfText(text, 'error-in-result'), text)
}

/**
 * Whether the result is signed by the address that the orchestrator states, or by its recipient if it states none;
 * without ticket params nothing can be checked (gateway.md §12).
 */
function isSigned(info: OrchestratorInfo, renditions: readonly Uint8Array[], sig: Uint8Array): boolean {
  if (info.ticketParams === null) return true
  const signer = info.address === ZERO_ADDRESS ? info.ticketParams.recipient : info.address
  return signedBy(signer, resultHash(renditions.map((bytes) => keccak256(bytes))), sig)
}
