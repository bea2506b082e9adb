import { Rational } from '../lib/rational.ts'
import type { Profile } from './rendition.ts'
import type { PricePerPixel } from './ticket.ts'

/** The network multiplies its estimate of pixels by this: 1.02 as a 64-bit float, exactly (payments.md §1). */
const PIXEL_OVERESTIMATE = Rational.of(2296835809958953n, 2251799813685248n)

/** Frame rate assumed for a rendition that keeps the source's (payments.md §7). */
const PASS_THROUGH_FPS = 60

/** Estimates the pixels of a segment's renditions, slightly high (payments.md §7). */
export function estimatePixels(profiles: readonly Profile[], durationMs: number): Rational {
  return Rational.of(encodedPixels(profiles, durationMs)).mul(PIXEL_OVERESTIMATE)
}

/** Width × height × ⌈frames per second⌉ × ⌈seconds⌉ over all profiles, without the over-estimate (payments.md §7). */
export function encodedPixels(profiles: readonly Profile[], durationMs: number): bigint {
  const seconds = BigInt(Math.ceil(durationMs / 1000))
  let pixels = 0n
  for (const { width, height, fps, fpsDen } of profiles) {
    const rate = fps === 0 ? PASS_THROUGH_FPS : Math.ceil(fps / (fpsDen === 0 ? 1 : fpsDen))
    // The encoder refuses negative sizes; here they must not make the others cheaper.
    pixels += BigInt(Math.max(0, width)) * BigInt(Math.max(0, height)) * BigInt(rate) * seconds
  }
  return pixels
}

/** The price of these pixels, in wei. */
export function feeFor(pixels: Rational, price: PricePerPixel): Rational {
  return pixels.mul(price)
}

/** The credit required before a segment is sent: its fee, but at least the value of one ticket (payments.md §7). */
export function minimumCredit(fee: Rational, ev: Rational): Rational {
  return fee.cmp(ev) < 0 ? ev : fee
}

/** How many tickets worth `ev` raise the credit from `existing` to at least `min`; 0 when tickets are worthless. */
export function ticketsFor(min: Rational, existing: Rational, ev: Rational): number {
  if (existing.cmp(min) >= 0 || ev.sign <= 0) return 0
  return Number(min.sub(existing).div(ev).ceil())
}

/** How a segment is paid for. */
export interface Outlay {
  /** Wei taken from the session's credit; negative when a debt is paid off. */
  readonly taken: Rational
  readonly tickets: number
  /** Estimated cost of the segment in wei, held until the segment ends. */
  readonly held: Rational
  /** Wei beyond that, which other segments cannot use before the recipient has the tickets. */
  readonly surplus: Rational
}

/**
 * Decides how much of the session's credit a segment takes and how many tickets it brings. From a sufficient credit it
 * takes only the fee, so that concurrent segments share the rest; an insufficient credit is taken entirely.
 */
export function outlayFor(credit: Rational, fee: Rational, ev: Rational): Outlay {
  const tickets = ticketsFor(minimumCredit(fee, ev), credit, ev)
  if (tickets === 0) return { taken: fee, tickets, held: fee, surplus: Rational.zero }
  const brought = credit.add(ev.mul(Rational.of(BigInt(tickets))))
  return { taken: credit, tickets, held: fee, surplus: brought.sub(fee) }
}
