import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseStreamPath, pathExtension } from '../../domain/stream-name.ts'
import { sendBytes } from './response.ts'

/** What players can read. */
export interface Playable {
  masterPlaylist(manifestId: string): string | null
  /** Of the newest stream. */
  currentPlaylist(): string | null
  mediaPlaylist(manifestId: string, rendition: string): string | null
  /** By the path after `/stream/`. */
  stored(path: string): Promise<Uint8Array | null>
}

/** On every answer, so that players on any page can read it (gateway.md §6). */
const commonHeaders = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'Content-Length',
}
const SEGMENT_CACHING = { 'Cache-Control': 'max-age=5' }
/** Players stall if a playlist is cached for longer than a segment lasts (gateway.md §17, 20). */
const PLAYLIST_CACHING = { 'Cache-Control': 'max-age=1' }

const segmentTypes: ReadonlyMap<string, string> = new Map([
  ['.ts', 'video/mp2t'],
  ['.mp4', 'video/mp4'],
])

/** Answers with a playlist or a segment; `ErrNotFound` if there is none (gateway.md §6). */
export async function play(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  playable: Playable,
  options: { currentManifest: boolean },
): Promise<void> {
  request.resume()
  const send = (status: number, headers: Readonly<Record<string, string>>, body: Uint8Array | string) =>
    sendBytes(response, status, { ...commonHeaders, ...headers }, body)
  if (request.method === 'OPTIONS') {
    send(200, { 'Access-Control-Allow-Methods': 'GET, HEAD', 'Access-Control-Allow-Headers': '*' }, '')
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(405, { 'Content-Type': 'text/plain' }, 'only GET and HEAD\n')
  } else {
    const found = await find(path, playable, options)
    if (found) send(200, { 'Content-Type': found.type, ...found.caching }, found.body)
    else send(404, { 'Content-Type': 'text/plain', ...PLAYLIST_CACHING }, 'ErrNotFound\n')
  }
}

/** A playlist or a segment, with its media type and how long it may be cached. */
export interface Found {
  readonly type: string
  readonly body: Uint8Array | string
  readonly caching: { readonly 'Cache-Control': string }
}

/** The playlist or the segment at a path below `/stream/`; null if there is none. */
export async function find(
  path: string,
  playable: Playable,
  options: { currentManifest: boolean },
): Promise<Found | null> {
  const extension = pathExtension(path)
  if (extension === '.m3u8') {
    const body = playlist(path, playable, options)
    return body === null ? null : { type: 'application/x-mpegURL', body, caching: PLAYLIST_CACHING }
  }
  const type = segmentTypes.get(extension)
  const body = type === undefined ? null : await playable.stored(path.slice('/stream/'.length))
  return body === null ? null : { type: type!, body, caching: SEGMENT_CACHING }
}

function playlist(path: string, playable: Playable, options: { currentManifest: boolean }): string | null {
  const { manifestId, rest } = parseStreamPath(path)
  if (rest !== '') return playable.mediaPlaylist(manifestId, rest)
  if (options.currentManifest && manifestId === 'current') return playable.currentPlaylist()
  return playable.masterPlaylist(manifestId)
}
