import { MemoryObjects } from '../../src/io/objects/memory-objects.ts'
import {
  type ListOptions,
  type LoadOptions,
  type SaveOptions,
  StoreError,
} from '../../src/lib/object-store.ts'
import type { RecordStore } from '../../src/services/recordings/record-store.ts'

/** A store of recordings in memory that can be down, or lose a file that is being saved. */
export class FakeRecordStore implements RecordStore {
  readonly shown = 's3+https://store.example/bucket'
  readonly #objects: MemoryObjects
  /** `METHOD PATH` of what was asked, in order. */
  readonly asked: string[] = []
  /** Why it does nothing; null while it is up. */
  fault: 'store-unreachable' | 'store-refused' | 'hangs' | null = null
  /** Paths that it never takes. */
  refused: (path: string) => boolean = () => false

  constructor(options: { baseUrl?: string; now?: () => number } = {}) {
    this.#objects = new MemoryObjects({ filesPerDirectory: 100_000, ...options })
  }

  async save(path: string, bytes: Uint8Array, _options?: SaveOptions): Promise<string> {
    await this.#ask(`PUT ${path}`)
    if (this.refused(path)) throw new StoreError('object-too-big', 'too big')
    return this.#objects.save(path, bytes)
  }

  async load(path: string, options?: LoadOptions): Promise<Uint8Array | null> {
    await this.#ask(`GET ${path}`)
    return this.#objects.load(path, options)
  }

  async list(prefix: string, options?: ListOptions) {
    await this.#ask(`LIST ${prefix}`)
    return this.#objects.list(prefix, options)
  }

  async remove(path: string): Promise<void> {
    await this.#ask(`DELETE ${path}`)
    return this.#objects.remove(path)
  }

  async drop(prefix: string): Promise<void> {
    await this.#ask(`DROP ${prefix}`)
    return this.#objects.drop(prefix)
  }

  /** All paths, sorted. */
  async paths(prefix = ''): Promise<string[]> {
    const { files } = await this.#objects.list(prefix)
    return files.map(({ path }) => path)
  }

  /** A file as text. */
  async text(path: string): Promise<string> {
    return Buffer.from((await this.#objects.load(path)) ?? []).toString('utf8')
  }

  async #ask(what: string): Promise<void> {
    this.asked.push(what)
    if (this.fault === 'hangs') await new Promise(() => {})
    if (this.fault === 'store-unreachable' || this.fault === 'store-refused') {
      throw new StoreError(this.fault, 'connection refused')
    }
  }
}
