import type { PricePerPixel } from '../../domain/ticket.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'

/** Gateways of which the last offer is remembered. */
const MAX_OFFERED = 20
/** A price that a webhook sets holds for this long (payments.md §8). */
const AGREED_MS = 30 * 60_000
const MAX_AGREED = 10_000

/** A price now: one written in another currency follows its feed. */
export type PriceSource = () => PricePerPixel

/**
 * The operator's prices: what its webhook sets for a gateway, else what is agreed with that one, else the price for all
 * (payments.md §8).
 */
export class PriceBook {
  /** The price for all other gateways. */
  everyone: PriceSource
  readonly single: Map<Address, PriceSource>
  readonly #offered = new Map<Address, PricePerPixel>()
  /** By gateway, the oldest first. */
  readonly #agreed = new Map<Address, { readonly price: PricePerPixel; readonly untilMs: number }>()
  readonly #clock: Pick<Clock, 'now'>

  constructor(
    everyone: PriceSource,
    single: Iterable<readonly [Address, PriceSource]> = [],
    clock: Pick<Clock, 'now'> = systemClock,
  ) {
    this.#clock = clock
    this.everyone = everyone
    this.single = new Map(single)
  }

  /** Wei per pixel for this gateway, before the cost of redeeming is added. */
  basePrice(gateway: Address): PricePerPixel {
    const agreed = this.#agreed.get(gateway)
    if (agreed && this.#clock.now() < agreed.untilMs) return agreed.price
    return (this.single.get(gateway) ?? this.everyone)()
  }

  /** Sets a gateway's price for half an hour, in wei per pixel; null takes it back. */
  agree(gateway: Address, price: PricePerPixel | null): void {
    this.#agreed.delete(gateway)
    if (price === null) return
    this.#agreed.set(gateway, { price, untilMs: this.#clock.now() + AGREED_MS })
    if (this.#agreed.size > MAX_AGREED) this.#agreed.delete(this.#agreed.keys().next().value!)
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
