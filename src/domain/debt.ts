import { Rational } from '../lib/rational.ts'

/*
 * A segment is paid for by its estimate before it is worked on. What it takes beyond that (a source longer than was
 * declared, or with more frames) becomes a debt of its sender, which later payments settle. These rules bound it.
 */

/** How many tickets' worth a sender may owe that has paid nothing yet. */
const OWED_TICKETS = 64n
/** A sender that has paid may owe this part of it, where that is more. */
const PAID_PART = 16n
/** A segment may take this many times its own fee on top of it. */
const OVERRUN_FACTOR = 4n
const HALF = Rational.of(1n, 2n)

/** What a recipient knows of a sender's account, all in wei. */
export interface Standing {
  /** What one ticket is worth. */
  readonly ticketEv: bigint
  /** What all its sessions together are below zero. */
  readonly owed: Rational
  /** What it has paid so far, as far as known. */
  readonly paid: Rational
}

/** The most that a sender may owe over all its sessions, in wei. */
export function debtLimit({ ticketEv, paid }: Omit<Standing, 'owed'>): Rational {
  const least = Rational.of(OWED_TICKETS * ticketEv)
  const earned = paid.div(Rational.of(PAID_PART))
  return earned.cmp(least) > 0 ? earned : least
}

/** Whether a sender owes too much to be offered another session: half of what it may owe. */
export function owesTooMuch(standing: Standing): boolean {
  return standing.owed.cmp(debtLimit(standing).mul(HALF)) > 0
}

/**
 * How much a segment may cost beyond its fee before it is stopped, in wei. `granted` is what other segments of the sender
 * that are being worked on may take in the same way, so that all together stay within the limit.
 */
export function overrunFor(fee: Rational, standing: Standing, granted: Rational): Rational {
  const left = debtLimit(standing).sub(standing.owed).sub(granted)
  if (left.sign <= 0) return Rational.zero
  const ticket = Rational.of(standing.ticketEv)
  const most = (fee.cmp(ticket) < 0 ? ticket : fee).mul(Rational.of(OVERRUN_FACTOR))
  return left.cmp(most) < 0 ? left : most
}
