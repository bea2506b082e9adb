import { Rational } from '../lib/rational.ts'
import type { Profile } from './rendition.ts'
import type { PricePerPixel } from './ticket.ts'

/** What the network multiplies its estimate of pixels with: 1.02 as a 64-bit float, exactly (payments.md §1). */
const PIXEL_OVERESTIMATE = Rational.of(2296835809958953n, 2251799813685248n)

/** What a rendition that keeps the source's frame rate is estimated with (payments.md §7). */
const PASS_THROUGH_FPS = 60

/** How many pixels the renditions of a segment should come to, a bit more than less (payments.md §7). */
export function estimatePixels(profiles: readonly Profile[], durationMs: number): Rational {
  return Rational.of(encodedPixels(profiles, durationMs)).mul(PIXEL_OVERESTIMATE)
}

/** Width × height × ⌈frames a second⌉ × ⌈seconds⌉ over all profiles, without the over-estimate (payments.md §7). */
export function encodedPixels(profiles: readonly Profile[], durationMs: number): bigint {
  const seconds = BigInt(Math.ceil(durationMs / 1000))
  let pixels = 0n
  for (const { width, height, fps, fpsDen } of profiles) {
    const rate = fps === 0 ? PASS_THROUGH_FPS : Math.ceil(fps / (fpsDen === 0 ? 1 : fpsDen))
    // A side below zero is refused by the encoder; it must not make the others cheaper here.
    pixels += BigInt(Math.max(0, width)) * BigInt(Math.max(0, height)) * BigInt(rate) * seconds
  }
  return pixels
}

/** What pixels cost at a price, in wei. */
export function feeFor(pixels: Rational, price: PricePerPixel): Rational {
  return pixels.mul(price)
}

/** What must be credited before a segment is sent: its fee, but at least one ticket's worth (payments.md §7). */
export function minimumCredit(fee: Rational, ev: Rational): Rational {
  return fee.cmp(ev) < 0 ? ev : fee
}

/** How many tickets worth `ev` raise the credit from `existing` to at least `min`; none when tickets are worthless. */
export function ticketsFor(min: Rational, existing: Rational, ev: Rational): number {
  if (existing.cmp(min) >= 0 || ev.sign <= 0) return 0
  return Number(min.sub(existing).div(ev).ceil())
}

/** How a segment is to be paid for. */
export interface Outlay {
  /** Wei taken out of the session's credit; below zero when a debt is paid off. */
  readonly taken: Rational
  readonly tickets: number
  /** Wei that the segment itself will cost, by estimate: it stays taken until the segment's end. */
  readonly held: Rational
  /** Wei beyond that, of no use to others before the recipient has the tickets. */
  readonly surplus: Rational
}

/**
 * Decides what of the session's credit a segment takes and how many tickets it brings. A credit that suffices gives
 * just the fee, so that segments sent at the same time share the rest; one that does not is taken whole.
 */
export function outlayFor(credit: Rational, fee: Rational, ev: Rational): Outlay {
  const tickets = ticketsFor(minimumCredit(fee, ev), credit, ev)
  if (tickets === 0) return { taken: fee, tickets, held: fee, surplus: Rational.zero }
  const brought = credit.add(ev.mul(Rational.of(BigInt(tickets))))
  return { taken: credit, tickets, held: fee, surplus: brought.sub(fee) }
}
