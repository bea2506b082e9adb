import { type RecordedRun, type RecordedSegment, tracksOf } from './recording.ts'
import { encodePath } from './stream-name.ts'

/** Writes the master playlist of a recording; null where it has no tracks (gateway.md §6). */
export function writeRecordingMaster(runs: readonly RecordedRun[]): string | null {
  const tracks = tracksOf(runs)
  if (tracks.length === 0) return null
  const lines = ['#EXTM3U', '#EXT-X-VERSION:3']
  for (const { bandwidth, name, resolution } of tracks) {
    lines.push(
      `#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=${bandwidth},RESOLUTION=${resolution}`,
      `${encodePath(name)}.m3u8`,
    )
  }
  return `${lines.join('\n')}\n`
}

/**
 * Writes the playlist of one track, which ends also while the stream goes on; null where there is no such track. Runs are
 * told apart by a discontinuity. `publicUrl`: where others serve the store; otherwise URIs are relative to the playlist
 * of `session` (gateway.md §6).
 */
export function writeRecordingTrack(
  track: string,
  runs: readonly RecordedRun[],
  { publicUrl, session }: { readonly publicUrl: string | null; readonly session: string },
): string | null {
  const parts = runs.map(({ segments }) => segments.get(track) ?? []).filter(({ length }) => length > 0)
  if (parts.length === 0) return null
  const longestMs = parts.flat().reduce((most, { durationMs }) => Math.max(most, durationMs), 0)
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:3',
    '#EXT-X-MEDIA-SEQUENCE:0',
    `#EXT-X-TARGETDURATION:${Math.ceil(longestMs / 1000)}`,
  ]
  for (const [index, part] of parts.entries()) {
    if (index > 0) lines.push('#EXT-X-DISCONTINUITY')
    for (const segment of part) {
      lines.push(`#EXTINF:${(segment.durationMs / 1000).toFixed(3)},`, uriOf(segment, session, publicUrl))
    }
  }
  lines.push('#EXT-X-ENDLIST')
  return `${lines.join('\n')}\n`
}

function uriOf({ path }: RecordedSegment, session: string, publicUrl: string | null): string {
  if (publicUrl !== null) return `${publicUrl.replace(/\/+$/, '')}/${encodePath(path)}`
  const own = `${session}/`
  return path.startsWith(own) ? encodePath(path.slice(own.length)) : `../${encodePath(path)}`
}
