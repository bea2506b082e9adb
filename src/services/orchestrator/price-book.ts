import type { PricePerPixel } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'

/** Gateways of which the last offer is remembered. */
const MAX_OFFERED = 20

/** A price now: one written in another currency follows its feed. */
export type PriceSource = () => PricePerPixel

/** The operator's prices: one for all gateways, and those agreed with single ones (payments.md §8). */
export class PriceBook {
  /** The price for all other gateways. */
  everyone: PriceSource
  readonly single: Map<Address, PriceSource>
  readonly #offered = new Map<Address, PricePerPixel>()

  constructor(everyone: PriceSource, single: Iterable<readonly [Address, PriceSource]> = []) {
    this.everyone = everyone
    this.single = new Map(single)
  }

  /** Wei per pixel for this gateway, before the cost of redeeming is added. */
  basePrice(gateway: Address): PricePerPixel {
    return (this.single.get(gateway) ?? this.everyone)()
  }

  /** Remembers what a gateway was offered, in wei per pixel. */
  noteOffer(gateway: Address, price: PricePerPixel): void {
    this.#offered.delete(gateway)
    this.#offered.set(gateway, price)
    if (this.#offered.size > MAX_OFFERED) this.#offered.delete(this.#offered.keys().next().value!)
  }

  /** What the latest gateways were offered, the latest last. */
  get offered(): ReadonlyMap<Address, PricePerPixel> {
    return this.#offered
  }
}
