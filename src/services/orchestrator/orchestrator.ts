import type { AuthTokenError } from '../../domain/auth-token.ts'
import { satisfies } from '../../domain/capabilities.ts'
import type { MemberWork } from '../../domain/member.ts'
import {
  type AuthToken,
  type InfoRequest,
  type OrchestratorInfo,
  type SegmentData,
  segmentLimitMs,
  type TranscodeResult,
} from '../../domain/segment.ts'
import { requestHash, segmentHash } from '../../domain/signed-hashes.ts'
import type { Payment, PricePerPixel } from '../../domain/ticket.ts'
import { type Address, keccak256, type Signer, signedBy, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { ObjectStore } from '../../lib/object-store.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { AwaitedResults } from './awaited-results.ts'
import type { GatewayAuthority } from './gateway-authority.ts'
import { Offers, type OffersNeeds, type OffersOptions } from './offers.ts'
import { OpenSessions } from './open-sessions.ts'
import { OrchestratorError } from './orchestrator-error.ts'
import type { Reservation } from './segment-accounts.ts'
import {
  declaredPixels,
  SegmentAnswers,
  type SegmentAnswersNeeds,
  type SegmentAnswersOptions,
} from './segment-answers.ts'

const SESSION_SWEEP_MS = 5_000
const DRAIN_POLL_MS = 200
/** Time limit for the last running segments. */
const LAST_SEGMENTS_MS = 10_000
/** The expected duration of a session's segments when it is offered: most last this long. */
const OFFERED_SEGMENT_MS = 2_000
const TOO_MANY_LOOKUPS = 'too many unknown senders: try again later'
/** A segment is over after this many times its limit: ten to arrive, one to be worked on; and after this time in any case. */
const SEGMENT_LIFE = 11
const MAX_SEGMENT_LIFE_MS = 1_800_000

/** Where a call comes from. */
export interface Caller {
  /** The host whose limits it counts against; null for a node of this operator. */
  readonly host: string | null
  /** Aborted when the caller no longer waits for the answer. */
  readonly signal: AbortSignal
}

/** Limits the chain look-ups of unknown senders. */
export interface SenderLookups {
  /** False when there were too many look-ups of unknown senders, in total or for this host. */
  mayLookUp(sender: Address, host: string | null): boolean
}

/** Settings of the orchestrator; `maxSessions` and `capabilities` may change. */
export interface OrchestratorOptions extends OffersOptions, SegmentAnswersOptions {
  readonly offchain: boolean
  readonly maxSessions: number
}

/** What the orchestrator needs. */
export interface OrchestratorNeeds extends OffersNeeds, SegmentAnswersNeeds {
  readonly signer: Signer
  /** Null where no chain is asked. */
  readonly lookups?: SenderLookups | null
  /** Where results wait to be fetched. */
  readonly results: ObjectStore
  /** Who decides on gateways; absent or null: all get offers. */
  readonly authority?: GatewayAuthority | null
  /** Told the price that the authority sets for a gateway, in wei per pixel; null for none. */
  readonly agree?: (gateway: Address, price: PricePerPixel | null) => void
  /** The other nodes of its cluster; absent or null where there are none. */
  readonly siblings?: OtherNodes | null
}

/** The other nodes of a cluster, which take segments of the same sessions. */
export interface OtherNodes {
  /** Whether one of them has room for another session. */
  readonly hasRoom: boolean
  /** Ends a session at all of them. */
  ended(sessionId: string): void
  /** Gives results that are not fetched yet to one of them; resolves to the paths of those that it keeps. Never rejects. */
  giveAway(
    results: readonly { readonly path: string; readonly bytes: Uint8Array }[],
  ): Promise<ReadonlySet<string>>
}

/** A segment that was accepted and paid for; its bytes are still to come. */
export interface Admission {
  transcode(source: Uint8Array, signal: AbortSignal): Promise<TranscodeResult>
  /** Cancels it: the bytes never came, or do not match their hash. */
  release(): void
}

/** How long a drain may take. */
export interface DrainLimits {
  /** For sessions that go on. */
  readonly limitMs: number
  /** Balancers get this long to notice that this node is about to stop, before it refuses calls; `limitMs` at most. */
  readonly noticeMs: number
  /** Called when other nodes take the sessions over: peers are to make their next requests there. */
  readonly onMove?: () => void
}

/** Sells transcoding: offers sessions, takes payment, admits segments and has them answered, and drains. */
export class Orchestrator implements Service {
  readonly name = 'orchestrator'
  readonly #options: OrchestratorOptions
  readonly #needs: OrchestratorNeeds
  readonly #offers: Offers
  readonly #sessions: OpenSessions
  readonly #results: AwaitedResults
  readonly #answers: SegmentAnswers
  /** What is still accepted: before a stop first no new sessions, then no segments. */
  #takes: 'everything' | 'segments' | 'nothing' = 'everything'

  constructor(options: OrchestratorOptions, needs: OrchestratorNeeds) {
    this.#options = options
    this.#needs = needs
    this.#offers = new Offers(options, needs)
    this.#results = new AwaitedResults(needs.results, needs.clock)
    this.#sessions = new OpenSessions({
      clock: needs.clock,
      maxSessions: () => options.maxSessions,
      areShared: needs.siblings != null,
      rested: (sessionId) => needs.transcoder.sessionEnded?.(sessionId),
      begun: (sessionId, opening, running) =>
        needs.events.tell({ kind: 'session-begun', sessionId, ...opening, running }),
      closed: (sessionId, reason, running) =>
        needs.events.tell({ kind: 'session-ended', sessionId, reason, running }),
      ended: (sessionId) => {
        needs.transcoder.sessionEnded?.(sessionId)
        this.#results
          .drop(`${sessionId}/`)
          .catch((error) => needs.log.warn('results not removed', { sessionId, error: messageOf(error) }))
      },
    })
    const parts = { offers: this.#offers, sessions: this.#sessions, results: this.#results }
    this.#answers = new SegmentAnswers(options, needs, parts)
  }

  start(scope: Scope): void {
    scope.spawn('end idle sessions', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(SESSION_SWEEP_MS, signal)
        this.#sessions.endIdle()
      }
    })
  }

  /** How many sessions are running. */
  get sessionCount(): number {
    return this.#sessions.count
  }

  /** What it tells the other nodes of its cluster of its work. */
  work(): MemberWork {
    const { placed, segments } = this.#sessions
    const takesSegments = this.#takes === 'everything'
    return { takesSegments, maxSessions: this.#options.maxSessions, sessions: placed, segments }
  }

  /**
   * Prepares to stop: offers no more sessions, waits for live ones for `limitMs` at most, or until other nodes of its
   * cluster have room for them, then accepts no more segments and finishes those it has, until their results are fetched or
   * handed to another node.
   * Idle sessions are not waited for. Rejects when the signal is aborted.
   */
  async drain({ limitMs, noticeMs, onMove }: DrainLimits, signal: AbortSignal): Promise<void> {
    const { clock, siblings } = this.#needs
    const end = clock.now() + limitMs
    const sessions = this.#sessions
    if (sessions.areLive) await clock.sleep(Math.min(noticeMs, limitMs), signal)
    this.#takes = 'segments'
    while (sessions.areLive && !siblings?.hasRoom && clock.now() < end)
      await clock.sleep(DRAIN_POLL_MS, signal)
    this.#takes = 'nothing'
    if (siblings?.hasRoom) onMove?.()
    const last = clock.now() + LAST_SEGMENTS_MS
    while (sessions.areRunning && clock.now() < last) await clock.sleep(DRAIN_POLL_MS, signal)
    const left = siblings ? await this.#results.left() : []
    if (siblings && left.length > 0) this.#results.takenOver(await siblings.giveAway(left))
    while (this.#results.areLeft) await clock.sleep(DRAIN_POLL_MS, signal)
  }

  /** Accepts sessions and segments again, after a drain or in the midst of one whose signal was aborted. */
  undrain(): void {
    this.#takes = 'everything'
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
    const isWelcome = this.#takes === 'everything' && this.#hasRoom('', OFFERED_SEGMENT_MS)
    if (!isWelcome && !this.#needs.siblings?.hasRoom) {
      throw new OrchestratorError('request-refused', 'Invalid orchestrator request: OrchestratorCapped')
    }
    if (this.#needs.lookups?.mayLookUp(request.address, host) === false) {
      throw new OrchestratorError('request-refused', `Invalid orchestrator request: ${TOO_MANY_LOOKUPS}`)
    }
    await this.#authorize(request.address)
    return await unlessAway(this.#offers.fresh(request.address))
  }

  async #authorize(gateway: Address): Promise<void> {
    const { agree, authority } = this.#needs
    const verdict = await authority?.decide(gateway)
    if (verdict?.kind === 'denied') {
      throw new OrchestratorError('request-refused', `authentication failed: ${verdict.reason}`)
    }
    if (verdict) agree?.(gateway, verdict.price)
  }

  /** Ends a session at its gateway's request; an unknown one is ignored (wire.md §15). */
  async endSession(token: AuthToken | null): Promise<void> {
    if (!token || !this.#offers.isAuthentic(token)) {
      throw new OrchestratorError('request-refused', 'Invalid auth token')
    }
    this.#sessions.end(token.sessionId)
    this.#needs.siblings?.ended(token.sessionId)
  }

  /** Ends a session that its gateway has ended at another node of the cluster. */
  endedElsewhere(sessionId: string): void {
    this.#sessions.end(sessionId)
  }

  /** Checks and books a segment before its bytes are read, in the order of wire.md §10. */
  async admit(
    segment: SegmentData,
    payment: Payment | null,
    { host }: Pick<Caller, 'host'> = { host: null },
  ): Promise<Admission> {
    const sender = payment?.sender ?? ZERO_ADDRESS
    const token = this.#checkCredentials(segment, sender, host)
    const isWelcome =
      this.#sessions.goesOn(token.sessionId) || this.#hasRoom(token.sessionId, segment.durationMs)
    if (!isWelcome || this.#takes === 'nothing') {
      throw new OrchestratorError('capped', 'OrchestratorCapped')
    }
    const admittedMs = this.#needs.clock.now()
    const gateway = sender === ZERO_ADDRESS ? null : sender
    const opening = { gateway, host, profiles: segment.profiles }
    const { release, session } = this.#sessions.admit(token.sessionId, segment.durationMs, opening)
    let reservation: Reservation
    try {
      reservation = await this.#reserve(segment, payment, token.sessionId)
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
          const booking = { segment, token, sender, session, reservation, clientIp: host, admittedMs }
          return await this.#answers.answer(booking, source, signal)
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
    await this.#takePayment(payment, segment.manifestId, segment.manifestId)
    return this.#offers.renewed(sender, token)
  }

  /** A result's bytes, by the path under `/stream/`. */
  stored(path: string): Promise<Uint8Array | null> {
    return this.#results.load(path)
  }

  /** Whether one more session may be opened: it has a place, and the work under way leaves time for its segment. */
  #hasRoom(sessionId: string, durationMs: number): boolean {
    return this.#sessions.hasPlace && this.#answers.canFinish(sessionId, durationMs)
  }

  #checkCredentials(segment: SegmentData, sender: Address, host: string | null): AuthToken {
    if (!this.#options.offchain && !signedBy(sender, segmentHash(segment), segment.sig)) {
      throw new OrchestratorError('forbidden', 'ErrSegSig')
    }
    if (segment.capabilities && !satisfies(segment.capabilities, this.#options.capabilities)) {
      // Another node of the cluster may be able to do one of our own sessions.
      const isOurs = segment.authToken !== null && this.#offers.isAuthentic(segment.authToken)
      throw new OrchestratorError(isOurs ? 'incapable' : 'forbidden', 'incompatible capabilities')
    }
    try {
      const token = this.#offers.checked(segment.authToken)
      if (this.#needs.lookups?.mayLookUp(sender, host) !== false) return token
    } catch (error) {
      throw new OrchestratorError('forbidden', (error as AuthTokenError).message, { cause: error })
    }
    throw new OrchestratorError('forbidden', TOO_MANY_LOOKUPS)
  }

  /** A fault of this node, such as a full disk, is not reported as a fault of the payment. */
  async #takePayment(payment: Payment | null, account: string, manifestId: string): Promise<void> {
    if (!payment) return
    await paid(this.#needs.recipient.receive(payment, account, manifestId))
  }

  async #reserve(segment: SegmentData, payment: Payment | null, sessionId: string): Promise<Reservation> {
    const { durationMs, hash, manifestId } = segment
    const sender = payment?.sender ?? ZERO_ADDRESS
    const pixels = declaredPixels(segment)
    const lifeMs = Math.min(MAX_SEGMENT_LIFE_MS, SEGMENT_LIFE * segmentLimitMs(durationMs))
    return paid(
      this.#needs.recipient.admit({ sender, sessionId, manifestId, payment, segment: hash, pixels, lifeMs }),
    )
  }
}

/** The recipient's answer; its refusal becomes one that the peer is told as it is. */
async function paid<T>(answer: Promise<T>): Promise<T> {
  try {
    return await unlessAway(answer)
  } catch (error) {
    if (!(error instanceof NodeError) || error instanceof OrchestratorError) throw error
    throw new OrchestratorError('payment-refused', messageOf(error), { cause: error })
  }
}

/** What a store says that takes nothing just now. Where it is and why concerns no peer. */
const STORE_FAULTS: readonly string[] = ['store-unavailable', 'store-unwritable']

/** What needs the store; the peer is told of its faults that they are this node's. */
async function unlessAway<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof NodeError) || !STORE_FAULTS.includes(error.code)) throw error
    const text =
      'this orchestrator cannot record payments just now, so it takes no new sessions: try again later'
    throw new OrchestratorError('unavailable', text, { cause: error })
  }
}
