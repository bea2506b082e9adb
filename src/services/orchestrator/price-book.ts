import type { PricePerPixel } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'

/** A price now: one written in another currency follows its feed. */
export type PriceSource = () => PricePerPixel

/** The operator's prices: one for all gateways, and those agreed with single ones (payments.md §8). */
export class PriceBook {
  #everyone: PriceSource
  readonly #single: Map<Address, PriceSource>

  constructor(everyone: PriceSource, single: Iterable<readonly [Address, PriceSource]> = []) {
    this.#everyone = everyone
    this.#single = new Map(single)
  }

  /** Wei per pixel for this gateway, before the cost of redeeming is added. */
  basePrice(gateway: Address): PricePerPixel {
    return (this.#single.get(gateway) ?? this.#everyone)()
  }

  /** Sets the price for one gateway, or with null for all that have none of their own. Sessions keep theirs. */
  setPrice(gateway: Address | null, price: PriceSource): void {
    if (gateway === null) this.#everyone = price
    else this.#single.set(gateway, price)
  }
}
