import { debtLimit, overrunFor } from '../../domain/debt.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import { Rational } from '../../lib/rational.ts'
import { Turns } from '../../lib/turns.ts'
import type {
  Balances,
  Hold,
  HoldRequest,
  PaymentRecord,
  SegmentEnd,
  SegmentStart,
  SegmentStarted,
  SessionPrices,
} from '../../services/orchestrator/payment-records.ts'

/** What a store that no other process uses does for the accounts of segments. */
export interface LocalAccountsNeeds {
  readonly sessions: Pick<Balances, 'balance' | 'carryOver' | 'debit' | 'owed'> & Pick<SessionPrices, 'price'>
  /** Null when a nonce was used, its number is revealed, or it has too many nonces. */
  record(payment: PaymentRecord): Promise<Pick<SegmentStarted, 'newWinners'> | null>
}

/** A fee that is set aside. Another try of the segment may use it: it then counts as what its sender may come to owe. */
interface LiveHold {
  readonly sessionId: string
  readonly segment: Hex
  fee: Rational
  overrun: bigint
}

const NOTHING_RECORDED = { newWinners: [] }

/**
 * The fees of running segments where only one process uses the store: in memory, since the segments end with that process.
 * The rules are those of `settle-function.ts`; the store suite holds both to them.
 */
export class LocalAccounts {
  readonly #needs: LocalAccountsNeeds
  readonly #turns = new Turns()
  /** By sender and holder. */
  readonly #holds = new Map<Address, Map<string, LiveHold>>()

  constructor(needs: LocalAccountsNeeds) {
    this.#needs = needs
  }

  async begin({ payment, hold }: SegmentStart): Promise<SegmentStarted> {
    const recorded = payment ? await this.#needs.record(payment) : NOTHING_RECORDED
    if (!recorded) return { newWinners: null, hold: null }
    const { newWinners } = recorded
    if (!hold) return { newWinners, hold: null }
    return { newWinners, hold: await this.#turns.take(turnOf(hold), () => this.#setAside(hold)) }
  }

  /** In turn too, so that the next segment finds either the fee set aside or the charge. */
  end(end: SegmentEnd): Promise<void> {
    const { fee, holder, nowMs, sender, sessionId } = end
    return this.#turns.take(turnOf(end), async () => {
      try {
        if (fee) await this.#needs.sessions.debit(sender, sessionId, fee, nowMs)
      } finally {
        this.#free(sender, holder)
      }
    })
  }

  async #setAside(request: HoldRequest): Promise<Hold | null> {
    const { holder, idleSinceMs, nowMs, segment, sender, sessionId, ticketEv } = request
    const price = (await this.#needs.sessions.price(sender, sessionId)) ?? request.price
    if (price.sign <= 0) return { price, overrun: 0n }
    const fee = price.mul(Rational.of(request.pixels))
    // Work with an estimate of 0 is done only for a sender that has paid something.
    const needed = fee.sign > 0 ? fee : Rational.of(ticketEv)
    let balance = await this.#needs.sessions.balance(sender, sessionId)
    if (balance.sub(this.#heldIn(sender, sessionId)).cmp(needed) < 0) {
      balance = await this.#needs.sessions.carryOver(sender, sessionId, idleSinceMs, nowMs)
    }
    const standing = {
      ...{ ticketEv, paid: request.paid },
      owed: await this.#needs.sessions.owed(sender, idleSinceMs),
    }
    // From here on nothing waits: segments of other sessions share what the sender may owe.
    const missing = needed.sub(balance.sub(this.#heldIn(sender, sessionId)))
    if (missing.sign > 0) {
      const earlier = this.#live(sender).filter(
        (hold) => hold.segment === segment && hold.sessionId === sessionId,
      )
      const usable = earlier.reduce((sum, hold) => sum.add(hold.fee), Rational.zero)
      const exposed = earlier.reduce((sum, hold) => sum + hold.fee.ceil(), 0n)
      const room = debtLimit(standing)
        .sub(standing.owed)
        .sub(Rational.of(this.#granted(sender)))
        .floor()
      if (missing.cmp(usable) > 0 || exposed > room) return null
      for (const hold of earlier) {
        hold.overrun += hold.fee.ceil()
        hold.fee = Rational.zero
      }
    }
    const overrun = overrunFor(fee, standing, Rational.of(this.#granted(sender))).floor()
    const holds = this.#holds.get(sender) ?? new Map<string, LiveHold>()
    this.#holds.set(sender, holds.set(holder, { sessionId, segment, fee, overrun }))
    return { price, overrun }
  }

  /** Its writes tell their faults themselves. */
  readonly fault = null

  /** Its writes are finished by the queue of commits. */
  async close(): Promise<void> {}

  #live(sender: Address): LiveHold[] {
    return [...(this.#holds.get(sender)?.values() ?? [])]
  }

  #heldIn(sender: Address, sessionId: string): Rational {
    return this.#live(sender)
      .filter((hold) => hold.sessionId === sessionId)
      .reduce((sum, { fee }) => sum.add(fee), Rational.zero)
  }

  #granted(sender: Address): bigint {
    return this.#live(sender).reduce((sum, { overrun }) => sum + overrun, 0n)
  }

  #free(sender: Address, holder: string): void {
    const holds = this.#holds.get(sender)
    holds?.delete(holder)
    if (holds?.size === 0) this.#holds.delete(sender)
  }
}

function turnOf({ sender, sessionId }: Pick<HoldRequest, 'sender' | 'sessionId'>): string {
  return `${sender}/${sessionId}`
}
