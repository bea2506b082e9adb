import type { PricePerPixel } from '../domain/ticket.ts'
import type { Address } from '../lib/crypto.ts'

/** The operator's prices: one for all gateways, and those agreed with single ones (payments.md §8). */
export class PriceBook {
  #everyone: PricePerPixel
  readonly #single = new Map<Address, PricePerPixel>()

  constructor(everyone: PricePerPixel, single: Iterable<readonly [Address, PricePerPixel]> = []) {
    this.#everyone = everyone
    for (const [gateway, price] of single) this.#single.set(gateway, price)
  }

  /** Wei per pixel for this gateway, before the cost of redeeming is added. */
  basePrice(gateway: Address): PricePerPixel {
    return this.#single.get(gateway) ?? this.#everyone
  }

  /** Sets the price for one gateway, or with null for all that have none of their own. Sessions keep theirs. */
  setPrice(gateway: Address | null, price: PricePerPixel): void {
    if (gateway === null) this.#everyone = price
    else this.#single.set(gateway, price)
  }
}
