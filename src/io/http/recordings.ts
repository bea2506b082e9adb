import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Movie } from '../../services/recordings/movie.ts'
import type { RecordingAnswer, RecordingRequest, Refusal } from '../../services/recordings/recordings.ts'
import { isKnown, rangeOf, tagOfBytes, tagOfText } from './entity.ts'
import { sendBytes } from './response.ts'

/** Recordings, as the port asks for them. */
export interface RecordedStreams {
  answer(request: RecordingRequest, signal: AbortSignal): Promise<RecordingAnswer>
}

/** What answering depends on. */
export interface RecordingNeeds {
  readonly recordings: RecordedStreams
  readonly log: Log
  readonly stopping: AbortSignal
}

const PREFIX = '/recordings/'
/** A client that reads nothing for this long is disconnected. */
const STALLED_MS = 30_000
/** So that players on any page can read what they get (gateway.md §6). */
const OPEN = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'Content-Length, Content-Range',
}
const PLAYLIST = { 'Content-Type': 'application/x-mpegURL', 'Cache-Control': 'max-age=5' }

const STATUS: Readonly<Record<Refusal, number>> = {
  'bad-path': 400,
  'no-store': 400,
  denied: 403,
  'no-recording': 404,
  'no-file': 404,
  'store-failed': 500,
  'too-many-requests': 503,
}

/** Answers a request for a part of a recording (gateway.md §6). */
export async function playRecording(
  request: IncomingMessage,
  response: ServerResponse,
  { path, url }: { readonly path: string; readonly url: string },
  { log, recordings, stopping }: RecordingNeeds,
): Promise<void> {
  request.resume()
  if (request.method !== 'GET') return sendBytes(response, 405, { Allow: 'GET' }, '')
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const signal = AbortSignal.any([gone.signal, stopping])
  const asked = { path: path.slice(PREFIX.length), url, finalize: finalizeOf(request.url ?? '') }
  const answer = await recordings.answer(asked, signal).catch((error) => {
    if (signal.aborted) return null
    throw error
  })
  if (answer === null) return void response.destroy()
  if (answer.kind === 'refused') return sendBytes(response, STATUS[answer.why], OPEN, '')
  if (answer.kind === 'movie') return sendMovie(request, response, answer, { log, signal })
  if (answer.kind === 'playlist') {
    const headers = { ...OPEN, ...PLAYLIST, ETag: tagOfText(answer.text) }
    const isUnchanged = isKnown(request.headers, headers.ETag)
    return sendBytes(response, isUnchanged ? 304 : 200, headers, isUnchanged ? '' : answer.text)
  }
  const { bytes, type } = answer
  const tag = tagOfBytes(bytes)
  const headers = { ...OPEN, 'Content-Type': type, ETag: tag, 'Accept-Ranges': 'bytes' }
  if (isKnown(request.headers, tag)) return sendBytes(response, 304, headers, '')
  const range = rangeOf(request.headers, { size: bytes.length, tag })
  if (range === null)
    return sendBytes(response, 416, { ...headers, 'Content-Range': `bytes */${bytes.length}` }, '')
  if (range === 'all') return sendBytes(response, 200, headers, bytes)
  const shown = `bytes ${range.from}-${range.to}/${bytes.length}`
  sendBytes(response, 206, { ...headers, 'Content-Range': shown }, bytes.subarray(range.from, range.to + 1))
}

/** `finalize` of the query; null where it says neither yes nor no. */
function finalizeOf(url: string): boolean | null {
  const mark = url.indexOf('?')
  const value = mark < 0 ? null : new URLSearchParams(url.slice(mark + 1)).get('finalize')
  return value === 'true' ? true : value === 'false' ? false : null
}

/** Sends a movie, or a part of it, as it is made: no faster than the client reads. */
async function sendMovie(
  request: IncomingMessage,
  response: ServerResponse,
  { movie, name }: { readonly movie: Movie; readonly name: string },
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  const headers = {
    ...OPEN,
    'Content-Disposition': `attachment; filename=${fileName(name)}.mp4;`,
    'Content-Type': 'video/mp4',
    ETag: movie.etag,
    'Accept-Ranges': 'bytes',
  }
  if (isKnown(request.headers, movie.etag)) return sendBytes(response, 304, headers, '')
  const range = rangeOf(request.headers, { size: movie.size, tag: movie.etag })
  if (range === null)
    return sendBytes(response, 416, { ...headers, 'Content-Range': `bytes */${movie.size}` }, '')
  const { from, to } = range === 'all' ? { from: 0, to: movie.size - 1 } : range
  response.writeHead(range === 'all' ? 200 : 206, {
    ...headers,
    ...(range !== 'all' && { 'Content-Range': `bytes ${from}-${to}/${movie.size}` }),
    'Content-Length': to + 1 - from,
  })
  response.setTimeout(STALLED_MS, () => response.socket?.destroy())
  try {
    for await (const part of movie.read(from, to + 1, signal)) {
      if (!response.write(part)) await once(response, 'drain', { signal })
    }
    response.end()
  } catch (error) {
    // The length was promised: a client must not take a part for the whole.
    response.destroy()
    if (!signal.aborted) log.warn('recording was cut off', { track: name, reason: messageOf(error) })
  }
}

/** The name of a track as it can stand in a header. */
function fileName(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `"${name.replace(/[^ -~]|["\\%]/g, '_')}"`
}
