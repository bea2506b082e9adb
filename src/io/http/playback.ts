import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseStreamPath, pathExtension } from '../../domain/stream-name.ts'
import { isKnown, rangeOf, tagOfBytes, tagOfText, takesGzip, type ZippedTexts } from './entity.ts'
import { sendBytes, sendEmpty } from './response.ts'

/** What players can read. */
export interface Playable {
  masterPlaylist(manifestId: string): string | null
  /** Of the newest stream. */
  currentPlaylist(): string | null
  mediaPlaylist(manifestId: string, rendition: string): string | null
  /** By the path after `/stream/`. */
  stored(path: string): Promise<Uint8Array | null>
}

const textHeaders = { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' }

/** On every answer, so that players on any page can read it (gateway.md §6). */
const commonHeaders = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'Content-Length',
}
/** A stream that begins anew uses its names again, so a segment is kept no longer than peers allow. */
const SEGMENT_CACHING = { 'Cache-Control': 'max-age=5' }
/** Players stall if a playlist is cached for longer than a segment lasts (gateway.md §17, 20). */
const PLAYLIST_CACHING = { 'Cache-Control': 'max-age=1' }

const segmentTypes: ReadonlyMap<string, string> = new Map([
  ['.ts', 'video/mp2t'],
  ['.mp4', 'video/mp4'],
])

/**
 * Answers with a playlist or a segment; `ErrNotFound` if there is none (gateway.md §6). Unlike peers it says that a client
 * already has it, sends a part of a segment, and compresses playlists.
 */
export async function play(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  playable: Playable,
  options: { readonly currentManifest: boolean; readonly zipped: ZippedTexts },
): Promise<void> {
  request.resume()
  const send = (status: number, headers: Readonly<Record<string, string>>, body: Uint8Array | string) =>
    sendBytes(response, status, { ...commonHeaders, ...headers }, body)
  if (request.method === 'OPTIONS') {
    send(200, { 'Access-Control-Allow-Methods': 'GET, HEAD', 'Access-Control-Allow-Headers': '*' }, '')
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(405, { ...textHeaders, Allow: 'GET, HEAD, OPTIONS' }, 'only GET and HEAD\n')
  } else {
    const found = await find(path, playable, options)
    if (!found) return send(404, { ...textHeaders, ...PLAYLIST_CACHING }, 'ErrNotFound\n')
    const { body, headers, status } = answerWith(found, request, options.zipped)
    if (body === null) sendEmpty(response, status, { ...commonHeaders, ...headers })
    else send(status, headers, body)
  }
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | string | null
}

function answerWith(found: Found, { headers: asked, method }: IncomingMessage, zipped: ZippedTexts): Answer {
  const { body, caching, type } = found
  if (typeof body === 'string') {
    const about = { ...caching, ETag: tagOfText(body), Vary: 'Accept-Encoding' }
    if (isKnown(asked, about.ETag)) return { status: 304, headers: about, body: null }
    const headers = { 'Content-Type': type, ...about }
    const small = takesGzip(asked) ? zipped.of(body) : null
    if (small === null) return { status: 200, headers, body }
    return { status: 200, headers: { ...headers, 'Content-Encoding': 'gzip' }, body: small }
  }
  const size = body.length
  const about = { ...caching, ETag: tagOfBytes(body), 'Accept-Ranges': 'bytes' }
  if (isKnown(asked, about.ETag)) return { status: 304, headers: about, body: null }
  const headers = { 'Content-Type': type, ...about }
  const range = method === 'GET' ? rangeOf(asked, { size, tag: about.ETag }) : 'all'
  if (range === 'all') return { status: 200, headers, body }
  if (range === null) {
    const refusal = { ...textHeaders, 'Content-Range': `bytes */${size}` }
    return { status: 416, headers: refusal, body: `there are ${size} bytes\n` }
  }
  const part = { ...headers, 'Content-Range': `bytes ${range.from}-${range.to}/${size}` }
  return { status: 206, headers: part, body: body.subarray(range.from, range.to + 1) }
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
  if (options.currentManifest && manifestId.toLowerCase() === 'current') return playable.currentPlaylist()
  return playable.masterPlaylist(manifestId)
}
