import { maxSourceBytes, type SegmentData, segmentLimitMs } from '../../domain/segment.ts'
import { type Address, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { FairBudget, type Holder, type Share } from '../../lib/fair-budget.ts'
import type { BodyLimits } from '../../lib/request-body.ts'

/** All bodies in memory at one time. */
const MAX_BUFFERED_BYTES = 1_200_000_000
/** One in work and four that wait for it (wire.md §10); a further one would be refused once it is here. */
const MAX_BODIES_PER_SESSION = 5
/**
 * What of the memory one of them may hold, so that others find room whatever it does. A session has room for the largest
 * segment. A host leaves a quarter to all others: behind a balancer's address may be most of the gateways.
 */
const SESSION_PART = 1 / 4
const SENDER_PART = 1 / 2
const HOST_PART = 3 / 4
/**
 * Requests of one host that wait for their payment to be judged. What comes of their bodies meanwhile is held by HTTP/2,
 * up to 1 MiB for each.
 */
const MAX_ADMISSIONS_PER_HOST = 512
/** A sender that is silent for this long has gone. */
const BODY_STALL_MS = 10_000
/** 256 kbit/s: no video arrives in time at less. */
const SLOWEST = { bytes: 320_000, perMs: 10_000 }
/** A body may take this many times longer than its gateway is said to wait for the whole exchange (wire.md §10). */
const BODY_PATIENCE = 10
/** And no longer than this: twice the longest segment. */
const MAX_BODY_MS = 600_000

/** Bounds, for tests. */
export interface SegmentBodiesOptions {
  readonly maxSegmentBytes?: number
  readonly maxBufferedBytes?: number
  readonly bodyStallMs?: number
  readonly slowest?: { readonly bytes: number; readonly perMs: number }
  readonly admissionsPerHost?: number
}

/** On whose behalf a body is received. */
export interface BodyOwner {
  readonly sessionId: string
  /** The address that pays; the zero address where nobody does. */
  readonly sender: Address
  /** As `hostOf` names it; null for a node of this operator. */
  readonly host: string | null
}

/** The bodies of segments that are received or worked on: how many, how large and how slow they may be. */
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

  /** Counts a request until its payment has been judged: closed then; null when too many of its host wait. */
  enter(host: string | null): Pick<Share, 'close'> | null {
    const maxShares = this.#options.admissionsPerHost ?? MAX_ADMISSIONS_PER_HOST
    return this.#admissions.open(host === null ? [] : [{ name: host, maxBytes: 0, maxShares }])
  }

  /** Room for one more body, to be closed once its segment is done; null when its session has all that it may have. */
  open({ host, sender, sessionId }: BodyOwner): Share | null {
    const part = (share: number) => Math.floor(this.#maxBuffered * share)
    const holders: Holder[] = [
      { name: `session ${sessionId}`, maxBytes: part(SESSION_PART), maxShares: MAX_BODIES_PER_SESSION },
    ]
    if (sender !== ZERO_ADDRESS) holders.push({ name: `sender ${sender}`, maxBytes: part(SENDER_PART) })
    if (host !== null) holders.push({ name: `host ${host}`, maxBytes: part(HOST_PART) })
    return this.#budget.open(holders)
  }

  /** The largest source that is taken of a segment, in bytes. */
  maxBytes({ durationMs }: SegmentData): number {
    return Math.min(this.#options.maxSegmentBytes ?? Number.POSITIVE_INFINITY, maxSourceBytes(durationMs))
  }

  /** The bounds within which a segment's body is read; `maxBytes` is that of the body itself. */
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
