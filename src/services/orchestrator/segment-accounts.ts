import { debtLimit, overrunFor, owesTooMuch, type Standing } from '../../domain/debt.ts'
import type { PricePerPixel } from '../../domain/ticket.ts'
import { smaller } from '../../lib/bigints.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import { Rational } from '../../lib/rational.ts'
import type { Balances } from './payment-records.ts'

/** Senders whose payments are remembered; beyond this, the least recent ones count as unknown again. */
const MAX_PAYERS = 10_000

/** Why no work is begun for a sender. */
export type AccountFault = 'insufficient-balance' | 'sender-owes'

/** The fee set aside for one segment in work. Exactly one of `charge` and `release` ends it. */
export interface Reservation {
  /** Wei per pixel; null where nothing is charged. */
  readonly price: PricePerPixel | null
  /** Pixels at which the work stops; null where nothing is charged. */
  readonly maxPixels: bigint | null
  /** Charges what was done, at most `maxPixels`; resolves when that is on disk. */
  charge(pixels: bigint): Promise<void>
  /** Frees what was set aside: no work was done. */
  release(): void
}

export interface SegmentAccountsOptions {
  /** The expected value of one ticket, in wei. */
  readonly ticketEv: bigint
  /** From this idle time on, what is left in a session counts as its sender's. */
  readonly idleSessionMs: number
}

/**
 * Sets a segment's fee aside before the work begins and takes what it came to afterwards. Sums in memory are of running
 * segments only: a crash forgets them and nothing else.
 */
export class SegmentAccounts {
  readonly #options: SegmentAccountsOptions
  readonly #balances: Balances
  readonly #clock: Clock
  /** By session: fees set aside. */
  readonly #held = new Map<string, Rational>()
  /** By sender: what running segments may take beyond their fees. */
  readonly #granted = new Map<Address, Rational>()
  /** By sender, the least recently paid first. */
  readonly #paid = new Map<Address, Rational>()

  constructor(options: SegmentAccountsOptions, needs: { balances: Balances; clock: Clock }) {
    this.#options = options
    this.#balances = needs.balances
    this.#clock = needs.clock
  }

  /** A sender has paid: it may owe more from now on. */
  notePaid(sender: Address, credit: Rational): void {
    const sum = (this.#paid.get(sender) ?? Rational.zero).add(Rational.of(credit.floor()))
    this.#paid.delete(sender)
    this.#paid.set(sender, sum)
    if (this.#paid.size > MAX_PAYERS) this.#paid.delete(this.#paid.keys().next().value!)
  }

  /** Throws NodeError `sender-owes` when the sender's debts are too large for another session. */
  async assertMayOpen(sender: Address): Promise<void> {
    const standing = await this.#standing(sender)
    if (!owesTooMuch(standing)) return
    const { owed } = standing
    throw new NodeError<AccountFault>(
      'sender-owes',
      `sender ${sender} owes ${owed.ceil()} wei for work beyond what it paid: a new session is opened only at ${debtLimit(standing).floor() / 2n} wei or less`,
    )
  }

  /**
   * Sets aside the fee of a segment's pixels. Calls for one session must not overlap. Throws NodeError
   * `insufficient-balance` with the peers' text when the session's balance does not cover it.
   */
  async reserve(
    { sender, sessionId, price }: { sender: Address; sessionId: string; price: PricePerPixel },
    pixels: bigint,
  ): Promise<Reservation> {
    if (price.sign <= 0) return FREE
    const key = `${sender}/${sessionId}`
    const fee = price.mul(Rational.of(pixels))
    await this.#assertCovers(sender, sessionId, fee)
    const overrun = overrunFor(fee, await this.#standing(sender), this.#granted.get(sender) ?? Rational.zero)
    change(this.#held, key, fee)
    change(this.#granted, sender, overrun)
    let isOver = false
    const release = () => {
      if (isOver) return
      isOver = true
      change(this.#held, key, Rational.zero.sub(fee))
      change(this.#granted, sender, Rational.zero.sub(overrun))
    }
    const maxPixels = pixels + overrun.div(price).floor()
    return {
      price,
      maxPixels,
      release,
      charge: async (done) => {
        const charged = smaller(done, maxPixels)
        try {
          if (charged <= 0n || isOver) return
          const due = price.mul(Rational.of(charged))
          await this.#balances.debit(sender, sessionId, due, this.#clock.now())
        } finally {
          release()
        }
      },
    }
  }

  async #assertCovers(sender: Address, sessionId: string, fee: Rational): Promise<void> {
    // Work with an estimate of 0 is done only for a sender that has paid something.
    const needed = fee.sign > 0 ? fee : Rational.of(this.#options.ticketEv)
    const covers = (balance: Rational) => {
      const held = this.#held.get(`${sender}/${sessionId}`) ?? Rational.zero
      return balance.sub(held).cmp(needed) >= 0
    }
    if (covers(await this.#balances.balance(sender, sessionId))) return
    const now = this.#clock.now()
    const carried = await this.#balances.carryOver(sender, sessionId, now - this.#options.idleSessionMs, now)
    if (covers(carried)) return
    throw new NodeError<AccountFault>('insufficient-balance', 'Insufficient balance')
  }

  async #standing(sender: Address): Promise<Standing> {
    const owed = await this.#balances.owed(sender, this.#clock.now() - this.#options.idleSessionMs)
    return { ticketEv: this.#options.ticketEv, owed, paid: this.#paid.get(sender) ?? Rational.zero }
  }
}

/** Nothing is asked and nothing is charged. */
export const FREE: Reservation = { price: null, maxPixels: null, charge: async () => {}, release: () => {} }

function change<Key>(sums: Map<Key, Rational>, key: Key, by: Rational): void {
  const sum = (sums.get(key) ?? Rational.zero).add(by)
  if (sum.sign > 0) sums.set(key, sum)
  else sums.delete(key)
}
