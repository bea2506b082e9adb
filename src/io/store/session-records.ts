import type { Kysely } from 'kysely'
import type { PricePerPixel } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'
import { Rational } from '../../lib/rational.ts'
import type { Balances, SessionPrices } from '../../services/orchestrator/payment-records.ts'
import { StoreError } from './database.ts'
import { deleteOldHolds } from './hold-rows.ts'
import {
  forgetIdleSessions,
  lockSession,
  owedBy,
  sessionIn,
  setSession,
  takeLeftovers,
} from './session-rows.ts'
import type { SharedAccounts } from './shared-accounts.ts'
import type { StoreAccess } from './store-access.ts'
import type { Tables } from './tables.ts'

const MAX_KNOWN_PRICES = 10_000

/** How sessions reach their database. */
export interface SessionAccess extends StoreAccess {
  /** Keeps the accounts where several processes share them; null where they do not. */
  shared(): SharedAccounts | null
}

/** The credit and the price of each session of a payer. */
export class SessionRecords implements Balances, SessionPrices {
  readonly #access: SessionAccess
  readonly #debitPatienceMs: number | undefined
  /** A session keeps its first price, which need not be read again for every segment. */
  readonly #prices = new Map<string, PricePerPixel>()

  /** `debitPatienceMs`: how long a debit may wait to share a commit with another write; absent: it does not wait. */
  constructor(access: SessionAccess, debitPatienceMs?: number) {
    this.#access = access
    this.#debitPatienceMs = debitPatienceMs
  }

  async balance(sender: Address, sessionId: string): Promise<Rational> {
    return amountIn(this.#db, sender, sessionId)
  }

  async price(sender: Address, sessionId: string): Promise<PricePerPixel | null> {
    const key = `${sender}/${sessionId}`
    // Also before it is known that the database is away: until then a reading would wait.
    const known = this.#prices.get(key) ?? this.#access.shared()?.knownPrice(sender, sessionId)
    if (known) return known
    this.#refuseAway()
    const price = (await this.#explained(sessionIn(this.#db, sender, sessionId)))?.price ?? null
    if (price) {
      if (this.#prices.size >= MAX_KNOWN_PRICES) this.#prices.clear()
      this.#prices.set(key, price)
    }
    return price
  }

  async debit(sender: Address, sessionId: string, fee: Rational, nowMs: number): Promise<Rational> {
    const shared = this.#access.shared()
    if (shared) return shared.end({ sender, sessionId, fee, nowMs, segment: '0x', holder: '' })
    return this.#access.write(async (tx, isShared) => {
      const { amount } = await lockSession(tx, isShared, sender, sessionId, nowMs)
      await setSession(tx, sender, sessionId, { amount: amount.sub(fee), nowMs })
      return amount.sub(fee)
    }, this.#debitPatienceMs)
  }

  async carryOver(sender: Address, sessionId: string, idleSinceMs: number, nowMs: number): Promise<Rational> {
    return this.#access.write(async (tx, isShared) => {
      const leftovers = await takeLeftovers(tx, isShared, sender, sessionId, idleSinceMs)
      // Nothing to carry over: skip the write.
      if (leftovers.amount.sign === 0) return amountIn(tx, sender, sessionId)
      const session = await lockSession(tx, isShared, sender, sessionId, nowMs)
      const amount = session.amount.add(leftovers.amount)
      const price = session.price ?? leftovers.price
      await setSession(tx, sender, sessionId, { amount, ...(price ? { price } : {}), nowMs })
      return amount
    })
  }

  async owed(sender: Address, idleSinceMs: number): Promise<Rational> {
    this.#refuseAway()
    return this.#explained(owedBy(this.#db, sender, idleSinceMs))
  }

  async forgetSessions(idleSinceMs: number): Promise<void> {
    this.#prices.clear()
    while (await this.#access.write((tx, isShared) => forgetIdleSessions(tx, isShared, idleSinceMs))) {}
    const { schema } = this.#access.database()
    if (schema !== null) await this.#access.write((tx) => deleteOldHolds(tx, schema))
  }

  async fixPrice(
    sender: Address,
    sessionId: string,
    price: PricePerPixel,
    nowMs: number,
  ): Promise<PricePerPixel> {
    return this.#access.write(async (tx, isShared) => {
      const session = await lockSession(tx, isShared, sender, sessionId, nowMs)
      if (session.price) return session.price
      await setSession(tx, sender, sessionId, { price, nowMs })
      return price
    })
  }

  /** What a reading gives; where the disk or the server is at fault it rejects with the operator's words for it. */
  async #explained<T>(reading: Promise<T>): Promise<T> {
    try {
      return await reading
    } catch (error) {
      throw this.#access.database().explain(error)
    }
  }

  get #db(): Kysely<Tables> {
    return this.#access.database().db
  }

  /** Throws at once, rather than after a long wait, what a read would end with. */
  #refuseAway(): void {
    const shared = this.#access.shared()
    if (shared?.isAway) throw new StoreError('store-unavailable', shared.fault ?? 'the database is away')
  }
}

async function amountIn(db: Kysely<Tables>, sender: Address, sessionId: string): Promise<Rational> {
  return (await sessionIn(db, sender, sessionId))?.amount ?? Rational.zero
}
