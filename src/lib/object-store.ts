import { NodeError } from './errors.ts'

/** Where bytes lie until others fetch them: in this process, in a folder, or in a store that serves them by itself. */
export interface ObjectStore {
  /**
   * Keeps bytes under a path and gives the URL at which others fetch them; a file of that path is replaced and counts as
   * new. No reader ever finds a part of a file. Throws StoreError.
   */
  save(path: string, bytes: Uint8Array, options?: SaveOptions): Promise<string>
  /** The bytes under a path; null where there are none, or none any more. Throws StoreError. */
  load(path: string, options?: LoadOptions): Promise<Uint8Array | null>
  /** The files whose paths begin with a prefix, in order of their paths. Throws StoreError. */
  list(prefix: string, options?: ListOptions): Promise<Listing>
  /** Forgets one file. */
  remove(path: string): Promise<void>
  /** Forgets all files under a prefix that ends with a slash: a directory, and those in it. */
  drop(prefix: string): Promise<void>
}

/** How a file is saved. */
export interface SaveOptions {
  /** Of the video in it, in milliseconds; kept beside the file where the store keeps such things. */
  readonly durationMs?: number
  /** Ends the try. */
  readonly signal?: AbortSignal
}

/** How a file is loaded. */
export interface LoadOptions {
  /** A larger file is an error, `object-too-big`; `MAX_OBJECT_BYTES` where it is absent. */
  readonly maxBytes?: number
  readonly signal?: AbortSignal
}

/** What is listed. */
export interface ListOptions {
  /** Names the folders that lie right behind the prefix instead of the files in them. */
  readonly shallow?: boolean
  /** Only what comes after this path or folder. */
  readonly after?: string
  /** Files and folders together; at most, and by default, `MAX_LISTED`. */
  readonly limit?: number
  readonly signal?: AbortSignal
}

/** A part of what is in a store. */
export interface Listing {
  readonly files: readonly StoredFile[]
  /** With the prefix, and ending with a slash. */
  readonly folders: readonly string[]
  /** What to give as `after` for what follows; null at the end. */
  readonly next: string | null
}

/** A file of a store, without its bytes. */
export interface StoredFile {
  readonly path: string
  readonly bytes: number
  /** When it was saved, by the store's clock: milliseconds since the Unix epoch. */
  readonly savedMs: number
}

/** The largest file that is loaded: a segment of 300 s at 8 Mbit/s. */
export const MAX_OBJECT_BYTES = 300_000_000
/** Files and folders of one listing. */
export const MAX_LISTED = 1_000

/** Why a store did not do what was asked. */
export type StoreFault =
  | 'object-too-big'
  /** No store can hold such a path. */
  | 'bad-path'
  /** It did not answer, or not in time, or is in trouble itself: another try may succeed. */
  | 'store-unreachable'
  /** It says no: the key, the bucket, the rights. */
  | 'store-refused'
  /** A disk's fault. */
  | 'store-failed'

/** A failure of a store. Its message holds no key and no part of a URL but the host. */
export class StoreError extends NodeError<StoreFault> {
  override name = 'StoreError'
}

/** Whether another try, a little later, may succeed. */
export function mayPass(error: unknown): boolean {
  return error instanceof StoreError && (error.code === 'store-unreachable' || error.code === 'store-failed')
}

/** Whether no try can succeed with this file, whose path or size no store takes. */
export function isHopeless(error: unknown): boolean {
  return error instanceof StoreError && (error.code === 'bad-path' || error.code === 'object-too-big')
}

const MAX_PATH_BYTES = 1_024
const MAX_ELEMENT_BYTES = 255

/**
 * Whether every store can hold a path: no element is empty, `.` or `..`, none is longer than 255 bytes, all together than
 * 1,024.
 */
export function isObjectPath(path: string): boolean {
  const elements = path.split('/')
  return (
    path.isWellFormed() &&
    !path.includes('\0') &&
    byteLength(path) <= MAX_PATH_BYTES &&
    elements.every((element) => !BARRED.has(element) && byteLength(element) <= MAX_ELEMENT_BYTES)
  )
}

/** Throws StoreError `bad-path` where no store can hold a path. */
export function checkObjectPath(path: string): void {
  if (!isObjectPath(path)) throw new StoreError('bad-path', 'no store can hold a file of this path')
}

const BARRED: ReadonlySet<string> = new Set(['', '.', '..'])

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length
}

/** What a listing shows of files that are sorted by their paths. */
export function listingOf(
  files: readonly StoredFile[],
  prefix: string,
  { after = '', limit = MAX_LISTED, shallow = false }: ListOptions = {},
): Listing {
  const most = Math.max(1, Math.min(limit, MAX_LISTED))
  const shown: StoredFile[] = []
  const folders = new Set<string>()
  let last = ''
  for (const file of files) {
    if (!file.path.startsWith(prefix)) continue
    const slash = shallow ? file.path.indexOf('/', prefix.length) : -1
    const name = slash < 0 ? file.path : file.path.slice(0, slash + 1)
    if (name <= after || folders.has(name)) continue
    if (shown.length + folders.size === most) return { files: shown, folders: [...folders], next: last }
    if (slash < 0) shown.push(file)
    else folders.add(name)
    last = name
  }
  return { files: shown, folders: [...folders], next: null }
}
