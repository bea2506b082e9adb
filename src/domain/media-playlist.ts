import { NodeError } from '../lib/errors.ts'

/** A segment in a media playlist. */
export interface ListedSegment {
  /** As written: a path relative to the playlist, or a URL. */
  readonly uri: string
  readonly durationMs: number
}

/** The only error here. Its message starts with "the playlist" and includes the line. */
export type PlaylistError = NodeError<'bad-playlist'>

/** A day of one-second segments. */
const MAX_SEGMENTS = 86_400
const MAX_URI_LENGTH = 4096
const DURATION = /^\s*(\d{1,9}(?:\.\d{0,30})?)\s*(?:,|$)/

/** Tags whose segments are not complete files of their own. */
const UNREADABLE: readonly [tag: string, meaning: string][] = [
  ['#EXT-X-STREAM-INF', 'lists other playlists instead of segments: give one of those'],
  ['#EXT-X-MAP', 'has segments that need an initialisation section: give one with MPEG-TS segments'],
  ['#EXT-X-BYTERANGE', 'has segments that are parts of files: give one with a file for each segment'],
  ['#EXT-X-KEY', 'has encrypted segments: give one without a key'],
]

/** Reads the segments of an HLS media playlist in order, at least one. Throws NodeError `bad-playlist`. */
export function readMediaPlaylist(text: string): ListedSegment[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  if (lines[0]?.trim() !== '#EXTM3U') throw bad('does not begin with #EXTM3U, so it is not a playlist')
  const segments: ListedSegment[] = []
  let durationMs: number | null = null
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim()
    const where = `line ${index + 1}`
    const unreadable = UNREADABLE.find(([tag]) => line.startsWith(`${tag}:`))
    if (unreadable && !/METHOD=NONE\b/.test(line)) throw bad(`${unreadable[1]} (${where})`)
    if (line.startsWith('#EXTINF:')) {
      durationMs = Number(DURATION.exec(line.slice('#EXTINF:'.length))?.[1] ?? Number.NaN) * 1000
      if (!(durationMs > 0)) throw bad(`has no duration above 0 in ${where}`)
    }
    if (line === '' || line.startsWith('#')) continue
    if (durationMs === null) throw bad(`has a segment without #EXTINF before it in ${where}`)
    if (line.length > MAX_URI_LENGTH)
      throw bad(`has a name of more than ${MAX_URI_LENGTH} letters in ${where}`)
    if (segments.length === MAX_SEGMENTS) throw bad(`has more than ${MAX_SEGMENTS} segments`)
    segments.push({ uri: line, durationMs })
    durationMs = null
  }
  if (segments.length === 0) throw bad('has no segments')
  return segments
}

function bad(what: string): PlaylistError {
  return new NodeError<'bad-playlist'>('bad-playlist', `the playlist ${what}`)
}
