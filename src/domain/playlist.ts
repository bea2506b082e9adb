import { encodePath } from './stream-name.ts'

/** Number of segments in a live playlist (gateway.md §6). */
export const PLAYLIST_WINDOW = 6

/** The bandwidth reported for the source variant, whatever it really is (gateway.md §6). */
export const SOURCE_BANDWIDTH = 4_000_000

/** One segment in a media playlist. */
export interface PlaylistEntry {
  readonly sequence: bigint
  /** Path of the segment, before percent-encoding. */
  readonly path: string
  readonly durationMs: number
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
  /** Bits per second. */
  readonly bandwidth: number
  /** `WxH`. */
  readonly resolution: string
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
 * Writes a media playlist (gateway.md §6). Only a stream that has ended and can still be played has an end tag; peers'
 * ended streams are simply not found any more.
 */
export function writeMediaPlaylist(playlist: MediaPlaylist, { isEnded = false } = {}): string {
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:3',
    `#EXT-X-MEDIA-SEQUENCE:${playlist.mediaSequence}`,
    `#EXT-X-TARGETDURATION:${Math.ceil(playlist.longestMs / 1000)}`,
  ]
  for (const { durationMs, path } of playlist.entries) {
    lines.push(`#EXTINF:${(durationMs / 1000).toFixed(3)},`, `/stream/${encodePath(path)}`)
  }
  if (isEnded) lines.push('#EXT-X-ENDLIST')
  return `${lines.join('\n')}\n`
}

/** Writes a master playlist; URIs are relative to `/stream/` (gateway.md §6). */
export function writeMasterPlaylist(manifestId: string, variants: readonly Variant[]): string {
  const lines = ['#EXTM3U', '#EXT-X-VERSION:3']
  for (const { bandwidth, resolution, name } of variants) {
    lines.push(
      `#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=${bandwidth},RESOLUTION=${resolution}`,
      `${encodePath(`${manifestId}/${name}`)}.m3u8`,
    )
  }
  return `${lines.join('\n')}\n`
}
