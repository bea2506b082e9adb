import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { sendBody } from './peer-exchange.ts'

/** A request over either version of HTTP. */
export type HttpRequest = IncomingMessage | Http2ServerRequest
/** Its response. */
export type HttpResponse = ServerResponse | Http2ServerResponse

/** How long a peer whose request was refused early may continue to send before it is disconnected. */
const LINGER_MS = 2_000

/**
 * The time limit for reading an answer: this, plus a second for each this many bytes. Peers themselves give up after 4
 * s.
 */
const ANSWER_MS = 60_000
const ANSWER_BYTES_PER_SECOND = 32_000

/** A signal that is aborted when the peer disconnects before the answer. Also handles errors of the exchange. */
export function disconnectSignal(request: HttpRequest, response: HttpResponse): AbortSignal {
  const gone = new AbortController()
  const onClose = () => {
    const { writableFinished } = 'stream' in response ? response.stream : response
    if (!writableFinished || ('aborted' in request && request.aborted)) gone.abort()
  }
  request.on('aborted', () => gone.abort())
  response.on('close', onClose)
  // A peer that disconnects is not an error here; 'close' follows.
  request.on('error', () => {})
  response.on('error', () => {})
  return gone.signal
}

/** Answers with a status and a line of text, in the form that peers read (wire.md §2). */
export function refuse(
  request: HttpRequest,
  response: HttpResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(`${text}\n`)
  respond(request, response, status, body, { 'content-type': 'text/plain; charset=utf-8', ...headers })
}

/**
 * Answers whether or not the request's body has arrived. The rest of the body is discarded for a short time, so that
 * the peer reads the answer rather than a broken connection (wire.md §18, 4).
 */
export function respond(
  request: HttpRequest,
  response: HttpResponse,
  status: number,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || isClosed(response)) return
  const fields = { ...headers, 'content-length': String(body.length) }
  limitSendTime(response, body.length)
  if ('stream' in response) {
    const { stream } = response
    stream.respond({ ':status': status, ...fields })
    // Tells the peer to stop sending without reporting an error.
    if (!request.readableEnded) {
      stream.once('finish', () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)))
    }
    sendBody(stream, body)
    return
  }
  response.writeHead(status, fields)
  if (!request.readableEnded) {
    const { socket } = response
    const cut = setTimeout(() => socket?.destroy(), LINGER_MS)
    request.once('end', () => clearTimeout(cut)).once('close', () => clearTimeout(cut))
    request.resume()
  }
  sendBody(response, body)
}

/**
 * Sends the status line and headers of an answer whose body follows later. One that `mayBreakOff` can still be aborted so that
 * the peer sees it: over HTTP/2, Node would otherwise end the body before it resets the stream.
 */
export function beginResponse(
  response: HttpResponse,
  status: number,
  {
    headers = {},
    mayBreakOff = false,
  }: { headers?: Readonly<Record<string, string>>; mayBreakOff?: boolean } = {},
): void {
  if (isClosed(response)) return
  if ('stream' in response) {
    response.stream.respond({ ':status': status, ...headers }, { waitForTrailers: mayBreakOff })
    return
  }
  response.writeHead(status, headers)
  response.flushHeaders()
}

/** Sends the body of an answer that was begun. */
export function completeResponse(response: HttpResponse, body: Uint8Array): void {
  if (isClosed(response)) return
  limitSendTime(response, body.length)
  if ('stream' in response) {
    if (response.stream.writable) sendBody(response.stream, body)
  } else sendBody(response, body)
}

/** Whether the peer has left: an answer to it would stay in memory until its time is over. */
function isClosed(response: HttpResponse): boolean {
  const { closed, destroyed } = 'stream' in response ? response.stream : response
  return closed || destroyed
}

/** Disconnects a peer that does not read its answer, which stays in memory until then. */
function limitSendTime(response: HttpResponse, bytes: number): void {
  const limitMs = ANSWER_MS + (bytes * 1_000) / ANSWER_BYTES_PER_SECOND
  const timer = setTimeout(() => abortResponse(response), limitMs)
  response.once('close', () => clearTimeout(timer))
}

/** Aborts an exchange. */
export function abortResponse(response: HttpResponse): void {
  if ('stream' in response) response.stream.close(constants.NGHTTP2_CANCEL)
  else response.destroy()
}
