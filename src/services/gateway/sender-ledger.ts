import { areParamsExpired } from '../../domain/sender-rules.ts'
import type { TicketParams } from '../../domain/ticket.ts'
import { MAX_NONCES_PER_RAND } from '../../domain/ticket-rules.ts'
import { formatHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { Rational } from '../../lib/rational.ts'

/** Peers drop balances that are idle for 10 minutes (payments.md §9): credit expires here shortly before. */
const CREDIT_IDLE_MS = 9 * 60_000
/** A debt is kept until the peer must have dropped it: its clean-up runs every 10 minutes. */
const DEBT_IDLE_MS = 21 * 60_000

/** The most entries; far more than a gateway's streams need within the times above. */
const MAX_BALANCES = 20_000
const MAX_OFFERS = 50_000

/** This gateway's balances with recipients, by recipient and auth session. */
export class OwnBalances {
  readonly #clock: Clock
  /** The least recently used first. */
  readonly #balances = new Map<string, { readonly amount: Rational; readonly usedAtMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#balances.size
  }

  /** Wei that can be spent; negative for a debt. */
  amountOf(key: string): Rational {
    const balance = this.#balances.get(key)
    if (!balance) return Rational.zero
    const limit = balance.amount.sign > 0 ? CREDIT_IDLE_MS : DEBT_IDLE_MS
    return this.#clock.now() - balance.usedAtMs > limit ? Rational.zero : balance.amount
  }

  /** Adds to a balance; a negative change takes from it. */
  add(key: string, change: Rational): void {
    const usedAtMs = this.#clock.now()
    const amount = this.amountOf(key).add(change)
    this.#balances.delete(key)
    this.#balances.set(key, { amount, usedAtMs })
    for (const [oldest, { usedAtMs: then }] of this.#balances) {
      if (usedAtMs - then <= DEBT_IDLE_MS && this.#balances.size <= MAX_BALANCES) break
      this.#balances.delete(oldest)
    }
  }
}

/** The nonces used under each offer, so that none is used twice if an offer is opened twice. */
export class NonceCounters {
  readonly #rounds: { readonly l1Block: bigint }
  /** By recipientRandHash; the oldest first. */
  readonly #counters = new Map<string, { last: number; readonly params: TicketParams }>()

  constructor(rounds: { readonly l1Block: bigint }) {
    this.#rounds = rounds
  }

  get size(): number {
    return this.#counters.size
  }

  /** How many more nonces of an offer its recipient accepts. */
  left(params: TicketParams): number {
    return MAX_NONCES_PER_RAND - (this.#counters.get(formatHex(params.recipientRandHash))?.last ?? 0)
  }

  /** Takes the next nonces of an offer and returns the first; an offer starts at 1 (payments.md §6). */
  take(params: TicketParams, count: number): number {
    const key = formatHex(params.recipientRandHash)
    const counter = this.#counters.get(key) ?? { last: 0, params }
    const first = counter.last + 1
    counter.last += count
    this.#counters.set(key, counter)
    for (const [oldest, { params: old }] of this.#counters) {
      if (!areParamsExpired(old, this.#rounds.l1Block) && this.#counters.size <= MAX_OFFERS) break
      this.#counters.delete(oldest)
    }
    return first
  }
}
