import type { Clock } from '../../lib/clock.ts'
import type { Listing, ListOptions, ObjectStore } from '../../lib/object-store.ts'

/** Gateways fetch a result at once, and give up after 4 s (wire.md §12). */
const FETCH_MS = 5_000

/** The results of segments, with those that gateways have been told of lately and not fetched yet. */
export class AwaitedResults implements ObjectStore {
  readonly #store: ObjectStore
  readonly #clock: Clock
  /** Until when each is expected to be fetched, by path, the first first. */
  readonly #expected = new Map<string, number>()

  constructor(store: ObjectStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** Whether a gateway is expected to fetch one now. */
  get areLeft(): boolean {
    this.#expire()
    return this.#expected.size > 0
  }

  /** Those that a gateway is expected to fetch now. */
  async left(): Promise<readonly { readonly path: string; readonly bytes: Uint8Array }[]> {
    this.#expire()
    const read = [...this.#expected.keys()].map(async (path) => ({
      path,
      bytes: await this.#store.load(path),
    }))
    return (await Promise.all(read)).flatMap(({ bytes, path }) => (bytes ? [{ path, bytes }] : []))
  }

  /** Another node answers for these from now on as well. */
  takenOver(paths: Iterable<string>): void {
    for (const path of paths) this.#expected.delete(path)
  }

  async save(path: string, bytes: Uint8Array): Promise<string> {
    const url = await this.#store.save(path, bytes)
    this.#expire()
    this.#expected.delete(path)
    this.#expected.set(path, this.#clock.now() + FETCH_MS)
    return url
  }

  async load(path: string): Promise<Uint8Array | null> {
    const bytes = await this.#store.load(path)
    this.#expected.delete(path)
    return bytes
  }

  list(prefix: string, options?: ListOptions): Promise<Listing> {
    return this.#store.list(prefix, options)
  }

  async remove(path: string): Promise<void> {
    this.#expected.delete(path)
    await this.#store.remove(path)
  }

  async drop(prefix: string): Promise<void> {
    for (const path of this.#expected.keys()) if (path.startsWith(prefix)) this.#expected.delete(path)
    await this.#store.drop(prefix)
  }

  #expire(): void {
    const now = this.#clock.now()
    for (const [path, untilMs] of this.#expected) {
      if (untilMs > now) return
      this.#expected.delete(path)
    }
  }
}
