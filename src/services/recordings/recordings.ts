import { tracksOf } from '../../domain/recording.ts'
import { isPathElement } from '../../domain/recording-index.ts'
import { writeRecordingMaster, writeRecordingTrack } from '../../domain/recording-playlist.ts'
import type { StoreAddress } from '../../domain/store-address.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { isObjectPath, StoreError } from '../../lib/object-store.ts'
import { ByteBudget } from '../../lib/request-body.ts'
import { layOut, type Movie } from './movie.ts'
import type { RecordStore, RecordStores } from './record-store.ts'
import type { Recording } from './recorder.ts'
import { type FoundRecording, readRecording } from './recording-library.ts'

/** A recording whose newest index is older is whole: its playlists are saved when they are asked for (gateway.md §6). */
const WHOLE_MS = 24 * 3_600_000
/** What a webhook says counts for this long (gateway.md §6). */
const GRANT_MS = 3_600_000
const MAX_GRANTS = 10_000
/** Requests at once; each may list a store and ask a webhook. */
const MAX_REQUESTS = 64
/** Bytes of files that are being loaded or sent; what one may have before it is known. */
const MAX_BYTES = 1_000_000_000
const LOAD_BYTES = 8_000_000
/** A movie holds a segment, what is made of it and the next segment. */
const MOVIE_SEGMENTS = 3
/** Layouts are used again for the parts that a player asks for one after the other. */
const LAYOUT_MS = 15_000
const MAX_LAYOUTS = 50

/** What a webhook grants the viewers of a recording (gateway.md §4). */
export interface RecordingGrant {
  /** Its store; null for the gateway's own. */
  readonly store: StoreAddress | null
  /** Where others serve the store; null for this gateway. */
  readonly publicUrl: string | null
  /** Earlier sessions, the oldest first. */
  readonly previousSessions: readonly string[]
}

/** Decides who may see recordings; never rejects. */
export interface RecordingAuthority {
  /** The grant, null where the webhook leaves it to the gateway, or why not. */
  judge(
    url: string,
  ): Promise<
    | { readonly kind: 'allowed'; readonly grant: RecordingGrant | null }
    | { readonly kind: 'denied'; readonly isUnknown: boolean }
  >
}

/** A request for a part of a recording. */
export interface RecordingRequest {
  /** The path behind `/recordings/`. */
  readonly path: string
  /** As webhooks are told it. */
  readonly url: string
  /** Null where it is not said. */
  readonly finalize: boolean | null
}

/** The answer to a request for a part of a recording. */
export type RecordingAnswer =
  | { readonly kind: 'playlist'; readonly text: string }
  | { readonly kind: 'file'; readonly type: string; readonly bytes: Uint8Array }
  | { readonly kind: 'movie'; readonly name: string; readonly movie: Movie }
  | { readonly kind: 'refused'; readonly why: Refusal }

/** Why there is no answer. */
export type Refusal =
  | 'bad-path'
  | 'denied'
  | 'no-store'
  | 'no-recording'
  | 'no-file'
  | 'store-failed'
  | 'too-many-requests'

/** What recordings depend on. */
export interface RecordingsNeeds {
  readonly clock: Clock
  readonly log: Log
  readonly stores: Pick<RecordStores, 'of'>
  /** Null where anyone may see them. */
  readonly authority: RecordingAuthority | null
  /** Recordings that are not all saved yet. */
  readonly recorder: { underWay(session: string): readonly Recording[] }
}

const TYPES: Readonly<Record<string, string>> = {
  m3u8: 'application/x-mpegURL',
  mp4: 'video/mp4',
  ts: 'video/mp2t',
}

interface Place {
  readonly session: string
  readonly file: string
  readonly extension: string
}

interface Layout {
  readonly movie: Movie
  readonly untilMs: number
}

/** Recordings as players get them (gateway.md §6). */
export class Recordings {
  readonly #needs: RecordingsNeeds
  /** By session, the oldest first. */
  readonly #grants = new Map<string, { readonly grant: RecordingGrant; readonly untilMs: number }>()
  readonly #layouts = new Map<string, Layout>()
  readonly #budget: ByteBudget
  #requests = 0

  constructor(needs: RecordingsNeeds, { maxBytes = MAX_BYTES }: { readonly maxBytes?: number } = {}) {
    this.#needs = needs
    this.#budget = new ByteBudget(maxBytes)
  }

  /** Bytes that are held by answers. */
  get bytesHeld(): number {
    return this.#budget.held
  }

  /**
   * Answers a request. What the answer holds counts until the signal is aborted, when it is sent or its client has gone.
   * Never rejects, unless the signal is aborted.
   */
  async answer(request: RecordingRequest, signal: AbortSignal): Promise<RecordingAnswer> {
    const place = placeOf(request.path)
    if (!place) return refused('bad-path')
    if (this.#requests >= MAX_REQUESTS) return refused('too-many-requests')
    this.#requests++
    try {
      return await this.#find(place, request, signal)
    } catch (error) {
      if (signal.aborted) throw error
      const level = error instanceof StoreError ? 'warn' : 'error'
      this.#needs.log[level]('recording cannot be read', { reason: messageOf(error) })
      return refused('store-failed')
    } finally {
      this.#requests--
    }
  }

  async #find(place: Place, request: RecordingRequest, signal: AbortSignal): Promise<RecordingAnswer> {
    const { extension, file, session } = place
    const granted = await this.#granted(place, request.url)
    if (granted.kind === 'refused') return granted
    const { grant } = granted
    const store = this.#needs.stores.of(grant?.store ?? null)
    if (!store) return refused('no-store')
    const path = `${session}/${file}`
    if (!isObjectPath(path)) return refused('no-file')
    const room = this.#room(LOAD_BYTES, signal)
    if (!room) return refused('too-many-requests')
    const stored = await loaded(store, path, signal)
    if (!room(stored?.length ?? 0)) return refused('too-many-requests')
    if (stored) {
      if (extension !== 'm3u8') return { kind: 'file', type: TYPES[extension]!, bytes: stored }
      return { kind: 'playlist', text: Buffer.from(stored).toString('utf8') }
    }
    const previous = (grant?.previousSessions ?? []).filter((id) => id !== session)
    const name = file.slice(0, -extension.length - 1)
    const key = JSON.stringify([store.shown, session, previous, name])
    const layout = extension === 'mp4' ? this.#layout(key) : null
    if (layout) return moving(name, layout, room)
    const needs = { log: this.#needs.log, signal }
    const found = await readRecording([...previous, session], store, needs)
    if (found.runs.length === 0) return refused('no-recording')
    if (extension === 'mp4') return this.#movie(name, { key, found, store, room }, signal)
    if (extension === 'ts' || name.includes('/')) return refused('no-file')
    const options = { publicUrl: grant?.publicUrl ?? null, session }
    const text = textOf(name, found, options)
    if (this.#isToBeSaved(request, found)) await this.#finalize(store, found, options, signal)
    return text === null ? refused('no-file') : { kind: 'playlist', text }
  }

  /** Room for an answer until the signal is aborted; null where there is none. */
  #room(bytes: number, signal: AbortSignal): Room | null {
    signal.throwIfAborted()
    if (!this.#budget.take(bytes)) return null
    let held = bytes
    signal.addEventListener('abort', () => this.#budget.give(held), { once: true })
    return (needed) => {
      if (signal.aborted || (needed > held && !this.#budget.take(needed - held))) return false
      if (needed < held) this.#budget.give(held - needed)
      held = needed
      return true
    }
  }

  async #granted(
    { extension, session }: Place,
    url: string,
  ): Promise<{ kind: 'granted'; grant: RecordingGrant | null } | (RecordingAnswer & { kind: 'refused' })> {
    const { authority, clock } = this.#needs
    if (!authority) return { kind: 'granted', grant: null }
    const known = this.#grants.get(session)
    if (known && clock.now() < known.untilMs) return { kind: 'granted', grant: known.grant }
    // A grant of joined sessions is one of their segments.
    const joined = extension === 'm3u8' ? null : this.#joining(session)
    if (joined) return { kind: 'granted', grant: joined }
    const verdict = await authority.judge(url)
    if (verdict.kind === 'denied') return refused(verdict.isUnknown ? 'no-recording' : 'denied')
    if (verdict.grant) this.#remember(session, verdict.grant)
    return { kind: 'granted', grant: verdict.grant }
  }

  #joining(session: string): RecordingGrant | null {
    const nowMs = this.#needs.clock.now()
    for (const { grant, untilMs } of this.#grants.values()) {
      if (nowMs < untilMs && grant.previousSessions.includes(session)) {
        return { ...grant, previousSessions: [] }
      }
    }
    return null
  }

  #remember(session: string, grant: RecordingGrant): void {
    this.#grants.delete(session)
    this.#grants.set(session, { grant, untilMs: this.#needs.clock.now() + GRANT_MS })
    for (const oldest of this.#grants.keys()) {
      if (this.#grants.size <= MAX_GRANTS) break
      this.#grants.delete(oldest)
    }
  }

  #isToBeSaved({ finalize }: RecordingRequest, { newestMs }: FoundRecording): boolean {
    if (finalize !== null) return finalize
    return newestMs !== null && this.#needs.clock.now() - newestMs > WHOLE_MS
  }

  /** Saves the playlists, the one that leads to the others last. What cannot be saved is written anew each time. */
  async #finalize(
    store: RecordStore,
    { runs }: FoundRecording,
    options: { readonly publicUrl: string | null; readonly session: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { session } = options
    const tracks = tracksOf(runs).map(({ name }): [string, string | null] => [
      name,
      writeRecordingTrack(name, runs, options),
    ])
    const saved: string[] = []
    try {
      for (const [name, text] of [...tracks, ['index', writeRecordingMaster(runs)] as const]) {
        if (text === null) continue
        const path = `${session}/${name}.m3u8`
        saved.push(path)
        await store.save(path, Buffer.from(text), { signal })
      }
    } catch (error) {
      this.#needs.log.warn('playlists of a recording cannot be saved', { reason: messageOf(error) })
    }
    for (const recording of this.#needs.recorder.underWay(session)) recording.finalized(saved)
  }

  async #movie(
    name: string,
    { found, key, room, store }: { found: FoundRecording; key: string; room: Room; store: RecordStore },
    signal: AbortSignal,
  ): Promise<RecordingAnswer> {
    const { clock, log } = this.#needs
    try {
      const movie = await layOut(name, found.runs, { objects: store, log }, signal)
      this.#layouts.set(key, { movie, untilMs: clock.now() + LAYOUT_MS })
      for (const oldest of this.#layouts.keys()) {
        if (this.#layouts.size <= MAX_LAYOUTS) break
        this.#layouts.delete(oldest)
      }
      return moving(name, movie, room)
    } catch (error) {
      if (!(error instanceof NodeError) || error.code !== 'no-movie') throw error
      log.debug('recording cannot be had as MP4', { reason: error.message })
      return refused('no-recording')
    }
  }

  #layout(key: string): Movie | null {
    const nowMs = this.#needs.clock.now()
    for (const [old, { untilMs }] of this.#layouts) if (untilMs <= nowMs) this.#layouts.delete(old)
    return this.#layouts.get(key)?.movie ?? null
  }
}

/** Takes or gives back room, so that it is for so many bytes; false where there is no more. */
type Room = (bytes: number) => boolean

function moving(name: string, movie: Movie, room: Room): RecordingAnswer {
  return room(movie.largestPiece * MOVIE_SEGMENTS)
    ? { kind: 'movie', name, movie }
    : refused('too-many-requests')
}

/** A session and a file of it; null for a path that can name none. */
function placeOf(path: string): Place | null {
  const [session = '', ...rest] = path.split('/')
  const last = rest.at(-1) ?? ''
  const dot = last.lastIndexOf('.')
  const extension = last.slice(dot + 1)
  const isKnown = dot > 0 && Object.hasOwn(TYPES, extension)
  return isKnown && [session, ...rest].every(isPathElement)
    ? { session, file: rest.join('/'), extension }
    : null
}

function textOf(
  name: string,
  { runs }: FoundRecording,
  options: { readonly publicUrl: string | null; readonly session: string },
): string | null {
  return name === 'index' ? writeRecordingMaster(runs) : writeRecordingTrack(name, runs, options)
}

/** A file of a recording; one that is too large to be held counts as none. */
async function loaded(store: RecordStore, path: string, signal: AbortSignal): Promise<Uint8Array | null> {
  try {
    return await store.load(path, { signal })
  } catch (error) {
    if (error instanceof StoreError && (error.code === 'object-too-big' || error.code === 'bad-path'))
      return null
    throw error
  }
}

function refused(why: Refusal): RecordingAnswer & { kind: 'refused' } {
  return { kind: 'refused', why }
}
