import type { Clock } from '../../lib/clock.ts'

/** The wait after a refusal without `Retry-After`; doubled at each further one until a request is answered. */
const FIRST_BACKOFF_MS = 1_000
const MAX_BACKOFF_MS = 30_000
/** The longest wait, even if a provider asks for more. */
const MAX_RETRY_AFTER_MS = 5 * 60_000
/** Rates are counted over this window. */
const WINDOW_MS = 1_000
/** How long requests and answers are remembered. */
const KEPT_MS = 60_000
/** The rate after a refusal, as a share of what was answered in the second before it. */
const SHARE_OF_ANSWERED = 0.8
/** The factor when nothing was answered, as when a whole batch is refused. */
const SHARE_OF_SENT = 0.5
/** The lowest rate, in requests a second. */
const MIN_RATE = 0.5
/** In each second in which it delays requests, the rate grows by this and a hundredth of itself. */
const GROWTH = 0.1
/** Far below the refused rate, it grows by this share of itself instead. */
const FAST_GROWTH = 0.25
/** The share of a second's requests that may be sent at once. */
const BURST_SHARE = 0.15

/**
 * The rate of requests to one endpoint. Unlimited until the endpoint first refuses; then all requests wait as long as
 * it asks, and after that are sent a little slower than it answered. The rate grows until it refuses again.
 */
export class Pace {
  readonly #clock: Clock
  /** Requests a second. */
  #rate = Number.POSITIVE_INFINITY
  #tokens = 0
  #filledAtMs = 0
  #blockedUntilMs = Number.NEGATIVE_INFINITY
  #backoffMs = 0
  #refusedAtMs = Number.NEGATIVE_INFINITY
  /** When the request was sent whose refusal sets the rate; null once the rate has been computed. */
  #toReckonMs: number | null = null
  /** Requests a second at the last refusal. */
  #refusedRate = Number.POSITIVE_INFINITY
  /** When recent requests were sent, and when those of them that were answered were sent. */
  #sent: number[] = []
  #answered: number[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The present rate in requests a second; infinite before the first refusal. */
  get rate(): number {
    return this.#rate
  }

  /** Milliseconds for which nothing may be sent. */
  get blockedMs(): number {
    return Math.max(0, this.#blockedUntilMs - this.#clock.now())
  }

  /** How many requests may be sent at once now. */
  get ready(): number {
    if (this.blockedMs > 0) return 0
    this.#reckon()
    this.#refill()
    return Math.floor(this.#tokens)
  }

  /** Milliseconds until a request may be sent. */
  get waitMs(): number {
    if (this.ready >= 1) return 0
    return this.blockedMs || Math.max(1, Math.ceil(((1 - this.#tokens) / this.#rate) * 1_000))
  }

  /** Counts requests as they are sent. */
  sent(count: number): void {
    this.#tokens -= count
    const now = this.#clock.now()
    for (let i = 0; i < count; i++) this.#sent.push(now)
    if (this.#sent[0]! < now - KEPT_MS) this.#sent = this.#sent.filter((at) => at > now - KEPT_MS)
  }

  /** A request that was sent at `sentAtMs` was answered, in any way. */
  answered(sentAtMs: number): void {
    const now = this.#clock.now()
    this.#answered.push(sentAtMs)
    if (this.#answered[0]! < now - KEPT_MS) this.#answered = this.#answered.filter((at) => at > now - KEPT_MS)
    if (sentAtMs > this.#refusedAtMs) this.#backoffMs = 0
  }

  /** A request that was sent at `sentAtMs` was refused by a rate limit. */
  refused(sentAtMs: number, retryAfterMs: number | null): void {
    const now = this.#clock.now()
    // A refusal of a request sent before the last refusal arrived says nothing new.
    if (sentAtMs > this.#refusedAtMs) {
      this.#backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, this.#backoffMs * 2))
      this.#refusedAtMs = now
      this.#toReckonMs = sentAtMs
      this.#blockUntil(now + this.#backoffMs)
    }
    if (retryAfterMs !== null) this.#blockUntil(now + Math.min(retryAfterMs, MAX_RETRY_AFTER_MS))
  }

  #blockUntil(ms: number): void {
    this.#blockedUntilMs = Math.max(this.#blockedUntilMs, ms)
  }

  /** Computes the rate once all requests sent before a refusal are answered. */
  #reckon(): void {
    const last = this.#toReckonMs
    if (last === null) return
    this.#toReckonMs = null
    const inSecond = (at: number) => at > last - WINDOW_MS && at <= last
    const answered = this.#answered.filter(inSecond).length
    const sent = this.#sent.filter(inSecond).length
    this.#refusedRate = answered || sent
    const wanted = answered > 0 ? answered * SHARE_OF_ANSWERED : sent * SHARE_OF_SENT
    this.#rate = Math.max(MIN_RATE, Math.min(this.#rate, wanted))
    this.#tokens = 1
    this.#filledAtMs = this.#clock.now()
  }

  #refill(): void {
    if (this.#rate === Number.POSITIVE_INFINITY) {
      this.#tokens = Number.POSITIVE_INFINITY
      return
    }
    const now = this.#clock.now()
    const seconds = Math.max(0, now - this.#filledAtMs) / 1_000
    this.#filledAtMs = now
    const isShort = this.#tokens < 1
    const most = Math.max(1, this.#rate * BURST_SHARE)
    this.#tokens = Math.min(most, this.#tokens + seconds * this.#rate)
    if (!isShort) return
    const growth = this.#rate < this.#refusedRate / 2 ? FAST_GROWTH * this.#rate : GROWTH + this.#rate / 100
    this.#rate += Math.min(1, seconds) * growth
  }
}
