import type { StorageInfo } from '../../src/domain/segment.ts'
import { MemoryObjects } from '../../src/io/objects/memory-objects.ts'
import { abortError } from '../../src/lib/errors.ts'
import {
  type Listing,
  type ListOptions,
  type LoadOptions,
  type SaveOptions,
  StoreError,
} from '../../src/lib/object-store.ts'
import type { GrantLimits, OutsideStore } from '../../src/services/gateway/outside-store.ts'

/** A store outside that fails as a test wants it to. */
export class FakeOutsideStore implements OutsideStore {
  readonly shown: string
  readonly #base: string
  readonly files = new MemoryObjects({ filesPerDirectory: 1_000 })
  /** What every request comes to. */
  state: 'up' | 'unreachable' | 'refusing' | 'silent' | 'deaf' = 'up'
  /** Requests so far. */
  asked = 0
  readonly grants: { readonly below: string; readonly limits: GrantLimits }[] = []

  constructor(base = 'https://store.example/bucket') {
    this.#base = base
    this.shown = `s3+${base}`
  }

  async save(path: string, bytes: Uint8Array, { signal }: SaveOptions = {}): Promise<string> {
    await this.#answer(signal)
    await this.files.save(path, bytes)
    return this.urlOf(path)
  }

  async load(path: string, options: LoadOptions = {}): Promise<Uint8Array | null> {
    await this.#answer(options.signal)
    return await this.files.load(path, options)
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Listing> {
    await this.#answer(options.signal)
    return await this.files.list(prefix, options)
  }

  async remove(path: string): Promise<void> {
    await this.#answer()
    await this.files.remove(path)
  }

  async drop(prefix: string): Promise<void> {
    await this.#answer()
    await this.files.drop(prefix)
  }

  urlOf(path: string): string {
    return `${this.#base}/${path.split('/').map(encodeURIComponent).join('/')}`
  }

  grant(below: string, limits: GrantLimits): StorageInfo {
    this.grants.push({ below, limits })
    const s3 = { host: this.#base, key: below, policy: 'p', signature: 's', credential: 'c', xAmzDate: 'd' }
    return { kind: 's3', s3 }
  }

  async #answer(signal?: AbortSignal): Promise<void> {
    this.asked++
    if (signal?.aborted) throw abortError(signal)
    if (this.state === 'unreachable') throw new StoreError('store-unreachable', 'connection refused')
    if (this.state === 'refusing') throw new StoreError('store-refused', 'it answers 403')
    if (this.state !== 'silent' && this.state !== 'deaf') return
    await new Promise((_, reject) => {
      // A disk that hangs takes no notice of anybody.
      if (this.state === 'deaf') return
      signal?.addEventListener('abort', () => reject(abortError(signal)), { once: true })
    })
  }
}
