import type { Outlay } from '../../domain/balance.ts'
import type { Outcome } from '../../domain/dealings.ts'
import type { Payment, PricePerPixel, TicketParams } from '../../domain/ticket.ts'
import { Rational } from '../../lib/rational.ts'
import type { StagedPayment } from './payer.ts'

/** The planned payment for one segment. */
export interface Plan {
  readonly params: TicketParams
  readonly price: PricePerPixel
  readonly balance: string
  readonly outlay: Outlay
  /** The expected value of the tickets. */
  readonly paid: Rational
}

/** The progress of a payment (payments.md §7): nothing is known yet, it reached the recipient, or its cost is known. */
type PaymentState = 'staged' | 'credit-spent' | 'received-change' | 'abandoned' | 'settled'

/** Charges of which only the orchestrator knows whether it made them. */
export interface Doubts {
  areThere(): boolean
  add(charge: Rational): void
  /** Takes them from the balance, as far as it goes. */
  concede(): void
}

/** What a payment works with. */
export interface PaymentNeeds {
  readonly doubts: Doubts
  /** Adds to the balance from which it was taken. */
  credit(change: Rational): void
  settle(outcome: Outcome): void
  spent(value: Rational): void
}

/** A payment in tickets, from its staging to its outcome (payments.md §7). */
export class TicketPayment implements StagedPayment {
  readonly payment: Payment
  readonly #plan: Plan
  readonly #needs: PaymentNeeds
  #state: PaymentState = 'staged'
  #isDoubted = false
  /** Wei known to be paid for nothing. */
  #lost = Rational.zero
  #cost = Rational.zero

  constructor(payment: Payment, plan: Plan, needs: PaymentNeeds) {
    this.payment = payment
    this.#plan = plan
    this.#needs = needs
  }

  answered(): void {
    if (this.#state !== 'staged') return
    this.#state = 'credit-spent'
    const { outlay } = this.#plan
    this.#lost = outlay.held
    this.#needs.spent(this.#plan.paid)
    // By now the recipient has credited the tickets' value beyond this segment: later segments may use it.
    this.#needs.credit(outlay.surplus)
  }

  doubted(): void {
    const isOpen = this.#state === 'staged' || this.#state === 'credit-spent'
    if (isOpen && !this.#isDoubted) this.#needs.doubts.add(this.#plan.outlay.held)
    this.#isDoubted = true
  }

  get isInDoubt(): boolean {
    return this.#needs.doubts.areThere()
  }

  uncovered(): void {
    if (this.#state !== 'credit-spent') return
    this.#state = 'settled'
    // Refused as it is, this segment is not charged.
    this.#needs.credit(this.#plan.outlay.held)
    this.#needs.doubts.concede()
  }

  completed(pixels: bigint): void {
    this.answered()
    if (this.#state !== 'credit-spent') return
    this.#state = 'received-change'
    this.#lost = Rational.zero
    this.#cost = this.#worthOf(pixels)
    this.#needs.credit(this.#plan.outlay.held.sub(this.#cost))
  }

  abandoned(isSent: boolean): void {
    if (this.#state !== 'staged') return
    this.#state = 'abandoned'
    if (isSent) {
      this.#lost = this.#plan.paid
      this.#needs.spent(this.#plan.paid)
    }
    this.#needs.credit(this.#plan.outlay.taken)
  }

  settled(delivered: bigint | null): void {
    if (this.#state === 'staged') this.abandoned(false)
    if (this.#state === 'settled') return
    this.#state = 'settled'
    if (delivered === null) return
    const earned = this.#worthOf(delivered)
    const unearned = this.#cost.sub(earned)
    const lost = this.#lost.add(unearned.sign > 0 ? unearned : Rational.zero)
    this.#needs.settle({ earned: earned.trunc(), lost: lost.ceil() })
  }

  #worthOf(pixels: bigint): Rational {
    return this.#plan.price.mul(Rational.of(pixels < 0n ? 0n : pixels))
  }
}
