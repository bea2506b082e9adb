import type { SeenNode } from '../../commands/status/answer.ts'
import { encodePath } from '../../domain/stream-name.ts'
import { counted } from '../../lib/counted.ts'

/** A stream of a gateway, as a row. */
export interface StreamRow {
  readonly name: string
  readonly renditions: readonly string[]
  /** The orchestrators that work for it. */
  readonly orchestrators: string
  /** Of its master playlist, on the control API. */
  readonly playlist: string
}

/** The streams of a gateway; null of any other node. */
export function streamRows({ status: { streams } }: SeenNode): StreamRow[] | null {
  if (!streams) return null
  return streams.map(({ manifestId, profiles, sessions }) => ({
    ...{ name: manifestId, renditions: ['source', ...profiles] },
    orchestrators: counted(sessions, 'orchestrator'),
    playlist: `stream/${encodePath(manifestId)}.m3u8`,
  }))
}

/** The name of a rendition, from the address of its playlist. */
export function renditionIn(url: string): string {
  const [path = ''] = url.split(/[?#]/, 1)
  const file = path.slice(path.lastIndexOf('/') + 1).replace(/\.m3u8$/, '')
  try {
    return decodeURIComponent(file)
  } catch {
    return file
  }
}
