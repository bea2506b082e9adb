import { type IndexFile, type RecordedRun, runsOf } from '../../domain/recording.ts'
import {
  INDEX_PREFIX,
  indexStart,
  isPathElement,
  MAX_INDEX_BYTES,
  readIndex,
} from '../../domain/recording-index.ts'
import { NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Listing, ObjectStore, StoredFile } from '../../lib/object-store.ts'

/** Nodes that recorded one session, and indexes of one of them: an hour each. */
const MAX_NODES = 200
const MAX_INDEXES = 2_000
/** Sessions that are joined. */
const MAX_SESSIONS = 100
const LOADS_AT_ONCE = 8

/** A recording as it lies in a store. */
export interface FoundRecording {
  readonly runs: readonly RecordedRun[]
  /** When its newest index began, in milliseconds since the Unix epoch; null where there is none. */
  readonly newestMs: number | null
}

/**
 * Reads what was recorded under these names, the oldest session first. Indexes that cannot be read are left out. Throws
 * StoreError.
 */
export async function readRecording(
  sessions: readonly string[],
  objects: ObjectStore,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<FoundRecording> {
  const runs: RecordedRun[] = []
  let newestMs: number | null = null
  for (const session of sessions.filter(isPathElement).slice(-MAX_SESSIONS)) {
    const files = await indexesOf(session, objects, { log, signal })
    runs.push(...runsOf(session, files))
    for (const { startedNs } of files) newestMs = Math.max(newestMs ?? 0, Number(startedNs / 1_000_000n))
  }
  return { runs, newestMs }
}

/** The folders of the nodes that recorded a session, with the names of their indexes. Throws StoreError. */
export async function listIndexes(
  session: string,
  objects: ObjectStore,
  signal: AbortSignal,
): Promise<readonly (StoredFile & { readonly folder: string; readonly startedNs: bigint })[]> {
  const found: (StoredFile & { folder: string; startedNs: bigint })[] = []
  const folders = await listAll((after) => objects.list(`${session}/`, { ...after, shallow: true, signal }))
  for (const path of folders.folders.slice(0, MAX_NODES)) {
    const folder = path.slice(session.length + 1, -1)
    const { files } = await listAll((after) => objects.list(`${path}${INDEX_PREFIX}`, { ...after, signal }))
    for (const file of files) {
      const startedNs = indexStart(file.path.slice(path.length))
      if (startedNs !== null && found.length < MAX_INDEXES) found.push({ ...file, folder, startedNs })
    }
  }
  return found
}

/** All pages of a listing, up to a bound. */
export async function listAll(
  page: (after: { after?: string }) => Promise<Listing>,
  max = MAX_PAGES,
): Promise<Pick<Listing, 'files' | 'folders'>> {
  const files: StoredFile[] = []
  const folders: string[] = []
  let after: string | null = null
  for (let pages = 0; pages < max; pages++) {
    const listing: Listing = await page(after === null ? {} : { after })
    files.push(...listing.files)
    folders.push(...listing.folders)
    after = listing.next
    if (after === null) break
  }
  return { files, folders }
}

const MAX_PAGES = 100

async function indexesOf(
  session: string,
  objects: ObjectStore,
  { log, signal }: { log: Log; signal: AbortSignal },
): Promise<IndexFile[]> {
  const listed = await listIndexes(session, objects, signal)
  const files: IndexFile[] = []
  for (let at = 0; at < listed.length; at += LOADS_AT_ONCE) {
    const some = listed.slice(at, at + LOADS_AT_ONCE)
    const read = await Promise.all(
      some.map(async ({ folder, path, startedNs }) => {
        try {
          const bytes = await objects.load(path, { maxBytes: MAX_INDEX_BYTES, signal })
          return bytes && { folder, startedNs, index: readIndex(Buffer.from(bytes).toString('utf8')) }
        } catch (error) {
          const isBroken =
            error instanceof NodeError &&
            (error.code === 'bad-recording-index' || error.code === 'object-too-big')
          if (!isBroken) throw error
          log.warn('index of a recording cannot be read', { path, reason: error.message })
          return null
        }
      }),
    )
    for (const file of read) if (file) files.push(file)
  }
  return files
}
