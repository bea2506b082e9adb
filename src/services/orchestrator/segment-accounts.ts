import { debtLimit, owesTooMuch, type Standing } from '../../domain/debt.ts'
import type { PricePerPixel } from '../../domain/ticket.ts'
import { smaller } from '../../lib/bigints.ts'
import { formatHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import type { Balances, Hold, HoldRequest, PaymentRecords } from './payment-records.ts'
import type { SegmentOrder } from './recipient.ts'

/** Senders whose payments are remembered; beyond this, the least recent ones count as unknown again. */
const MAX_PAYERS = 10_000

const HOLDER_BYTES = 16

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
  /** Names this process in what it sets aside, `node/instance`; empty where no other process uses the store. */
  readonly process?: string
}

/** What the accounts need. */
export interface SegmentAccountsNeeds {
  readonly balances: Pick<Balances, 'owed'>
  readonly records: Pick<PaymentRecords, 'endSegment'>
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
}

/**
 * Has a segment's fee set aside before the work begins and takes what it came to afterwards. What running segments hold is
 * in the store, since they may run on several nodes.
 */
export class SegmentAccounts {
  readonly #options: SegmentAccountsOptions
  readonly #needs: SegmentAccountsNeeds
  /** By sender, the least recently paid first. */
  readonly #paid = new Map<Address, Rational>()

  constructor(options: SegmentAccountsOptions, needs: SegmentAccountsNeeds) {
    this.#options = options
    this.#needs = needs
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

  /** What is to be set aside for a segment; `credit` is what is paid with it. */
  holdFor(order: SegmentOrder, price: PricePerPixel, credit: Rational): HoldRequest {
    const { lifeMs, pixels, segment, sender, sessionId } = order
    const { clock, dice } = this.#needs
    const nowMs = clock.now()
    const paid = (this.#paid.get(sender) ?? Rational.zero).add(credit)
    const id = dice.bytes(HOLDER_BYTES)
    const prefix = this.#options.process ? `${this.#options.process}/` : ''
    return {
      ...{ sender, sessionId, segment: formatHex(segment), holder: `${prefix}${formatHex(id)}` },
      ...{ pixels, price, paid, ticketEv: this.#options.ticketEv, lifeMs, nowMs },
      idleSinceMs: nowMs - this.#options.idleSessionMs,
    }
  }

  /** The reservation of a fee that is set aside. Throws NodeError `insufficient-balance` with the peers' text if it is not. */
  reservation(request: HoldRequest, hold: Hold | null): Reservation {
    if (!hold) throw new NodeError<AccountFault>('insufficient-balance', 'Insufficient balance')
    const { overrun, price } = hold
    if (price.sign <= 0) return FREE
    const { holder, pixels, segment, sender, sessionId } = request
    const maxPixels = pixels + Rational.of(overrun).div(price).floor()
    let isOver = false
    const end = async (fee: Rational | null) => {
      if (isOver) return
      isOver = true
      const nowMs = this.#needs.clock.now()
      await this.#needs.records.endSegment({ sender, sessionId, segment, holder, fee, nowMs })
    }
    return {
      price,
      maxPixels,
      release: () => void end(null).catch((error) => this.#tellNotReleased(request, error)),
      charge: (done) => {
        const charged = smaller(done, maxPixels)
        return end(charged > 0n ? price.mul(Rational.of(charged)) : null)
      },
    }
  }

  #tellNotReleased({ sender, sessionId, lifeMs }: HoldRequest, error: unknown): void {
    const fields = { sender, sessionId, lifeMs, error: messageOf(error) }
    this.#needs.log.warn('fee of a segment without work stays set aside until it ends', fields)
  }

  async #standing(sender: Address): Promise<Standing> {
    const owed = await this.#needs.balances.owed(
      sender,
      this.#needs.clock.now() - this.#options.idleSessionMs,
    )
    return { ticketEv: this.#options.ticketEv, owed, paid: this.#paid.get(sender) ?? Rational.zero }
  }
}

/** Nothing is asked and nothing is charged. */
export const FREE: Reservation = { price: null, maxPixels: null, charge: async () => {}, release: () => {} }
