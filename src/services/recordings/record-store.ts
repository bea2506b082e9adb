import type { StoreAddress } from '../../domain/store-address.ts'
import type { ObjectStore } from '../../lib/object-store.ts'

/** Where recordings lie. */
export interface RecordStore extends ObjectStore {
  /** For people and logs: without keys. */
  readonly shown: string
}

/** Stores of the webhook that stay open; beyond, the one that was not used for the longest time is opened anew. */
const MAX_OPEN = 100

/** The stores of recordings: the gateway's own, and those that the webhook names. */
export class RecordStores {
  readonly #own: RecordStore | null
  readonly #open: (address: StoreAddress) => RecordStore
  /** The least recently used first. */
  #others: { readonly address: StoreAddress; readonly store: RecordStore }[] = []

  constructor(options: {
    /** `-recordStore`; null for none. */
    readonly own: RecordStore | null
    readonly open: (address: StoreAddress) => RecordStore
  }) {
    this.#own = options.own
    this.#open = options.open
  }

  /** The store at an address, or the gateway's own; null where there is none. */
  of(address: StoreAddress | null): RecordStore | null {
    if (address === null) return this.#own
    const known = this.#others.find((other) => other.address.equals(address))
    const opened = known ?? { address, store: this.#open(address) }
    this.#others = [...this.#others.filter((other) => other !== known), opened].slice(-MAX_OPEN)
    return opened.store
  }
}
