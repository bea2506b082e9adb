import {
  AUTH_TOKEN_SECONDS,
  type AuthTokenError,
  checkAuthToken,
  isAuthentic,
  makeAuthToken,
} from '../../domain/auth-token.ts'
import { encodedPixels } from '../../domain/balance.ts'
import { type Capabilities, satisfies } from '../../domain/capabilities.ts'
import { beyondDeclared, pixelsOfFailure } from '../../domain/failed-work.ts'
import { extensionOf } from '../../domain/rendition.ts'
import {
  type AuthToken,
  type InfoRequest,
  type OrchestratorInfo,
  type RenditionResult,
  requestHash,
  resultHash,
  type SegmentData,
  segmentHash,
  segmentLimitMs,
  type TranscodeResult,
} from '../../domain/segment.ts'
import type { Payment, PriceInfo, TicketParams } from '../../domain/ticket.ts'
import { formatHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { type Address, keccak256, type Signer, signedBy, ZERO_ADDRESS } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { Transcoder } from '../transcoding/transcoder.ts'
import type { Recipient } from './recipient.ts'
import type { Reservation } from './segment-accounts.ts'

/** Segments of one session that may wait while another is transcoded (wire.md §10). */
const MAX_QUEUED_PER_SESSION = 4
/** A session ends after this long without a finished segment (transcoding.md §10). */
const SESSION_IDLE_MS = 70_000
/**
 * How long a session has its place before its first segment is here: as long as most gateways wait for all of it
 * (wire.md §10). A slower one gets its place when the segment has come, if there still is one.
 */
const FIRST_UPLOAD_MS = 8_000
const SESSION_SWEEP_MS = 5_000
/** How long balancers have to notice that this node is about to stop, before it refuses what they send. */
const NOTICE_MS = 3_000
/** A live stream sends its next segment about one duration after the last; one that is later than this has stopped. */
const LATE_SEGMENT_MS = 1_000
const DRAIN_POLL_MS = 200
/** How long segments that run at the very end may take. */
const LAST_SEGMENTS_MS = 10_000
/** A session is offered before anything is known of its segments; most last so long. */
const OFFERED_SEGMENT_MS = 2_000
const NOTHING = { count: 0, durationMs: 0 }
const TOO_MANY_LOOKUPS = 'too many unknown senders: try again later'
/** A smaller rendition cannot be a video (transcoding.md §6). */
const MIN_RENDITION_BYTES = 25

/** Where a call comes from. */
export interface Caller {
  /** Whom it is counted for; null for a node of this operator. */
  readonly host: string | null
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** Whom the chain may be asked about on behalf of strangers. */
export interface SenderLookups {
  /** False when there were too many look-ups of unknown senders, altogether or for this host. */
  mayLookUp(sender: Address, host: string | null): boolean
}

/** Where results wait to be fetched. */
export interface ResultStore {
  put(path: string, bytes: Uint8Array): void
  get(path: string): Uint8Array | null
  /** Forgets everything under a prefix. */
  drop(prefix: string): void
}

/** The secrets that make auth tokens: the first signs, all verify. */
export interface AuthKeys {
  readonly keys: readonly Uint8Array[]
}

/** What has happened, for whoever counts. */
export interface OrchestratorEvents {
  segmentTranscoded(event: {
    sessionId: string
    sourceMs: number
    tookMs: number
    pixels: bigint
    renditions: number
  }): void
  segmentFailed(event: { sessionId: string; reason: string }): void
  sessions(count: number): void
}

/** Settings of the orchestrator. */
export interface OrchestratorOptions {
  /** Base URL of all later calls; empty when this node takes no work itself. */
  readonly serviceUri: string
  readonly nodes: readonly string[]
  readonly offchain: boolean
  /** Whom tickets pay, or null offchain; named in the metadata of renditions. */
  readonly recipient: Address | null
  readonly maxSessions: number
  readonly capabilities: Capabilities
  readonly version: string
}

/** What the orchestrator works with. */
export interface OrchestratorNeeds {
  readonly signer: Signer
  readonly recipient: Recipient
  /** Null where no chain is asked. */
  readonly lookups?: SenderLookups | null
  readonly transcoder: Transcoder
  readonly results: ResultStore
  readonly authKeys: AuthKeys
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: OrchestratorEvents
}

/** A segment that was accepted and paid for; its bytes are still to come. */
export interface Admission {
  transcode(source: Uint8Array, signal: AbortSignal): Promise<TranscodeResult>
  /** The bytes never came, or were not those that were announced. */
  release(): void
}

/** Why a call is refused. */
export type OrchestratorFault =
  | 'forbidden'
  | 'payment-refused'
  | 'bad-request'
  | 'internal'
  | 'request-refused'

/** A refused call; the message is the exact text that peers are told (wire.md §10). */
export class OrchestratorError extends NodeError<OrchestratorFault> {
  override name = 'OrchestratorError'
}

/** A segment that was accepted, with all that goes with it. */
interface Booking {
  readonly segment: SegmentData
  readonly token: AuthToken
  readonly sender: Address
  readonly session: Session
  readonly reservation: Reservation
}

interface Session {
  readonly id: string
  /** Segments admitted, whether or not their bytes have come. */
  running: number
  /** Segments whose bytes are here: one in work, the others waiting for it. */
  inTurn: number
  /** How long these last. */
  inTurnMs: number
  readonly openedAt: number
  /** When its last segment was finished; null before the first, without which it keeps no place. */
  finishedAt: number | null
  /** How long its latest segment lasts. */
  segmentMs: number
  /** Resolves when the segment before has been dealt with. */
  tail: Promise<void>
  /** Its gateway has ended it: it goes with its last running segment. */
  isOver: boolean
}

/** Sells transcoding: offers sessions, takes payment, has segments transcoded, signs the results. */
export class Orchestrator implements Service {
  readonly name = 'orchestrator'
  readonly #options: OrchestratorOptions
  readonly #needs: OrchestratorNeeds
  readonly #sessions = new Map<string, Session>()
  /** While the node is about to stop: no new sessions, then no segments. */
  #takes: 'everything' | 'segments' | 'nothing' = 'everything'

  constructor(options: OrchestratorOptions, needs: OrchestratorNeeds) {
    this.#options = options
    this.#needs = needs
  }

  start(scope: Scope): void {
    scope.spawn('end idle sessions', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(SESSION_SWEEP_MS, signal)
        const now = this.#needs.clock.now()
        for (const session of this.#sessions.values()) {
          const idleMs = now - (session.finishedAt ?? session.openedAt)
          if (session.running === 0 && idleMs >= SESSION_IDLE_MS) this.#end(session)
        }
      }
    })
  }

  /** How many sessions are running. */
  get sessionCount(): number {
    return this.#sessions.size
  }

  /**
   * Gets ready to stop: offers no more sessions, lets the live ones end for as long as it may, then takes no more
   * segments and finishes those it has. Idle sessions are not waited for. Rejects when the signal is aborted.
   */
  async drain(limitMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#needs
    const end = clock.now() + limitMs
    const isAny = (isTrue: (session: Session) => boolean) => [...this.#sessions.values()].some(isTrue)
    const isRunning = ({ running }: Session) => running > 0
    const isLive = (session: Session) =>
      isRunning(session) || clock.now() - (session.finishedAt ?? 0) < session.segmentMs + LATE_SEGMENT_MS
    if (isAny(isLive)) await clock.sleep(Math.min(NOTICE_MS, limitMs), signal)
    this.#takes = 'segments'
    while (isAny(isLive) && clock.now() < end) await clock.sleep(DRAIN_POLL_MS, signal)
    this.#takes = 'nothing'
    const last = clock.now() + LAST_SEGMENTS_MS
    while (isAny(isRunning) && clock.now() < last) await clock.sleep(DRAIN_POLL_MS, signal)
  }

  /** Proves that this node holds its key (wire.md §8); empty offchain. */
  ping(value: Uint8Array): Promise<Uint8Array> {
    return this.#needs.signer.sign(keccak256(value))
  }

  /** Offers a session. Throws OrchestratorError with the text for the peer (wire.md §10). */
  async info(
    request: InfoRequest,
    { host }: Pick<Caller, 'host'> = { host: null },
  ): Promise<OrchestratorInfo> {
    if (!this.#options.offchain && !signedBy(request.address, requestHash(request.address), request.sig)) {
      throw new OrchestratorError(
        'request-refused',
        'Invalid orchestrator request: orchestrator req sig check failed',
      )
    }
    if (!this.#hasRoom('', OFFERED_SEGMENT_MS) || this.#takes !== 'everything') {
      throw new OrchestratorError('request-refused', 'Invalid orchestrator request: OrchestratorCapped')
    }
    if (this.#needs.lookups?.mayLookUp(request.address, host) === false) {
      throw new OrchestratorError('request-refused', `Invalid orchestrator request: ${TOO_MANY_LOOKUPS}`)
    }
    const quote = await this.#needs.recipient.quote(request.address, null)
    const sessionId = formatHex(this.#needs.dice.bytes(4)).slice(2)
    const expiration = this.#unixSeconds() + AUTH_TOKEN_SECONDS
    return this.#describe(quote, makeAuthToken(this.#needs.authKeys.keys[0]!, sessionId, expiration))
  }

  /** Ends a session at its gateway's wish; one that is not known is no error (wire.md §15). */
  async endSession(token: AuthToken | null): Promise<void> {
    if (!token || !isAuthentic(this.#needs.authKeys.keys, token)) {
      throw new OrchestratorError('request-refused', 'Invalid auth token')
    }
    const session = this.#sessions.get(token.sessionId)
    if (session) this.#end(session)
  }

  /** Checks and books a segment before its bytes are read, in the order of wire.md §10. */
  async admit(
    segment: SegmentData,
    payment: Payment | null,
    { host }: Pick<Caller, 'host'> = { host: null },
  ): Promise<Admission> {
    const sender = payment?.sender ?? ZERO_ADDRESS
    const token = this.#checkCredentials(segment, sender, host)
    const session = this.#sessions.get(token.sessionId)
    const isWelcome = session !== undefined || this.#hasRoom(token.sessionId, segment.durationMs)
    if (!isWelcome || this.#takes === 'nothing') {
      throw new OrchestratorError('forbidden', 'OrchestratorCapped')
    }
    const booked = session ?? this.#open(token.sessionId)
    booked.running++
    booked.isOver = false
    booked.segmentMs = segment.durationMs
    const release = once(() => {
      booked.running--
      if (booked.isOver) this.#forget(booked)
      else if (booked.finishedAt === null) this.#endUnproven(booked)
    })
    let reservation: Reservation
    try {
      await this.#takePayment(payment, token.sessionId)
      reservation = await this.#reserve(segment, sender, token.sessionId)
    } catch (error) {
      release()
      throw error
    }
    return {
      release: () => {
        reservation.release()
        release()
      },
      transcode: async (source, signal) => {
        try {
          const booking = { segment, token, sender, session: booked, reservation }
          return await this.#answer(booking, source, signal)
        } finally {
          release()
        }
      },
    }
  }

  /** Takes a payment that comes without a segment; its credit belongs to the manifest (wire.md §11). */
  async pay(
    segment: SegmentData,
    payment: Payment | null,
    { host }: Pick<Caller, 'host'> = { host: null },
  ): Promise<OrchestratorInfo | null> {
    const sender = payment?.sender ?? ZERO_ADDRESS
    const token = this.#checkCredentials(segment, sender, host)
    await this.#takePayment(payment, segment.manifestId)
    return this.#renewedInfo(sender, token)
  }

  /** A result's bytes, by the path under `/stream/`. */
  stored(path: string): Uint8Array | null {
    return this.#needs.results.get(path)
  }

  /** Whether one more session may be opened: there is a place for it, and what is under way leaves time for its segment. */
  #hasRoom(sessionId: string, durationMs: number): boolean {
    return this.#hasPlace() && this.#canFinish(sessionId, durationMs, NOTHING)
  }

  #hasPlace(): boolean {
    const placed = [...this.#sessions.values()].filter((session) => this.#keepsPlace(session))
    return placed.length < this.#options.maxSessions
  }

  /** Whether nobody else may have the place of a session. */
  #keepsPlace({ finishedAt, inTurn, openedAt }: Session): boolean {
    const now = this.#needs.clock.now()
    return (
      inTurn > 0 ||
      (finishedAt === null ? now - openedAt < FIRST_UPLOAD_MS : now - finishedAt < SESSION_IDLE_MS)
    )
  }

  #canFinish(
    sessionId: string,
    durationMs: number,
    before: { readonly count: number; readonly durationMs: number },
    limitMs = segmentLimitMs(durationMs),
  ): boolean {
    return this.#needs.transcoder.canFinish?.({ sessionId, durationMs, limitMs, before }) ?? true
  }

  #checkCredentials(segment: SegmentData, sender: Address, host: string | null): AuthToken {
    if (!this.#options.offchain && !signedBy(sender, segmentHash(segment), segment.sig)) {
      throw new OrchestratorError('forbidden', 'ErrSegSig')
    }
    if (segment.capabilities && !satisfies(segment.capabilities, this.#options.capabilities)) {
      throw new OrchestratorError('forbidden', 'incompatible capabilities')
    }
    try {
      const token = checkAuthToken(this.#needs.authKeys.keys, segment.authToken, this.#unixSeconds())
      if (this.#needs.lookups?.mayLookUp(sender, host) !== false) return token
    } catch (error) {
      throw new OrchestratorError('forbidden', (error as AuthTokenError).message, { cause: error })
    }
    throw new OrchestratorError('forbidden', TOO_MANY_LOOKUPS)
  }

  /** Trouble of this node's own, such as a full disk, is not told as a fault of the payment. */
  async #takePayment(payment: Payment | null, account: string): Promise<void> {
    if (!payment) return
    await paid(this.#needs.recipient.receive(payment, account))
  }

  async #reserve(segment: SegmentData, sender: Address, sessionId: string): Promise<Reservation> {
    return paid(this.#needs.recipient.reserve(sender, sessionId, declaredPixels(segment)))
  }

  async #answer(booking: Booking, source: Uint8Array, signal: AbortSignal): Promise<TranscodeResult> {
    const { reservation, segment, sender, session, token } = booking
    const started = this.#needs.clock.now()
    let hasBegun = false
    let outcome: TranscodeResult['outcome']
    try {
      if (!this.#keepsPlace(session) && !this.#hasPlace()) throw new NodeError('busy', 'OrchestratorCapped')
      const onBegin = () => {
        hasBegun = true
      }
      const { pixels, results, sig } = await this.#inTurn(
        session,
        (deadlineMs) => this.#transcode(booking, source, { deadlineMs, onBegin }, signal),
        segment.durationMs,
      )
      // The answer does not wait for it: a charge that a crash loses is this node's own loss.
      void this.#charge(booking, pixels)
      session.finishedAt = this.#needs.clock.now()
      outcome = { kind: 'data', renditions: results, sig }
      this.#needs.events.segmentTranscoded({
        sessionId: token.sessionId,
        sourceMs: segment.durationMs,
        tookMs: this.#needs.clock.now() - started,
        pixels,
        renditions: results.length,
      })
    } catch (error) {
      const text = messageOf(error)
      this.#needs.log.warn('segment failed', { sessionId: token.sessionId, seq: segment.seq, error })
      this.#needs.events.segmentFailed({ sessionId: token.sessionId, reason: text })
      const owed = pixelsOfFailure(error, { hasBegun, declared: declaredPixels(segment) })
      if (owed > 0n) void this.#charge(booking, owed)
      else reservation.release()
      outcome = { kind: 'error', text }
    }
    return { seq: segment.seq, info: await this.#renewedInfo(sender, token), outcome }
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

  /** Runs one session's segments one after the other, refusing what would wait behind too many or for too long. */
  async #inTurn<T>(
    session: Session,
    work: (deadlineMs: number) => Promise<T>,
    durationMs: number,
  ): Promise<T> {
    const before = { count: session.inTurn, durationMs: session.inTurnMs }
    if (before.count > MAX_QUEUED_PER_SESSION || !this.#canFinish(session.id, durationMs, before)) {
      throw new NodeError('busy', 'OrchestratorBusy')
    }
    session.inTurn++
    session.inTurnMs += durationMs
    const deadline = this.#needs.clock.now() + segmentLimitMs(durationMs)
    const { tail } = session
    const done = Promise.withResolvers<void>()
    session.tail = done.promise
    try {
      await tail
      const left = deadline - this.#needs.clock.now()
      if (left <= 0) throw new NodeError('too-late', 'the segment waited longer than its deadline')
      if (!this.#canFinish(session.id, durationMs, NOTHING, left))
        throw new NodeError('busy', 'OrchestratorBusy')
      return await work(left)
    } finally {
      session.inTurn--
      session.inTurnMs -= durationMs
      done.resolve()
    }
  }

  async #transcode(
    { reservation: { maxPixels }, segment, sender, token: { sessionId } }: Booking,
    source: Uint8Array,
    { deadlineMs, onBegin }: { deadlineMs: number; onBegin: () => void },
    signal: AbortSignal,
  ): Promise<{ results: RenditionResult[]; pixels: bigint; sig: Uint8Array }> {
    const output = await this.#needs.transcoder.transcode(
      {
        sessionId,
        payer: sender === ZERO_ADDRESS ? null : sender,
        segment,
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
      throw new NodeError('mismatch', 'MismatchedSegments')
    if (output.renditions.some((rendition) => rendition.bytes.length < MIN_RENDITION_BYTES)) {
      throw new NodeError('empty-rendition', 'ZeroSegments')
    }
    const pixels = output.renditions.reduce((sum, rendition) => sum + rendition.pixels, 0n)
    // A transcoder elsewhere is not told the limit.
    if (maxPixels !== null && pixels > maxPixels) throw beyondDeclared(maxPixels)
    const results = output.renditions.map((rendition, index): RenditionResult => {
      const path = resultPath(sessionId, segment, index)
      this.#needs.results.put(path, rendition.bytes)
      if (rendition.perceptualHash) this.#needs.results.put(`${path}.phash`, rendition.perceptualHash)
      const url = `${this.#options.serviceUri}/stream/${path.split('/').map(encodeURIComponent).join('/')}`
      return {
        url,
        pixels: rendition.pixels,
        perceptualHashUrl: rendition.perceptualHash ? `${url}.phash` : '',
      }
    })
    const hashes = output.renditions.map((rendition) => keccak256(rendition.bytes))
    // Still in turn: what follows the turn waits for nothing before the session counts as answered.
    return { results, pixels, sig: await this.#needs.signer.sign(resultHash(hashes)) }
  }

  /**
   * The info that goes with an answer: fresh params under the request's own token. When params cannot be offered just
   * now the work is answered all the same, without info: the gateway then keeps what it has (payments.md §15, 21).
   */
  async #renewedInfo(sender: Address, token: AuthToken): Promise<OrchestratorInfo | null> {
    try {
      return this.#describe(await this.#needs.recipient.quote(sender, token.sessionId), token)
    } catch (error) {
      this.#needs.log.warn('no new ticket params can be offered', { sender, error })
      return null
    }
  }

  #describe(
    quote: { ticketParams: TicketParams | null; priceInfo: PriceInfo | null },
    authToken: AuthToken,
  ): OrchestratorInfo {
    return {
      transcoder: this.#options.serviceUri,
      ticketParams: quote.ticketParams,
      priceInfo: quote.priceInfo,
      address: this.#needs.signer.address,
      capabilities: this.#options.capabilities,
      authToken,
      storage: [],
      nodes: this.#options.nodes,
    }
  }

  #open(id: string): Session {
    const session: Session = {
      id,
      running: 0,
      inTurn: 0,
      inTurnMs: 0,
      openedAt: this.#needs.clock.now(),
      finishedAt: null,
      segmentMs: 0,
      tail: Promise.resolve(),
      isOver: false,
    }
    this.#sessions.set(id, session)
    this.#needs.events.sessions(this.#sessions.size)
    return session
  }

  #end(session: Session): void {
    session.isOver = true
    this.#needs.transcoder.sessionEnded?.(session.id)
    this.#needs.results.drop(`${session.id}/`)
    this.#forget(session)
  }

  /** Ends a session of which nothing was ever finished and nothing is under way: it holds no place for later. */
  #endUnproven(session: Session): void {
    const isCurrent = this.#sessions.get(session.id) === session
    if (isCurrent && session.running === 0 && session.finishedAt === null) this.#end(session)
  }

  /** Gives the place of a session free, but not before its last segment is done: a new one would begin beside it. */
  #forget(session: Session): void {
    if (session.running > 0 || this.#sessions.get(session.id) !== session) return
    this.#sessions.delete(session.id)
    this.#needs.events.sessions(this.#sessions.size)
  }

  #unixSeconds(): bigint {
    return BigInt(Math.floor(this.#needs.clock.now() / 1000))
  }
}

/** The recipient's answer; its refusal becomes one that the peer is told as it is. */
async function paid<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof NodeError)) throw error
    throw new OrchestratorError('payment-refused', messageOf(error), { cause: error })
  }
}

/** What a segment comes to by what its gateway declares (payments.md §7). */
function declaredPixels({ durationMs, profiles }: SegmentData): bigint {
  return encodedPixels(profiles, durationMs)
}

/** Where a rendition is stored: `{session}/{profile}/{seq}.ts`; a second profile of the same name gets its index. */
function resultPath(sessionId: string, segment: SegmentData, index: number): string {
  const profile = segment.profiles[index]!
  const twin = segment.profiles.findIndex((other) => other.name === profile.name) !== index
  return `${sessionId}/${profile.name}${twin ? `.${index}` : ''}/${segment.seq}${extensionOf(profile.format)}`
}

function once(action: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    action()
  }
}
