import { maxSourceBytes, type SegmentData, segmentLimitMs } from '../../domain/segment.ts'
import { type Address, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { FairBudget, type Holder, type Share } from '../../lib/fair-budget.ts'
import type { BodyLimits } from '../../lib/request-body.ts'

/** All bodies in memory at a time. */
const MAX_BUFFERED_BYTES = 1_200_000_000
/** One running and four waiting (wire.md §10); another would be refused after its arrival. */
const MAX_BODIES_PER_SESSION = 5
/**
 * The part of the memory for one of them, so that others find room. A session has room for the largest segment. A host
 * leaves a quarter to the others, because most gateways may be behind one balancer.
 */
const SESSION_PART = 1 / 4
const SENDER_PART = 1 / 2
const HOST_PART = 3 / 4
/** Requests of one host that wait for their payment to be checked. Meanwhile HTTP/2 holds up to 1 MiB of each body. */
const MAX_ADMISSIONS_PER_HOST = 512
/** A sender that is silent for this long is gone. */
const BODY_STALL_MS = 10_000
/** 256 kbit/s: slower video cannot arrive in time. */
const SLOWEST = { bytes: 320_000, perMs: 10_000 }
/** A body may take this many times longer than its gateway is said to wait for the whole exchange (wire.md §10). */
const BODY_PATIENCE = 10
/** The limit in any case: twice the longest segment. */
const MAX_BODY_MS = 600_000

/** Limits, which tests lower. */
export interface SegmentBodiesOptions {
  readonly maxSegmentBytes?: number
  readonly maxBufferedBytes?: number
  readonly bodyStallMs?: number
  readonly slowest?: { readonly bytes: number; readonly perMs: number }
  readonly admissionsPerHost?: number
}

/** The parties that a body is counted for. */
export interface BodyOwner {
  readonly sessionId: string
  /** The paying address; the zero address without payments. */
  readonly sender: Address
  /** As named by `hostOf`; null for a node of this operator. */
  readonly host: string | null
}

/** The bodies of segments that are being received or worked on; limits their number, size and duration. */
export class SegmentBodies {
  readonly #options: SegmentBodiesOptions
  readonly #maxBuffered: number
  readonly #budget: FairBudget
  readonly #admissions = new FairBudget(0)

  constructor(options: SegmentBodiesOptions) {
    this.#options = options
    this.#maxBuffered = options.maxBufferedBytes ?? MAX_BUFFERED_BYTES
    this.#budget = new FairBudget(this.#maxBuffered)
  }

  /**
   * Counts a request until its payment has been checked, when it is closed; null if too many of its host are waiting.
   */
  enter(host: string | null): Pick<Share, 'close'> | null {
    const maxShares = this.#options.admissionsPerHost ?? MAX_ADMISSIONS_PER_HOST
    return this.#admissions.open(host === null ? [] : [{ name: host, maxBytes: 0, maxShares }])
  }

  /** Room for one more body, to be closed once its segment is done; null if its session has reached its limit. */
  open({ host, sender, sessionId }: BodyOwner): Share | null {
    const part = (share: number) => Math.floor(this.#maxBuffered * share)
    const holders: Holder[] = [
      { name: `session ${sessionId}`, maxBytes: part(SESSION_PART), maxShares: MAX_BODIES_PER_SESSION },
    ]
    if (sender !== ZERO_ADDRESS) holders.push({ name: `sender ${sender}`, maxBytes: part(SENDER_PART) })
    if (host !== null) holders.push({ name: `host ${host}`, maxBytes: part(HOST_PART) })
    return this.#budget.open(holders)
  }

  /** The largest source accepted for a segment, in bytes. */
  maxBytes({ durationMs }: SegmentData): number {
    return Math.min(this.#options.maxSegmentBytes ?? Number.POSITIVE_INFINITY, maxSourceBytes(durationMs))
  }

  /** The limits for reading a segment's body; `maxBytes` is that of the body itself. */
  limits({ durationMs }: SegmentData, maxBytes: number, share: Share): BodyLimits {
    return {
      maxBytes,
      stallMs: this.#options.bodyStallMs ?? BODY_STALL_MS,
      totalMs: Math.min(MAX_BODY_MS, BODY_PATIENCE * segmentLimitMs(durationMs)),
      slowest: this.#options.slowest ?? SLOWEST,
      budget: share,
    }
  }
}
