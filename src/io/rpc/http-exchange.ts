import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { NodeError } from '../../lib/errors.ts'

/** A request over either version of HTTP. */
export type HttpRequest = IncomingMessage | Http2ServerRequest
/** Its response. */
export type HttpResponse = ServerResponse | Http2ServerResponse

/** Largest segment or rendition: 300 s at 8 Mbit/s (wire.md §10). */
export const MAX_SEGMENT_BYTES = 300_000_000
/** How long a peer whose request was refused early may go on sending before it is cut off. */
const LINGER_MS = 2_000

/** Why a body could not be read. */
export type BodyFault = 'body-too-large' | 'body-stalled' | 'body-broken-off' | 'no-room'

/** A body that could not be read. */
export class BodyError extends NodeError<BodyFault> {
  override name = 'BodyError'
}

/** Counts bytes that are held in memory at one time, over all requests. */
export class ByteBudget {
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  /** Takes room for bytes, or says that there is none. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  /** Gives room back. */
  give(bytes: number): void {
    this.#left += bytes
  }
}

/** Bounds of one body. */
export interface BodyLimits {
  readonly maxBytes: number
  /** A sender that is silent for this long is given up. */
  readonly stallMs: number
  /** The whole body must have come within this time. */
  readonly totalMs: number
  /** From which its bytes are taken; whoever gets the body gives them back. */
  readonly budget: ByteBudget
}

/** Reads a body whole. Throws BodyError; room that was taken is then given back. */
export function readBody(request: HttpRequest, limits: BodyLimits): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  const chunks: Uint8Array[] = []
  let length = 0
  const stall = setTimeout(() => fail('body-stalled', 'the sender has stopped'), limits.stallMs)
  const total = setTimeout(() => fail('body-stalled', 'the sender is too slow'), limits.totalMs)
  const onData = (chunk: Uint8Array) => {
    stall.refresh()
    if (length + chunk.length > limits.maxBytes) return fail('body-too-large', 'the body is too large')
    if (!limits.budget.take(chunk.length)) return fail('no-room', 'too many bodies at one time')
    length += chunk.length
    chunks.push(chunk)
  }
  const onEnd = () => {
    // HTTP/2 also ends the stream of a peer that has gone: only what is complete counts.
    if ('aborted' in request && request.aborted) return onClose()
    settle()
    resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length))
  }
  const onClose = () => fail('body-broken-off', 'the sender has gone')
  const fail = (code: BodyFault, message: string) => {
    settle()
    limits.budget.give(length)
    request.pause()
    reject(new BodyError(code, message))
  }
  const settle = () => {
    clearTimeout(stall)
    clearTimeout(total)
    request.off('data', onData).off('end', onEnd).off('aborted', onClose).off('close', onClose)
  }
  if (request.destroyed || ('aborted' in request && request.aborted)) onClose()
  else request.on('data', onData).on('end', onEnd).on('aborted', onClose).on('close', onClose)
  return promise
}

/** A signal that is aborted when the peer goes before it was answered. Errors of the exchange end there too. */
export function goneSignal(request: HttpRequest, response: HttpResponse): AbortSignal {
  const gone = new AbortController()
  const onClose = () => {
    const { writableFinished } = 'stream' in response ? response.stream : response
    if (!writableFinished || ('aborted' in request && request.aborted)) gone.abort()
  }
  request.on('aborted', () => gone.abort())
  response.on('close', onClose)
  // A peer that breaks off is no failure of ours; 'close' follows.
  request.on('error', () => {})
  response.on('error', () => {})
  return gone.signal
}

/** Answers with a status and a line of text, in the form that peers read (wire.md §2). */
export function refuse(request: HttpRequest, response: HttpResponse, status: number, text: string): void {
  const body = Buffer.from(`${text}\n`)
  finish(request, response, status, body, { 'content-type': 'text/plain; charset=utf-8' })
}

/**
 * Answers, whether or not the request's body has come. What is still coming is taken and thrown away for a little while,
 * so that the peer reads the answer rather than a broken connection (wire.md §18, 4).
 */
export function finish(
  request: HttpRequest,
  response: HttpResponse,
  status: number,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent) return
  const fields = { ...headers, 'content-length': String(body.length) }
  if ('stream' in response) {
    const { stream } = response
    if (stream.destroyed || stream.closed) return
    stream.respond({ ':status': status, ...fields })
    // Says "no need to send more" without calling it an error.
    if (!request.readableEnded) {
      stream.once('finish', () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)))
    }
    stream.end(body)
    return
  }
  response.writeHead(status, fields)
  if (!request.readableEnded) {
    const { socket } = response
    const cut = setTimeout(() => socket?.destroy(), LINGER_MS)
    request.once('end', () => clearTimeout(cut)).once('close', () => clearTimeout(cut))
    request.resume()
  }
  response.end(body)
}

/** Sends the status line and headers of an answer whose body follows later. */
export function begin(response: HttpResponse, status: number): void {
  if ('stream' in response) {
    const { stream } = response
    if (!stream.destroyed && !stream.closed) stream.respond({ ':status': status })
    return
  }
  response.writeHead(status)
  response.flushHeaders()
}

/** Sends the body of an answer that was begun. */
export function complete(response: HttpResponse, body: Uint8Array): void {
  if ('stream' in response) {
    if (response.stream.writable) response.stream.end(body)
  } else response.end(body)
}

/** Breaks an exchange off. */
export function cut(response: HttpResponse): void {
  if ('stream' in response) response.stream.close(constants.NGHTTP2_CANCEL)
  else response.destroy()
}
