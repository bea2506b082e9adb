import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { sendBody } from './peer-exchange.ts'

/** A request over either version of HTTP. */
export type HttpRequest = IncomingMessage | Http2ServerRequest
/** Its response. */
export type HttpResponse = ServerResponse | Http2ServerResponse

/** How long a peer whose request was refused early may go on sending before it is cut off. */
const LINGER_MS = 2_000

/** An answer is taken within this time, and a second for each so many bytes: peers themselves give up after 4 s. */
const ANSWER_MS = 60_000
const ANSWER_BYTES_PER_SECOND = 32_000

/** A signal that is aborted when the peer goes before it was answered. Errors of the exchange end there too. */
export function disconnectSignal(request: HttpRequest, response: HttpResponse): AbortSignal {
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
  respond(request, response, status, body, { 'content-type': 'text/plain; charset=utf-8' })
}

/**
 * Answers, whether or not the request's body has come. What is still coming is taken and thrown away for a little while,
 * so that the peer reads the answer rather than a broken connection (wire.md §18, 4).
 */
export function respond(
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
    limitSendTime(response, body.length)
    stream.respond({ ':status': status, ...fields })
    // Says "no need to send more" without calling it an error.
    if (!request.readableEnded) {
      stream.once('finish', () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)))
    }
    sendBody(stream, body)
    return
  }
  limitSendTime(response, body.length)
  response.writeHead(status, fields)
  if (!request.readableEnded) {
    const { socket } = response
    const cut = setTimeout(() => socket?.destroy(), LINGER_MS)
    request.once('end', () => clearTimeout(cut)).once('close', () => clearTimeout(cut))
    request.resume()
  }
  sendBody(response, body)
}

/** Sends the status line and headers of an answer whose body follows later. */
export function beginResponse(response: HttpResponse, status: number): void {
  if ('stream' in response) {
    const { stream } = response
    if (!stream.destroyed && !stream.closed) stream.respond({ ':status': status })
    return
  }
  response.writeHead(status)
  response.flushHeaders()
}

/** Sends the body of an answer that was begun. */
export function completeResponse(response: HttpResponse, body: Uint8Array): void {
  limitSendTime(response, body.length)
  if ('stream' in response) {
    if (response.stream.writable) sendBody(response.stream, body)
  } else sendBody(response, body)
}

/** Cuts off a peer that does not take its answer, which is kept for it as long as it lets it wait. */
function limitSendTime(response: HttpResponse, bytes: number): void {
  const limitMs = ANSWER_MS + (bytes * 1_000) / ANSWER_BYTES_PER_SECOND
  const timer = setTimeout(() => abortResponse(response), limitMs)
  response.once('close', () => clearTimeout(timer))
}

/** Breaks an exchange off. */
export function abortResponse(response: HttpResponse): void {
  if ('stream' in response) response.stream.close(constants.NGHTTP2_CANCEL)
  else response.destroy()
}
