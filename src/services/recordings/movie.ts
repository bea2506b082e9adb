import {
  type FileTrack,
  fragmentBytes,
  MAX_FRAGMENTS,
  msOfTicks,
  writeFragment,
  writeGap,
  writeHead,
} from '../../domain/mp4/fragments.ts'
import type { MediaSegment } from '../../domain/mp4/media-segment.ts'
import { readMp4 } from '../../domain/mp4/mp4-segment.ts'
import { readTransportStream } from '../../domain/mp4/transport-stream.ts'
import { TICKS_PER_SECOND, ticksBetween } from '../../domain/mpegts-clock.ts'
import type { RecordedRun, RecordedSegment } from '../../domain/recording.ts'
import { concatBytes, formatHex } from '../../lib/bytes.ts'
import { keccak256 } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { MAX_OBJECT_BYTES, type ObjectStore } from '../../lib/object-store.ts'
import { listAll } from './recording-library.ts'

/** The first segments of a run are looked at for its tracks: sound may come later. */
const MAX_LOOKED_AT = 3
/** How far a segment may begin before the sum of what precedes it says, of that sum and beside: durations are declared. */
const EARLY_PART = 0.6
const EARLY_MS = 1_000

/** Why a track cannot be had as one file. */
export type MovieFault = 'no-movie'

interface Piece {
  readonly segment: RecordedSegment
  readonly run: number
  readonly bytes: number
  /** By the durations of what precedes it. */
  readonly expectedMs: number
}

/** What reading a store needs. */
export interface ReadNeeds {
  readonly objects: ObjectStore
  readonly log: Log
}

/**
 * A track of a recording as one fragmented MP4. Its layout follows from the sizes of its segments: a fragment has the size
 * of its segment, so that any part of the file can be made from the segments that it covers, one at a time.
 */
export class Movie {
  readonly size: number
  /** Bytes of the largest fragment. */
  readonly largestPiece: number
  /** Names these bytes. */
  readonly etag: string
  readonly #head: Uint8Array
  readonly #tracks: readonly FileTrack[]
  readonly #pieces: readonly Piece[]
  readonly #origins: Origins
  readonly #needs: ReadNeeds

  constructor(
    layout: { head: Uint8Array; tracks: readonly FileTrack[]; pieces: readonly Piece[]; etag: string },
    origins: Origins,
    needs: ReadNeeds,
  ) {
    this.#head = layout.head
    this.#tracks = layout.tracks
    this.#pieces = layout.pieces
    this.etag = layout.etag
    this.size = layout.pieces.reduce((sum, { bytes }) => sum + bytes, layout.head.length)
    this.largestPiece = layout.pieces.reduce((most, { bytes }) => Math.max(most, bytes), 0)
    this.#origins = origins
    this.#needs = needs
  }

  /** The bytes from `start` up to but not at `end`. Throws StoreError. */
  async *read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (start < this.#head.length) yield this.#head.subarray(start, end)
    let at = this.#head.length
    let ahead: Promise<Uint8Array | null> | null = null
    for (const [index, piece] of this.#pieces.entries()) {
      const from = at
      at += piece.bytes
      if (at <= start) continue
      if (from >= end) break
      const loading = ahead ?? this.#load(piece, signal)
      const next = at < end ? this.#pieces[index + 1] : undefined
      const bytes = await loading
      ahead = next ? this.#load(next, signal) : null
      // It is awaited in the next turn, if there is one.
      ahead?.catch(() => {})
      const fragment = await this.#fragment(piece, { bytes, number: index + 1, signal })
      yield fragment.subarray(Math.max(0, start - from), Math.min(piece.bytes, end - from))
    }
  }

  #load({ segment }: Piece, signal: AbortSignal): Promise<Uint8Array | null> {
    return this.#needs.objects.load(segment.path, { signal })
  }

  async #fragment(
    piece: Piece,
    { bytes, number, signal }: { bytes: Uint8Array | null; number: number; signal: AbortSignal },
  ): Promise<Uint8Array> {
    const segment = bytes && takenApart(bytes, piece.segment, this.#needs.log)
    if (!segment) return writeGap(piece.bytes)
    const origin = await this.#origins.of(piece.run, signal)
    const startMs = startOf(segment, piece, origin)
    const { bytes: size } = piece
    return writeFragment(segment, this.#tracks, { bytes: size, number, startMs }) ?? writeGap(size)
  }
}

/** Where the clocks of the runs are at their first segments. */
class Origins {
  readonly #runs: readonly (readonly Piece[])[]
  readonly #needs: ReadNeeds
  readonly #known = new Map<number, Promise<Origin | null>>()

  constructor(runs: readonly (readonly Piece[])[], needs: ReadNeeds) {
    this.#runs = runs
    this.#needs = needs
  }

  async of(run: number, signal: AbortSignal): Promise<Origin | null> {
    const known = this.#known.get(run) ?? this.#look(run, signal)
    this.#known.set(run, known)
    try {
      return await known
    } catch (error) {
      this.#known.delete(run)
      throw error
    }
  }

  async #look(run: number, signal: AbortSignal): Promise<Origin | null> {
    const segments = await firstOf(this.#runs[run]!, this.#needs, signal)
    const [first] = segments
    const ticks = first?.media.startTicks ?? null
    return first && ticks !== null ? { ticks, expectedMs: first.piece.expectedMs } : null
  }
}

interface Origin {
  readonly ticks: number
  readonly expectedMs: number
}

/** Lays out a track of a recording. Throws NodeError `no-movie` or StoreError. */
export async function layOut(
  track: string,
  runs: readonly RecordedRun[],
  needs: ReadNeeds,
  signal: AbortSignal,
): Promise<Movie> {
  const pieces: Piece[][] = []
  const listing: string[] = []
  let expectedMs = 0
  let count = 0
  for (const [run, { segments }] of runs.entries()) {
    const listed = segments.get(track) ?? []
    const sizes = await sizesOf(listed, needs.objects, signal)
    const own: Piece[] = []
    for (const segment of listed) {
      const file = sizes.get(segment.path)
      if (!file || file.bytes > MAX_OBJECT_BYTES) continue
      const { durationMs } = segment
      const bytes = fragmentBytes(file.bytes, { durationMs, isMp4: isMp4(segment) })
      own.push({ segment, run, bytes, expectedMs })
      listing.push(`${segment.path} ${file.bytes} ${file.savedMs} ${expectedMs}`)
      expectedMs += segment.durationMs
      count++
    }
    pieces.push(own)
  }
  if (count === 0) throw noMovie('none of its segments is there')
  if (count > MAX_FRAGMENTS) throw noMovie(`it has ${count} segments, and a file holds ${MAX_FRAGMENTS}`)
  const tracks = await tracksOf(pieces, needs, signal)
  if (tracks.length === 0) throw noMovie('it has neither pictures in H.264 or HEVC nor sound in AAC or MP3')
  const all = pieces.flat()
  const places = all.map(({ bytes, segment }) => ({ bytes, durationMs: segment.durationMs }))
  const head = writeHead(tracks, places)
  const digest = keccak256(concatBytes(head, new TextEncoder().encode(listing.join('\n'))))
  const etag = `"${formatHex(digest).slice(2, 34)}"`
  return new Movie({ head, tracks, pieces: all, etag }, new Origins(pieces, needs), needs)
}

/** Of each kind that which comes first. */
async function tracksOf(
  runs: readonly (readonly Piece[])[],
  needs: ReadNeeds,
  signal: AbortSignal,
): Promise<FileTrack[]> {
  const tracks = new Map<string, FileTrack>()
  for (const pieces of runs) {
    for (const { media } of await firstOf(pieces, needs, signal, MAX_LOOKED_AT)) {
      for (const track of media.tracks) if (!tracks.has(track.kind)) tracks.set(track.kind, track)
    }
    if (tracks.size > 0) break
  }
  return ['video', 'audio'].flatMap((kind) => tracks.get(kind) ?? [])
}

/** The first segments that can be taken apart: one, or more as long as a kind of track is missing. */
async function firstOf(
  pieces: readonly Piece[],
  { log, objects }: ReadNeeds,
  signal: AbortSignal,
  max = 1,
): Promise<{ piece: Piece; media: MediaSegment }[]> {
  const found: { piece: Piece; media: MediaSegment }[] = []
  for (const piece of pieces.slice(0, MAX_LOOKED_AT)) {
    const bytes = await objects.load(piece.segment.path, { signal })
    const media = bytes && takenApart(bytes, piece.segment, log)
    if (media) found.push({ piece, media })
    if (found.length >= max || media?.tracks.length === 2) break
  }
  return found
}

function isMp4({ path }: RecordedSegment): boolean {
  return path.endsWith('.mp4')
}

function takenApart(bytes: Uint8Array, segment: RecordedSegment, log: Log): MediaSegment | null {
  try {
    return isMp4(segment) ? readMp4(bytes) : readTransportStream(bytes)
  } catch (error) {
    log.debug('recorded segment cannot be taken apart', { path: segment.path, reason: messageOf(error) })
    return null
  }
}

/**
 * Where a segment begins in the file, in milliseconds: as its own clock says, which tells more exactly than declared
 * durations, unless that has gone back.
 */
function startOf({ startTicks }: MediaSegment, { expectedMs }: Piece, origin: Origin | null): number {
  if (!origin || startTicks === null) return expectedMs
  const sinceOrigin = expectedMs - origin.expectedMs
  const expectedTicks = origin.ticks + Math.round((sinceOrigin * TICKS_PER_SECOND) / 1000)
  const aheadMs = msOfTicks(ticksBetween(expectedTicks, startTicks))
  return aheadMs < -(sinceOrigin * EARLY_PART + EARLY_MS) ? expectedMs : Math.max(0, expectedMs + aheadMs)
}

/** The files of a track, which lie in a few folders. */
async function sizesOf(
  segments: readonly RecordedSegment[],
  objects: ObjectStore,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, { readonly bytes: number; readonly savedMs: number }>> {
  const folders = new Set(segments.map(({ path }) => path.slice(0, path.lastIndexOf('/') + 1)))
  const sizes = new Map<string, { bytes: number; savedMs: number }>()
  for (const folder of folders) {
    const { files } = await listAll((after) => objects.list(folder, { ...after, signal }))
    for (const { bytes, path, savedMs } of files) sizes.set(path, { bytes, savedMs })
  }
  return sizes
}

function noMovie(reason: string): NodeError<MovieFault> {
  return new NodeError<MovieFault>('no-movie', `the track cannot be had as MP4: ${reason}`)
}
