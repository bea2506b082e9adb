import { NodeError } from '../lib/errors.ts'
import { pathExtension } from './stream-name.ts'

/** A rendition of a recording, or its source. */
export interface RecordedTrack {
  readonly name: string
  /** Bits per second. */
  readonly bandwidth: number
  /** `WxH`. */
  readonly resolution: string
}

/** A segment as an index lists it. */
export interface IndexedSegment {
  readonly sequence: bigint
  /** The name of its file in the folder of its track, such as `12.ts`. */
  readonly file: string
  readonly durationMs: number
}

/** What an index says of a part of a recording (gateway.md §6). */
export interface RecordingIndex {
  readonly durationMs: number
  readonly tracks: readonly RecordedTrack[]
  /** By the name of the track. */
  readonly segments: ReadonlyMap<string, readonly IndexedSegment[]>
}

/** The only error of reading an index. */
export type IndexError = NodeError<'bad-recording-index'>

/** The track of the source. */
export const SOURCE_TRACK = 'source'

/** An hour of short segments in all tracks takes a tenth of this. */
export const MAX_INDEX_BYTES = 32_000_000
const MAX_TRACKS = 64
const MAX_SEGMENTS = 40_000
const MAX_DURATION_MS = 300_000
const MAX_NAME_LENGTH = 512
const FILE = /^\d{1,19}\.(ts|mp4)$/
const UNSAFE = /[\p{Cc}/\\]/u
const PREFIX = 'playlist_'

/** Whether a name can be one element of a path in any store: nothing that leads out of its folder. */
export function isPathElement(name: string): boolean {
  const fits = name !== '' && name.length <= MAX_NAME_LENGTH && name.isWellFormed()
  return fits && name !== '.' && name !== '..' && !UNSAFE.test(name)
}

/** The name of an index that begins at this time, which sorts by it (gateway.md §6). */
export function indexName(startedNs: bigint): string {
  return `${PREFIX}${startedNs}.json`
}

/** What all names of indexes in a folder begin with. */
export const INDEX_PREFIX = PREFIX

/** When an index begins, in nanoseconds, by its name; null for any other file. */
export function indexStart(name: string): bigint | null {
  const digits = /^playlist_(\d{1,19})\.json$/.exec(name)?.[1]
  return digits === undefined ? null : BigInt(digits)
}

/** An index that grows with its recording; what is written of a segment is kept, since it is written many times. */
export class GrowingIndex {
  readonly #tracks: RecordedTrack[] = []
  readonly #segments = new Map<string, string[]>()
  #durationMs = 0

  /** Of the source. */
  get durationMs(): number {
    return this.#durationMs
  }

  /** Adds a segment that can be fetched at the URI. A repeated number is listed again, as peers do. */
  add(track: RecordedTrack, segment: { sequence: bigint; uri: string; durationMs: number }): void {
    const { durationMs, sequence, uri } = segment
    let listed = this.#segments.get(track.name)
    if (!listed) {
      listed = []
      this.#segments.set(track.name, listed)
      this.#tracks.push(track)
    }
    const number = sequence === 0n ? '' : `"seq_no":${sequence},`
    const duration = durationMs === 0 ? '' : `,"duration_ms":${durationMs}`
    listed.push(`{${number}"uri":${JSON.stringify(uri)}${duration}}`)
    if (track.name === SOURCE_TRACK) this.#durationMs += durationMs
  }

  /** The file's content, without values that are zero (gateway.md §6). */
  text(): string {
    const tracks = this.#tracks.map(({ bandwidth, name, resolution }) => {
      const width = bandwidth === 0 ? '' : `,"bandwidth":${bandwidth}`
      return `{"name":${JSON.stringify(name)}${width},"resolution":${JSON.stringify(resolution)}}`
    })
    const segments = [...this.#segments]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, listed]) => `${JSON.stringify(name)}:[${listed.join(',')}]`)
    const duration = this.#durationMs === 0 ? '' : `"duration_ms":${this.#durationMs},`
    return `{${duration}"tracks":[${tracks.join(',')}],"segments":{${segments.join(',')}}}`
  }
}

/**
 * Reads an index of any gateway. Of a URI only the file's name counts, which lies beside the index: an index leads nobody
 * to another place. What cannot be used is left out. Throws NodeError `bad-recording-index`.
 */
export function readIndex(text: string): RecordingIndex {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw bad('is not JSON')
  }
  const { duration_ms: durationMs, segments, tracks } = fieldsOf(json)
  const names = new Map<string, RecordedTrack>()
  for (const track of listOf(tracks, MAX_TRACKS)) {
    const { bandwidth, name, resolution } = fieldsOf(track)
    if (typeof name !== 'string' || !isPathElement(name)) continue
    names.set(name, { name, bandwidth: countOf(bandwidth), resolution: textOf(resolution) })
  }
  const all = fieldsOf(segments ?? {})
  const listed = new Map<string, IndexedSegment[]>()
  for (const name of names.keys()) {
    if (!Object.hasOwn(all, name)) continue
    listed.set(name, listOf(all[name], MAX_SEGMENTS).flatMap(segmentOf))
  }
  return { durationMs: countOf(durationMs), tracks: [...names.values()], segments: listed }
}

function segmentOf(json: unknown): IndexedSegment[] {
  const { duration_ms: durationMs, uri } = fieldsOf(json)
  const path = typeof uri === 'string' ? uri.split(/[?#]/, 1)[0]! : ''
  const file = path.slice(path.lastIndexOf('/') + 1)
  if (!FILE.test(file)) return []
  const sequence = BigInt(file.slice(0, -pathExtension(file).length))
  return [{ sequence, file, durationMs: Math.min(countOf(durationMs), MAX_DURATION_MS) }]
}

function fieldsOf(json: unknown): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw bad('has no fields')
  return json as Record<string, unknown>
}

function listOf(json: unknown, max: number): readonly unknown[] {
  if (json === null || json === undefined) return []
  if (!Array.isArray(json)) throw bad('has something else than a list')
  if (json.length > max) throw bad(`lists ${json.length} entries where ${max} are the most`)
  return json
}

function countOf(json: unknown): number {
  return typeof json === 'number' && Number.isSafeInteger(json) && json > 0 ? json : 0
}

function textOf(json: unknown): string {
  return typeof json === 'string' && /^[\w.-]{1,40}$/.test(json) ? json : '0x0'
}

function bad(what: string): IndexError {
  return new NodeError<'bad-recording-index'>('bad-recording-index', `the index ${what}`)
}
