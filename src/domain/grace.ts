import { Rational } from '../lib/rational.ts'

/*
 * While the store of a cluster is away, a node judges by what it knows itself: it goes on with sessions that it has worked
 * for, on credit up to a limit for each sender. A gateway may show one ticket to several nodes in that time; each loses at
 * most the limit, and the store finds it out afterwards.
 */

/** What a node may do while the store is away. */
export interface GraceLimits {
  /** For how long, in ms. */
  readonly graceMs: number
  /** The work that it may begin for one sender, in wei. */
  readonly valueWei: bigint
}

/** A payment that came with a segment, as far as its nonces go. */
export interface GracePayment {
  /** Hash of the secret number of its tickets. */
  readonly hash: string
  readonly nonces: readonly number[]
}

/** A segment that is begun. */
export interface GraceGrant {
  /** Wei per pixel. */
  readonly price: Rational
  /** Wei that the segment may cost beyond its fee. */
  readonly overrun: bigint
}

/** A session that the node worked for lately, with its price. */
interface KnownSession {
  readonly price: Rational
  readonly lastMs: number
}

/** A gateway has forgotten a session that was idle for so long. */
const KNOWN_MS = 20 * 60_000
const MAX_KNOWN = 100_000

/** Winning tickets of refused payments that are kept while the store is away. */
const MAX_KEPT = 10_000

/** What a node remembers of its sessions, and what it grants from that while the store is away. */
export class GraceBook {
  readonly #limits: GraceLimits
  /** The one that was worked for longest ago first. */
  readonly #known = new Map<string, KnownSession>()
  /** By sender: wei of the work that was begun while the store is away. */
  readonly #begun = new Map<string, bigint>()
  readonly #nonces = new Map<string, Set<number>>()
  /** Hashes of the winning tickets of refused payments. */
  readonly #kept = new Set<string>()

  constructor(limits: GraceLimits) {
    this.#limits = limits
  }

  /** A session was worked for, at this price. */
  note(sender: string, session: string, price: Rational, nowMs: number): void {
    const key = `${sender}/${session}`
    this.#known.delete(key)
    this.#known.set(key, { price, lastMs: nowMs })
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!)
  }

  /** The price of a session that the node goes on with; null for others. */
  priceOf(sender: string, session: string, nowMs: number): Rational | null {
    const known = this.#known.get(`${sender}/${session}`)
    return known && nowMs - known.lastMs < KNOWN_MS ? known.price : null
  }

  /** Whether the nonces of a payment were not used since the store is away. */
  areUnused({ hash, nonces }: GracePayment): boolean {
    const used = this.noncesOf(hash)
    return new Set(nonces).size === nonces.length && !nonces.some((nonce) => used.has(nonce))
  }

  /** The nonces of a payment that is taken are used from now on. */
  useNonces({ hash, nonces }: GracePayment): void {
    this.#nonces.set(hash, new Set([...this.noncesOf(hash), ...nonces]))
  }

  /** The nonces used with a secret number since the store is away. */
  noncesOf(hash: string): ReadonlySet<number> {
    return this.#nonces.get(hash) ?? new Set()
  }

  /** Of the winning tickets of a refused payment, those to be written down: each once, and a limited number of them. */
  keep<Ticket extends { readonly hash: string }>(winners: readonly Ticket[]): readonly Ticket[] {
    return winners.filter(({ hash }) => {
      if (this.#kept.has(hash) || this.#kept.size >= MAX_KEPT) return false
      this.#kept.add(hash)
      return true
    })
  }

  /**
   * Grants a segment: its fee, and an overrun of at most the same amount, within the sender's limit.
   * Null where the limit does not cover the fee.
   */
  grant(sender: string, price: Rational, pixels: bigint): GraceGrant | null {
    if (price.sign <= 0) return { price, overrun: 0n }
    const fee = price.mul(Rational.of(pixels)).ceil()
    const before = this.#begun.get(sender) ?? 0n
    const left = this.#limits.valueWei - before - fee
    if (left < 0n) return null
    const overrun = left < fee ? left : fee
    this.#begun.set(sender, before + fee + overrun)
    return { price, overrun }
  }

  /** The store is back: what was begun without it is settled there. */
  settled(): void {
    this.#begun.clear()
    this.#nonces.clear()
    this.#kept.clear()
  }
}
