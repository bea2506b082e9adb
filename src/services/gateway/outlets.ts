import type { StoreAddress } from '../../domain/store-address.ts'
import { Outlet, type OutletNeeds } from './outlet.ts'
import type { OutsideStore } from './outside-store.ts'

/** Stores of the webhook that stay open; beyond, the one that was not used for the longest time is opened anew. */
const MAX_OPEN = 100

/** Where the segments of streams are saved: in the gateway's own store, or in one that the webhook names. */
export class Outlets {
  readonly #own: Outlet | null
  readonly #openStore: (address: StoreAddress) => OutsideStore
  readonly #needs: OutletNeeds
  /** By address, the least recently used first. */
  #others: { readonly address: StoreAddress; readonly outlet: Outlet }[] = []

  constructor(
    options: {
      /** `-objectStore`; null where segments stay in memory. */
      readonly own: StoreAddress | null
      readonly open: (address: StoreAddress) => OutsideStore
    },
    needs: OutletNeeds,
  ) {
    this.#own = options.own && new Outlet(options.open(options.own), needs)
    this.#openStore = options.open
    this.#needs = needs
  }

  /** Loads what the use of the gateway's own store takes. */
  async prepare(): Promise<void> {
    await this.#own?.prepare()
  }

  /** How many stores of the webhook are open. */
  get open(): number {
    return this.#others.length
  }

  /** The outlet of a stream; null where its segments stay in memory. */
  of(address: StoreAddress | null): Outlet | null {
    if (address === null) return this.#own
    const known = this.#others.find((other) => other.address.equals(address))
    const opened = known ?? { address, outlet: new Outlet(this.#openStore(address), this.#needs) }
    this.#others = [...this.#others.filter((other) => other !== known), opened].slice(-MAX_OPEN)
    return opened.outlet
  }
}
