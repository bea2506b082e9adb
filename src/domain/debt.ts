import { Rational } from '../lib/rational.ts'

/*
 * A segment is paid for by an estimate before it is worked on. What it costs beyond that (a source longer than
 * declared, or with more frames) becomes a debt of its sender that later payments settle. These rules limit the debt.
 */

/** How many tickets' worth a sender may owe that has not paid yet. */
const OWED_TICKETS = 64n
/** A sender that has paid may owe one part in this many of it, if that is more. */
const PAID_PART = 16n
/** A segment may exceed its fee by this many times the fee. */
export const OVERRUN_FACTOR = 4n
const HALF = Rational.of(1n, 2n)

/** A sender's account as its recipient knows it, in wei. */
export interface Standing {
  /** The expected value of a ticket. */
  readonly ticketEv: bigint
  /** The sum of its negative balances, over all its sessions. */
  readonly owed: Rational
  /** What it has paid so far, as far as is known. */
  readonly paid: Rational
}

/** The most that a sender may owe over all its sessions, in wei. */
export function debtLimit({ ticketEv, paid }: Omit<Standing, 'owed'>): Rational {
  const least = Rational.of(OWED_TICKETS * ticketEv)
  const earned = paid.div(Rational.of(PAID_PART))
  return earned.cmp(least) > 0 ? earned : least
}

/** Whether a sender owes too much for a new session: half its limit. */
export function owesTooMuch(standing: Standing): boolean {
  return standing.owed.cmp(debtLimit(standing).mul(HALF)) > 0
}

/**
 * How much a segment may cost beyond its fee before it is stopped, in wei. `granted` is what other running segments of
 * the sender may take in the same way, so that together they stay within the limit.
 */
export function overrunFor(fee: Rational, standing: Standing, granted: Rational): Rational {
  const left = debtLimit(standing).sub(standing.owed).sub(granted)
  if (left.sign <= 0) return Rational.zero
  const ticket = Rational.of(standing.ticketEv)
  const most = (fee.cmp(ticket) < 0 ? ticket : fee).mul(Rational.of(OVERRUN_FACTOR))
  return left.cmp(most) < 0 ? left : most
}
