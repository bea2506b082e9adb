import {
  type Listing,
  type ListOptions,
  type LoadOptions,
  listingOf,
  MAX_OBJECT_BYTES,
  type ObjectStore,
  StoreError,
} from '../../lib/object-store.ts'

/** Files kept per directory: a live window and some to spare (gateway.md §1, wire.md §12). */
export const FILES_PER_DIRECTORY = 12

/** Default limit of all bytes, beyond which the oldest files are dropped. */
const DEFAULT_MAX_BYTES = 2_000_000_000

/** Counted per file in addition to its bytes, so that empty files are limited too. */
const OVERHEAD_BYTES = 512

/** An owner with at least this part of the average counts as having its share. */
const SHARE = 0.9

/**
 * Segments in memory, by path. Keeps the newest files of each directory, and a number of bytes overall. Beyond that
 * limit the oldest file of a session or stream (the first part of a path) with more than its share is dropped first, so
 * that none displaces the others' files.
 */
export class MemoryObjects implements ObjectStore {
  readonly #baseUrl: string
  readonly #maxBytes: number
  readonly #filesPerDirectory: number
  readonly #now: () => number
  /** All files in insertion order. */
  readonly #files = new Map<string, { readonly bytes: Uint8Array; readonly savedMs: number }>()
  /** What each session or stream has. */
  readonly #owners = new Map<string, { files: number; bytes: number }>()
  /** The paths in each directory, in insertion order. */
  readonly #directories = new Map<string, Set<string>>()
  #bytes = 0

  constructor(
    options: {
      /** Where the node serves what lies here, ending with a slash. */
      baseUrl?: string
      maxBytes?: number
      filesPerDirectory?: number
      now?: () => number
    } = {},
  ) {
    this.#now = options.now ?? Date.now
    this.#baseUrl = options.baseUrl ?? '/'
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES
    this.#filesPerDirectory = options.filesPerDirectory ?? FILES_PER_DIRECTORY
  }

  async save(path: string, bytes: Uint8Array): Promise<string> {
    if (sizeOf(path, bytes) > this.#maxBytes) {
      throw new StoreError(
        'object-too-big',
        `${bytes.length} bytes do not fit into a store of ${this.#maxBytes}`,
      )
    }
    this.#remove(path)
    const name = directoryOf(path)
    let directory = this.#directories.get(name)
    if (!directory) {
      directory = new Set()
      this.#directories.set(name, directory)
    }
    directory.add(path)
    this.#files.set(path, { bytes, savedMs: this.#now() })
    this.#bytes += sizeOf(path, bytes)
    const owner = this.#owners.get(ownerOf(path)) ?? { files: 0, bytes: 0 }
    this.#owners.set(ownerOf(path), owner)
    owner.files++
    owner.bytes += sizeOf(path, bytes)
    if (directory.size > this.#filesPerDirectory) this.#removeOldest(directory)
    while (this.#bytes > this.#maxBytes) this.#removeOldest(this.#ofTheLarge())
    return this.#baseUrl + path.split('/').map(encodeURIComponent).join('/')
  }

  async load(path: string, { maxBytes = MAX_OBJECT_BYTES }: LoadOptions = {}): Promise<Uint8Array | null> {
    const bytes = this.#files.get(path)?.bytes ?? null
    if (bytes && bytes.length > maxBytes) throw tooBig(path, bytes.length, maxBytes)
    return bytes
  }

  async list(prefix: string, options?: ListOptions): Promise<Listing> {
    const found = [...this.#files]
      .filter(([path]) => path.startsWith(prefix))
      .map(([path, { bytes, savedMs }]) => ({ path, bytes: bytes.length, savedMs }))
    return listingOf(
      found.sort((a, b) => (a.path < b.path ? -1 : 1)),
      prefix,
      options,
    )
  }

  async remove(path: string): Promise<void> {
    this.#remove(path)
  }

  async drop(prefix: string): Promise<void> {
    for (const [name, paths] of this.#directories) {
      if (`${name}/`.startsWith(prefix)) for (const path of [...paths]) this.#remove(path)
    }
  }

  /** Bytes held now, including the overhead of each file. */
  get bytes(): number {
    return this.#bytes
  }

  /** Files held now. */
  get files(): number {
    return this.#files.size
  }

  /** The paths, oldest first, of owners that have about the average or more. */
  *#ofTheLarge(): Iterable<string> {
    const share = (SHARE * this.#bytes) / this.#owners.size
    for (const path of this.#files.keys()) {
      if (this.#owners.get(ownerOf(path))!.bytes >= share) yield path
    }
  }

  #removeOldest(paths: Iterable<string>): void {
    for (const path of paths) {
      this.#remove(path)
      return
    }
  }

  #remove(path: string): void {
    const bytes = this.#files.get(path)?.bytes
    if (bytes === undefined) return
    this.#files.delete(path)
    this.#bytes -= sizeOf(path, bytes)
    const owner = this.#owners.get(ownerOf(path))!
    owner.files--
    owner.bytes -= sizeOf(path, bytes)
    if (owner.files === 0) this.#owners.delete(ownerOf(path))
    const name = directoryOf(path)
    const directory = this.#directories.get(name)
    directory?.delete(path)
    if (directory?.size === 0) this.#directories.delete(name)
  }
}

function tooBig(path: string, bytes: number, maxBytes: number): StoreError {
  return new StoreError('object-too-big', `${path} has ${bytes} bytes, more than ${maxBytes}`)
}

function sizeOf(path: string, bytes: Uint8Array): number {
  return bytes.length + path.length * 2 + OVERHEAD_BYTES
}

function ownerOf(path: string): string {
  return path.slice(0, Math.max(0, path.indexOf('/')))
}

function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
