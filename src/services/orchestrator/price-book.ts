import type { PricePerPixel } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'

/** A price now: one written in another currency follows its feed. */
export type PriceSource = () => PricePerPixel

/** The operator's prices: one for all gateways, and those agreed with single ones (payments.md §8). */
export class PriceBook {
  readonly #everyone: PriceSource
  readonly #single: ReadonlyMap<Address, PriceSource>

  constructor(everyone: PriceSource, single: Iterable<readonly [Address, PriceSource]> = []) {
    this.#everyone = everyone
    this.#single = new Map(single)
  }

  /** Wei per pixel for this gateway, before the cost of redeeming is added. */
  basePrice(gateway: Address): PricePerPixel {
    return (this.#single.get(gateway) ?? this.#everyone)()
  }
}
