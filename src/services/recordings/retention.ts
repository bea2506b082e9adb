import { MAX_INDEX_BYTES, readIndex } from '../../domain/recording-index.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Listing, StoredFile } from '../../lib/object-store.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { RecordStore } from './record-store.ts'
import { listAll, listIndexes } from './recording-library.ts'

/** How often the store is gone through: ten times in the time that recordings are kept, within these bounds. */
const SWEEPS = 10
const INTERVAL_LIMITS_MS = [60_000, 6 * 3_600_000] as const
const REMOVALS_AT_ONCE = 8
/** What a sweep deletes at most in one folder; the next one goes on. */
const MAX_PAGES = 100
/** Of the recordings, a thousand each: a store that lists more would do so for ever. */
const MAX_STORE_PAGES = 1_000
const RECORDED = /^[^/]+\/\d{1,19}\.(ts|mp4)$/

/** What retention depends on. */
export interface RetentionNeeds {
  readonly clock: Clock
  readonly log: Log
}

/**
 * Deletes what was recorded longer ago than recordings are kept (`-recordRetention`): first the segments that an index lists,
 * then the index, so that what is interrupted goes on with the next sweep. Only files with the names of recordings are
 * deleted.
 */
export class RecordingRetention implements Service {
  readonly name = 'retention of recordings'
  readonly #store: RecordStore
  readonly #keptMs: number
  readonly #needs: RetentionNeeds

  constructor(options: { readonly store: RecordStore; readonly keptMs: number }, needs: RetentionNeeds) {
    this.#store = options.store
    this.#keptMs = options.keptMs
    this.#needs = needs
  }

  start(scope: Scope): void {
    const [least, most] = INTERVAL_LIMITS_MS
    const intervalMs = Math.min(most, Math.max(least, this.#keptMs / SWEEPS))
    scope.spawn('delete old recordings', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(intervalMs, signal)
        await this.#trySweep(signal)
      }
    })
  }

  async #trySweep(signal: AbortSignal): Promise<void> {
    const { log } = this.#needs
    try {
      const deleted = await this.sweep(signal)
      if (deleted > 0) log.info('old recordings deleted', { store: this.#store.shown, files: deleted })
    } catch (error) {
      if (isAbort(error) && signal.aborted) throw error
      log.warn('old recordings cannot be deleted', { store: this.#store.shown, reason: messageOf(error) })
    }
  }

  /** Goes through the store once; gives how many files it deleted. Throws StoreError. */
  async sweep(signal: AbortSignal): Promise<number> {
    const objects = this.#store
    const beforeMs = this.#needs.clock.now() - this.#keptMs
    let deleted = 0
    let after: string | null = ''
    for (let pages = 0; after !== null && pages < MAX_STORE_PAGES; pages++) {
      const listing: Listing = await objects.list('', {
        shallow: true,
        signal,
        ...(after !== '' && { after }),
      })
      for (const folder of listing.folders)
        deleted += await this.#sweepSession(folder.slice(0, -1), beforeMs, signal)
      after = listing.next
    }
    return deleted
  }

  async #sweepSession(session: string, beforeMs: number, signal: AbortSignal): Promise<number> {
    const objects = this.#store
    const indexes = await listIndexes(session, objects, signal)
    const old = indexes.filter(({ savedMs }) => savedMs < beforeMs)
    if (old.length === 0) return 0
    let deleted = 0
    for (const folder of new Set(old.map((index) => index.folder))) {
      const path = `${session}/${folder}/`
      const goesOn = indexes.some((index) => index.folder === folder && index.savedMs >= beforeMs)
      const own = old.filter((index) => index.folder === folder)
      if (goesOn) for (const index of own) deleted += await this.#deleteListed(index, path, beforeMs, signal)
      else deleted += await this.#deleteAll(path, beforeMs, signal)
      deleted += await this.#remove(own, signal)
    }
    // They list what is no longer there.
    const { files } = await objects.list(`${session}/`, { shallow: true, signal })
    return (
      deleted +
      (await this.#remove(
        files.filter(({ path }) => path.endsWith('.m3u8')),
        signal,
      ))
    )
  }

  /** What nothing but old indexes lists, and what was never listed. */
  async #deleteAll(folder: string, beforeMs: number, signal: AbortSignal): Promise<number> {
    const objects = this.#store
    const { files } = await listAll((after) => objects.list(folder, { ...after, signal }), MAX_PAGES)
    const old = files.filter(
      ({ path, savedMs }) => savedMs < beforeMs && RECORDED.test(path.slice(folder.length)),
    )
    return this.#remove(old, signal)
  }

  /** What an old index lists, but for files that were replaced since. */
  async #deleteListed(
    { path: indexPath }: StoredFile,
    folder: string,
    beforeMs: number,
    signal: AbortSignal,
  ): Promise<number> {
    const objects = this.#store
    const bytes = await objects.load(indexPath, { maxBytes: MAX_INDEX_BYTES, signal })
    if (!bytes) return 0
    const paths = listedIn(Buffer.from(bytes).toString('utf8')).map((file) => `${folder}${file}`)
    let deleted = 0
    for (let at = 0; at < paths.length; at += REMOVALS_AT_ONCE) {
      const found = await Promise.all(
        paths.slice(at, at + REMOVALS_AT_ONCE).map((path) => objects.list(path, { limit: 1, signal })),
      )
      const old = found.flatMap(({ files }) => files).filter(({ savedMs }) => savedMs < beforeMs)
      deleted += await this.#remove(old, signal)
    }
    return deleted
  }

  async #remove(files: readonly { readonly path: string }[], signal: AbortSignal): Promise<number> {
    for (let at = 0; at < files.length; at += REMOVALS_AT_ONCE) {
      signal.throwIfAborted()
      const some = files.slice(at, at + REMOVALS_AT_ONCE)
      await Promise.all(some.map(({ path }) => this.#store.remove(path)))
    }
    return files.length
  }
}

/** The files that an index lists, each with its track; none where it cannot be read. */
function listedIn(text: string): readonly string[] {
  try {
    const { segments } = readIndex(text)
    return [...segments].flatMap(([track, listed]) => listed.map(({ file }) => `${track}/${file}`))
  } catch {
    return []
  }
}
