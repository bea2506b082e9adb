import { encodePath } from './stream-name.ts'

/** How many segments a live playlist shows (gateway.md §6). */
export const PLAYLIST_WINDOW = 6

/** What the source variant claims as its bandwidth, whatever it is (gateway.md §6). */
export const SOURCE_BANDWIDTH = 4_000_000

/** One segment in a media playlist. */
export interface PlaylistEntry {
  readonly sequence: bigint
  /** Path of the segment, not yet encoded. */
  readonly path: string
  readonly durationMs: number
}

/** The live window of one rendition, sorted by sequence. */
export interface MediaPlaylist {
  readonly entries: readonly PlaylistEntry[]
  /** Starts at 0 whatever is pushed, and rises by one per eviction (gateway.md §6). */
  readonly mediaSequence: number
  /** The longest segment there ever was, in ms. */
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

/** A window that has seen nothing yet. */
export const EMPTY_PLAYLIST: MediaPlaylist = { entries: [], mediaSequence: 0, longestMs: 0 }

/**
 * The window with one more segment. A sequence that is already shown is refused, and so is one that is older than
 * a full window: showing it would renumber what players have already played. Refusing changes nothing at all.
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

/** Writes a media playlist; never with an end, for a stream that ended is not found any more (gateway.md §6). */
export function writeMediaPlaylist(playlist: MediaPlaylist): string {
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:3',
    `#EXT-X-MEDIA-SEQUENCE:${playlist.mediaSequence}`,
    `#EXT-X-TARGETDURATION:${Math.ceil(playlist.longestMs / 1000)}`,
  ]
  for (const { durationMs, path } of playlist.entries) {
    lines.push(`#EXTINF:${(durationMs / 1000).toFixed(3)},`, `/stream/${encodePath(path)}`)
  }
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
