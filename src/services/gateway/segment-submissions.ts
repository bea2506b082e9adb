import { AttemptError, mayBeOfBalancer, submissionTimeouts } from '../../domain/attempt.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { type ResendCause, resendCause } from '../../domain/resend.ts'
import type { SegmentData, TranscodeResult } from '../../domain/segment.ts'
import { segmentHash } from '../../domain/signed-hashes.ts'
import { expectedValue, type Payment, withoutTickets } from '../../domain/ticket.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Signer } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import { isUnsent, paymentFault, submissionFault } from './attempt-faults.ts'
import type { StagedPayment } from './payer.ts'
import type { SegmentJob } from './segment-work.ts'
import type { Session } from './session.ts'
import type { SubmissionClient } from './submission.ts'

/** A segment that has less than this left of its time limit is not sent again. */
const MIN_RESEND_MS = 250

/** What ends the work on a segment: the end of its stream; once its publisher is gone, nothing is sent again. */
export interface WorkSignals {
  readonly stream: AbortSignal
  readonly publisher: AbortSignal
}

/** What submissions work with. */
export interface SubmissionsNeeds {
  readonly client: SubmissionClient
  readonly signer: Signer
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
}

/** An orchestrator's result. */
export interface Answer {
  /** When the submission began that it answers, and when its status arrived. */
  readonly sentMs: number
  readonly answeredMs: number
  /** Never without an outcome. */
  readonly result: TranscodeResult
}

/**
 * Submits segments. What says nothing against an orchestrator, such as a connection that is cut when a node behind a
 * balancer goes down, has the segment sent to the same address again, at once, within its time limit. What it paid is not
 * paid twice: tickets that may not have arrived are shown as they are, and those that were seen count as credit.
 */
export class SegmentSubmissions {
  readonly #needs: SubmissionsNeeds

  constructor(needs: SubmissionsNeeds) {
    this.#needs = needs
  }

  /** Stages the payment of a segment. Throws AttemptError. */
  async stage(job: SegmentJob, session: Session): Promise<ShownPayment> {
    const { manifestId } = job
    const { events } = this.#needs
    return new ShownPayment(await staged(job, session), { manifestId, orchestrator: session.key, events })
  }

  /** Throws AttemptError, after which the payment is either shown or abandoned. */
  async submit(
    job: SegmentJob,
    session: Session,
    shown: ShownPayment,
    signals: WorkSignals,
  ): Promise<Answer> {
    const { clock } = this.#needs
    const { headerMs, totalMs } = submissionTimeouts(job.durationMs, job.timeoutMultiplier)
    const endMs = clock.now() + totalMs
    // Signed before anything counts as sent: if signing fails, the payment is not spent.
    const segment = await this.#segmentData(job, session).catch((error: unknown) => {
      throw paymentFault(error)
    })
    const causes = new Set<ResendCause>()
    let inTransit: AttemptError | null = null
    for (;;) {
      const totalTimeoutMs = endMs - clock.now()
      const limits = { headerTimeoutMs: Math.min(headerMs, totalTimeoutMs), totalTimeoutMs }
      try {
        return await this.#once(job, session, shown, { segment, limits, signal: signals.stream })
      } catch (error) {
        if (signals.stream.aborted || !(error instanceof AttemptError)) throw error
        const mayResend = !signals.publisher.aborted && endMs - clock.now() >= MIN_RESEND_MS
        const cause = mayResend ? resendCause(shown.failed(error), causes) : null
        if (cause === null) {
          shown.abandon()
          throw outcomeOf(error, inTransit)
        }
        causes.add(cause)
        if (cause === 'in-transit') inTransit = error
        await this.#prepareResend(cause, job, session, shown)
        this.#tellResend(cause, job, session, error)
      }
    }
  }

  async #prepareResend(
    cause: ResendCause,
    job: SegmentJob,
    session: Session,
    shown: ShownPayment,
  ): Promise<void> {
    if (cause === 'not-covered') {
      shown.staged.uncovered()
      shown.replace(await staged(job, session))
      return
    }
    if (cause === 'tickets-seen' || shown.isAccepted) shown.showNoTickets()
    if (shown.isSent) shown.staged.doubted()
  }

  #tellResend(
    cause: ResendCause,
    { manifestId, sequence }: SegmentJob,
    { key: orchestrator }: Session,
    { code: fault, message: reason }: AttemptError,
  ): void {
    const { events, log } = this.#needs
    events.tell({ kind: 'segment-resent', manifestId, sequence, orchestrator, cause })
    log.info('segment sent to the same orchestrator again', {
      ...{ manifestId, sequence, transcoder: orchestrator, cause, fault, reason },
    })
  }

  async #once(
    job: SegmentJob,
    session: Session,
    shown: ShownPayment,
    { limits, segment, signal }: { limits: Limits; segment: SegmentData; signal: AbortSignal },
  ): Promise<Answer> {
    const { client, clock, events } = this.#needs
    const { manifestId } = job
    const sentMs = clock.now()
    let answeredMs: number | null = null
    let status = 0
    shown.sending()
    try {
      const result = await client.submit(
        session.info.transcoder,
        {
          ...{ segment, payment: shown.payment, body: job.bytes, bodyIsUri: false, ...limits },
          reach: session.info.reach,
          onStatus: (told) => {
            status = told
            if (mayBeOfBalancer(status)) return
            answeredMs = clock.now()
            shown.answered()
          },
        },
        signal,
      )
      answeredMs ??= clock.now()
      shown.accepted()
      if (result.outcome.kind === 'none') throw new AttemptError('unknown-response', 'UnknownResponse')
      const tookMs = answeredMs - sentMs
      events.tell({
        ...{ kind: 'segment-uploaded', side: 'gateway', manifestId, orchestrator: session.key, tookMs },
      })
      return { answeredMs, result, sentMs }
    } catch (error) {
      shown.noteFailure(error, status)
      if (signal.aborted) {
        shown.abandon()
        signal.throwIfAborted()
      }
      throw submissionFault(error)
    }
  }

  async #segmentData(job: SegmentJob, session: Session): Promise<SegmentData> {
    const { authToken } = session.info
    const signed = {
      manifestId: job.manifestId,
      seq: job.sequence,
      hash: job.hash,
      profiles: job.profiles,
    }
    return {
      ...signed,
      sig: await this.#needs.signer.sign(segmentHash(signed)),
      durationMs: Math.trunc(job.durationMs),
      capabilities: job.capabilities,
      authToken,
      // Asked for with every segment, so that an orchestrator cannot tell which one is compared.
      calcPerceptualHash: job.verificationFrequency > 0,
      storage: job.store?.grantFor(job, session.info) ?? [],
      clip: job.clip,
      forceSessionReinit: job.forceSessionReinit,
    }
  }
}

interface Limits {
  readonly headerTimeoutMs: number
  readonly totalTimeoutMs: number
}

/** The payment of one segment as it is shown to an orchestrator, perhaps several times. */
export class ShownPayment {
  readonly #about: { readonly manifestId: string; readonly orchestrator: string }
  readonly #events: NodeEvents
  #staged: StagedPayment
  #payment: Payment | null
  #seen: 'not sent' | 'perhaps' | 'seen' | 'accepted' = 'not sent'
  #isTold = false

  constructor(
    staged: StagedPayment,
    about: { readonly manifestId: string; readonly orchestrator: string; readonly events: NodeEvents },
  ) {
    this.#staged = staged
    this.#payment = staged.payment
    const { events, ...rest } = about
    this.#about = rest
    this.#events = events
  }

  get staged(): StagedPayment {
    return this.#staged
  }

  /** What the next submission carries. */
  get payment(): Payment | null {
    return this.#payment
  }

  /** Whether an orchestrator may have it. */
  get isSent(): boolean {
    return this.#seen !== 'not sent'
  }

  /** Whether the orchestrator is known to have accepted it. */
  get isAccepted(): boolean {
    return this.#seen === 'accepted'
  }

  /** What is known of a submission that failed. */
  failed({ cause, code: fault, details, message: text }: AttemptError): Parameters<typeof resendCause>[0] {
    const hasTickets = (this.#payment?.tickets.length ?? 0) > 0
    const { isInDoubt } = this.#staged
    return { fault, text, isInVain: details.isSlow === true || isLimit(cause), hasTickets, isInDoubt }
  }

  sending(): void {
    if (this.#isTold) return
    this.#isTold = true
    this.#tell('payment-sent')
  }

  answered(): void {
    if (this.#seen === 'seen' || this.#seen === 'accepted') return
    this.#seen = 'seen'
    this.#staged.answered()
  }

  accepted(): void {
    this.answered()
    if (this.#seen === 'accepted') return
    this.#seen = 'accepted'
    this.#tell('payment-accepted')
  }

  /** Takes note of what a failed submission says of the tickets; `status` is 0 if none came. */
  noteFailure(error: unknown, status: number): void {
    if (this.#seen === 'not sent' && !isUnsent(error)) this.#seen = 'perhaps'
    // Payments are accepted before the first byte of a good answer, so this one was, although the answer broke off.
    if (status === 200) this.accepted()
    else if (status !== 0 && (!mayBeOfBalancer(status) || isRefusal(error))) this.answered()
  }

  showNoTickets(): void {
    if (this.#payment) this.#payment = withoutTickets(this.#payment)
  }

  /** A new payment takes the place of one that did not cover the segment. */
  replace(staged: StagedPayment): void {
    this.#staged = staged
    this.#payment = staged.payment
    this.#seen = 'not sent'
    this.#isTold = false
  }

  /** No further submission follows. */
  abandon(): void {
    if (this.#seen === 'not sent' || this.#seen === 'perhaps')
      this.#staged.abandoned(this.#seen === 'perhaps')
  }

  #tell(kind: 'payment-sent' | 'payment-accepted'): void {
    const { payment } = this.#staged
    const facts = { ...this.#about, value: ticketValue(payment), tickets: payment?.tickets.length ?? 0 }
    this.#events.tell({ kind, ...facts })
  }
}

/**
 * What a segment's submissions came to: a refusal of one that was sent again says less than what had it sent again, since
 * the address may belong to another orchestrator by now.
 */
function outcomeOf(error: AttemptError, inTransit: AttemptError | null): AttemptError {
  if (inTransit === null || error.code !== 'refused') return error
  return new AttemptError(
    'unreachable',
    `${inTransit.message}; sent again, it was refused: ${error.message}`,
    {
      cause: error,
    },
  )
}

async function staged(job: SegmentJob, session: Session): Promise<StagedPayment> {
  try {
    return await session.payment.stage(job.profiles, job.durationMs)
  } catch (error) {
    throw paymentFault(error)
  }
}

/** Whether an orchestrator refused in its own words. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof NodeError && error.code === 'refused' && submissionFault(error).code !== 'unavailable'
  )
}

/** Whether a limit of this node ended a submission. */
function isLimit(error: unknown): boolean {
  return error instanceof NodeError && (error.code === 'too-large' || error.code === 'forbidden-address')
}

/** The expected value of a payment's tickets, in wei. */
function ticketValue(payment: Payment | null): Rational {
  if (!payment?.ticketParams) return Rational.zero
  const { faceValue, winProb } = payment.ticketParams
  return expectedValue(faceValue, winProb).mul(Rational.of(BigInt(payment.tickets.length)))
}
