import { constants } from 'node:fs'
import { open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { formatHex } from '../../lib/bytes.ts'
import type { Dice } from '../../lib/dice.ts'
import { diskFault } from '../../lib/disk-fault.ts'
import { abortError, messageOf } from '../../lib/errors.ts'
import { makeFolder } from '../../lib/make-folder.ts'
import {
  checkObjectPath,
  isObjectPath,
  type Listing,
  type ListOptions,
  type LoadOptions,
  MAX_LISTED,
  MAX_OBJECT_BYTES,
  type SaveOptions,
  type StoredFile,
  StoreError,
} from '../../lib/object-store.ts'
import type { OutsideStore } from '../../services/gateway/outside-store.ts'

/** What the name of a file begins with that is not complete yet; a crash may leave one behind. */
const UNFINISHED = '.unfinished-'
/** A folder that is removed as empty while a file comes into it is made again, this often. */
const MAX_TRIES = 3
/** Errors with which a folder can never be used. Others, as of a full disk, may pass. */
const UNUSABLE: ReadonlySet<unknown> = new Set([
  ...['EACCES', 'EEXIST', 'ELOOP', 'ENAMETOOLONG', 'ENOENT', 'ENOTDIR', 'EPERM', 'EROFS'],
])
const MISSING: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'])

/**
 * Files in a folder of this machine, each complete as soon as it has its name. A symbolic link is no file of the store.
 */
export class FolderObjects implements OutsideStore {
  readonly shown: string
  readonly #folder: string
  readonly #dice: Dice

  constructor({ folder }: { readonly folder: string }, { dice }: { readonly dice: Dice }) {
    this.#folder = resolve(folder)
    this.shown = this.#folder
    this.#dice = dice
  }

  /**
   * Makes the folder, and writes a file in it, which it removes. Throws StoreError `store-refused` where that can never
   * succeed; a disk that is full or fails may do better later.
   */
  async check(): Promise<void> {
    try {
      await makeFolder(this.#folder)
      const file = this.#unfinishedIn(this.#folder)
      await (await open(file, 'wx')).close()
      await unlink(file)
    } catch (error) {
      if (!UNUSABLE.has(codeOf(error))) return
      const reason = diskFault(error) ?? messageOf(error)
      throw new StoreError('store-refused', `${this.#folder} cannot be used, ${reason}`, { cause: error })
    }
  }

  async save(path: string, bytes: Uint8Array, { signal }: SaveOptions = {}): Promise<string> {
    checkObjectPath(path)
    if (isUnfinished(path)) throw new StoreError('bad-path', `no file may be named ${UNFINISHED}…`)
    const file = join(this.#folder, path)
    await this.#try('saved', async () => {
      for (let tries = 1; ; tries++) {
        if (signal?.aborted) throw abortError(signal)
        try {
          return await this.#write(file, bytes)
        } catch (error) {
          if (codeOf(error) !== 'ENOENT' || tries === MAX_TRIES) throw error
        }
      }
    })
    return pathToFileURL(file).href
  }

  async load(
    path: string,
    { maxBytes = MAX_OBJECT_BYTES, signal }: LoadOptions = {},
  ): Promise<Uint8Array | null> {
    if (!isObjectPath(path) || isUnfinished(path)) return null
    if (signal?.aborted) throw abortError(signal)
    return await this.#try('loaded', async () => {
      try {
        await using file = await open(join(this.#folder, path), constants.O_RDONLY | constants.O_NOFOLLOW)
        const found = await file.stat()
        if (!found.isFile()) return null
        if (found.size > maxBytes) {
          throw new StoreError('object-too-big', `a file of ${found.size} bytes is more than ${maxBytes}`)
        }
        return new Uint8Array(await file.readFile())
      } catch (error) {
        if (MISSING.has(codeOf(error)) || codeOf(error) === 'ELOOP') return null
        throw error
      }
    })
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Listing> {
    const most = Math.max(1, Math.min(options.limit ?? MAX_LISTED, MAX_LISTED))
    const files: StoredFile[] = []
    const folders: string[] = []
    let last = ''
    return await this.#try('listed', async () => {
      for await (const name of this.#walk('', prefix, options)) {
        if (options.signal?.aborted) throw abortError(options.signal)
        if (files.length + folders.length === most) return { files, folders, next: last }
        if (name.endsWith('/')) folders.push(name)
        else {
          const found = await stat(join(this.#folder, name)).catch(() => null)
          if (found) files.push({ path: name, bytes: found.size, savedMs: Math.round(found.mtimeMs) })
        }
        last = name
      }
      return { files, folders, next: null }
    })
  }

  async remove(path: string): Promise<void> {
    if (!isObjectPath(path)) return
    await this.#try('removed', async () => {
      await unlink(join(this.#folder, path)).catch(ignoreMissing)
      await this.#clear(dirname(path))
    })
  }

  async drop(prefix: string): Promise<void> {
    const path = prefix.slice(0, -1)
    if (!prefix.endsWith('/') || !isObjectPath(path)) {
      throw new StoreError('bad-path', 'only what a folder holds can be dropped')
    }
    await this.#try('dropped', async () => {
      await rm(join(this.#folder, path), { recursive: true, force: true })
      await this.#clear(dirname(path))
    })
  }

  /** Nobody else fetches from a folder. */
  urlOf(): null {
    return null
  }

  grant(): null {
    return null
  }

  #unfinishedIn(folder: string): string {
    return join(folder, `${UNFINISHED}${formatHex(this.#dice.bytes(8)).slice(2)}`)
  }

  async #write(file: string, bytes: Uint8Array): Promise<void> {
    const folder = dirname(file)
    await makeFolder(folder)
    const unfinished = this.#unfinishedIn(folder)
    try {
      await using target = await open(unfinished, 'wx')
      await target.writeFile(bytes)
      await rename(unfinished, file)
    } catch (error) {
      await unlink(unfinished).catch(() => {})
      throw error
    }
  }

  /** Files, and folders with a slash at the end, in order of their paths. */
  async *#walk(folder: string, prefix: string, options: ListOptions): AsyncGenerator<string> {
    const { after = '', shallow = false } = options
    const entries = await readdir(join(this.#folder, folder), { withFileTypes: true }).catch(ignoreMissing)
    const names = (entries ?? [])
      .filter((entry) => (entry.isDirectory() || entry.isFile()) && !entry.name.startsWith(UNFINISHED))
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    for (const name of names.sort()) {
      const path = folder + name
      const isBehind = path.startsWith(prefix)
      if (!name.endsWith('/')) {
        if (isBehind && path > after) yield path
      } else if (shallow && isBehind && path !== prefix) {
        if (path > after) yield path
      } else if ((isBehind || prefix.startsWith(path)) && (path > after || after.startsWith(path))) {
        yield* this.#walk(path, prefix, options)
      }
    }
  }

  /** Removes folders that have become empty, from this one upwards. */
  async #clear(folder: string): Promise<void> {
    for (let path = folder; path !== '.'; path = dirname(path)) {
      try {
        await rmdir(join(this.#folder, path))
      } catch {
        return
      }
    }
  }

  async #try<T>(done: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (codeOf(error) === undefined || error instanceof StoreError) throw error
      const reason = diskFault(error) ?? messageOf(error)
      throw new StoreError('store-failed', `a file in ${this.#folder} could not be ${done}: ${reason}`, {
        cause: error,
      })
    }
  }
}

function isUnfinished(path: string): boolean {
  return path.startsWith(UNFINISHED) || path.includes(`/${UNFINISHED}`)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function ignoreMissing(error: unknown): undefined {
  if (!MISSING.has(codeOf(error))) throw error
}
