import { isoTime } from '../lib/iso-time.ts'
import type { SegmentFacts } from './segment-facts.ts'
import { encodePath } from './stream-name.ts'

/** Number of segments in a live playlist (gateway.md §6). */
export const PLAYLIST_WINDOW = 6

/** The bandwidth that peers report for the source variant; here only where it cannot be measured (gateway.md §6). */
export const SOURCE_BANDWIDTH = 4_000_000

/** One segment in a media playlist. */
export interface PlaylistEntry {
  readonly sequence: bigint
  /** Path of the segment, before percent-encoding. */
  readonly path: string
  /** Where players fetch it, if not from this node. */
  readonly url?: string | null
  readonly durationMs: number
  /** Its size. */
  readonly bytes?: number
  /** What it says of itself; null or absent where that is not known. */
  readonly facts?: SegmentFacts | null
  /** When it began, in ms since the Unix epoch; null or absent where that is not known. */
  readonly startsAtMs?: number | null
  /** How many times the source had jumped before; 0 if absent. */
  readonly jumps?: number
}

/** The live window of one rendition, sorted by sequence. */
export interface MediaPlaylist {
  readonly entries: readonly PlaylistEntry[]
  /** Starts at 0 whatever is pushed, and grows by one per eviction (gateway.md §6). */
  readonly mediaSequence: number
  /** The longest duration so far, in ms. */
  readonly longestMs: number
}

/** A variant in the master playlist. */
export interface Variant {
  readonly name: string
  /** Bits per second, at most. */
  readonly bandwidth: number
  /** Bits per second; absent where that is not known, like the rest. */
  readonly averageBandwidth?: number | null
  /** With commas between (RFC 6381). */
  readonly codecs?: string | null
  /** Pictures per second. */
  readonly frameRate?: number | null
  /** `WxH`. */
  readonly resolution: string | null
}

/** The window of a new stream. */
export const EMPTY_PLAYLIST: MediaPlaylist = { entries: [], mediaSequence: 0, longestMs: 0 }

/**
 * Adds a segment to the window. Refuses a sequence number that is already in it, and one older than a full window,
 * which would renumber what players have already played. A refusal leaves the window unchanged.
 */
export function addSegment(playlist: MediaPlaylist, entry: PlaylistEntry): MediaPlaylist {
  const at = playlist.entries.findIndex((known) => known.sequence >= entry.sequence)
  if (at >= 0 && playlist.entries[at]!.sequence === entry.sequence) return playlist
  const full = playlist.entries.length >= PLAYLIST_WINDOW
  if (full && at === 0) return playlist
  const entries = at < 0 ? [...playlist.entries, entry] : playlist.entries.toSpliced(at, 0, entry)
  return {
    entries: full ? entries.slice(1) : entries,
    mediaSequence: playlist.mediaSequence + (full ? 1 : 0),
    longestMs: Math.max(playlist.longestMs, entry.durationMs),
  }
}

/**
 * Writes a media playlist (gateway.md §6). Beyond what peers write it says when each segment began, where the source
 * jumped, and whether every segment can be decoded by itself. Only a stream that has ended and can still be played has an
 * end tag; peers' ended streams are simply not found any more.
 */
export function writeMediaPlaylist(playlist: MediaPlaylist, { isEnded = false } = {}): string {
  const { entries, mediaSequence } = playlist
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:3',
    `#EXT-X-MEDIA-SEQUENCE:${mediaSequence}`,
    `#EXT-X-TARGETDURATION:${targetSeconds(playlist)}`,
  ]
  let jumps = entries[0]?.jumps ?? 0
  if (jumps > 0) lines.push(`#EXT-X-DISCONTINUITY-SEQUENCE:${jumps}`)
  if (entries.length > 0 && entries.every(({ facts }) => facts?.isIndependent))
    lines.push('#EXT-X-INDEPENDENT-SEGMENTS')
  for (const entry of entries) {
    for (; jumps < (entry.jumps ?? 0); jumps++) lines.push('#EXT-X-DISCONTINUITY')
    if (entry.startsAtMs != null) lines.push(`#EXT-X-PROGRAM-DATE-TIME:${isoTime(entry.startsAtMs)}`)
    const { durationMs, path, url } = entry
    lines.push(`#EXTINF:${(durationMs / 1000).toFixed(3)},`, url ?? `/stream/${encodePath(path)}`)
  }
  if (isEnded) lines.push('#EXT-X-ENDLIST')
  return `${lines.join('\n')}\n`
}

/** The target duration of a window in whole seconds. */
export function targetSeconds({ longestMs }: MediaPlaylist): number {
  return Math.ceil(longestMs / 1000)
}

/** Writes a master playlist; URIs are relative to `/stream/` (gateway.md §6). What is not known of a variant is left out. */
export function writeMasterPlaylist(manifestId: string, variants: readonly Variant[]): string {
  const lines = ['#EXTM3U', '#EXT-X-VERSION:3']
  for (const { averageBandwidth, bandwidth, codecs, frameRate, name, resolution } of variants) {
    const known = [
      ...[`PROGRAM-ID=0`, `BANDWIDTH=${bandwidth}`],
      ...(averageBandwidth == null ? [] : [`AVERAGE-BANDWIDTH=${averageBandwidth}`]),
      ...(codecs == null ? [] : [`CODECS="${codecs}"`]),
      ...(frameRate == null ? [] : [`FRAME-RATE=${frameRate.toFixed(3)}`]),
      ...(resolution === null ? [] : [`RESOLUTION=${resolution}`]),
    ]
    lines.push(`#EXT-X-STREAM-INF:${known.join(',')}`, `${encodePath(`${manifestId}/${name}`)}.m3u8`)
  }
  return `${lines.join('\n')}\n`
}
