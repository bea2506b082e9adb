import { request as http1Request, type IncomingMessage } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  connect as http2Connect,
} from 'node:http2'
import { isIP, type Socket, connect as tcpConnect } from 'node:net'
import type { Writable } from 'node:stream'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { Reach } from '../../domain/segment.ts'
import { abortError, messageOf, NodeError } from '../../lib/errors.ts'
import {
  AddressError,
  checkHost,
  isPublicAddress,
  lookupWhere,
  type Resolve,
} from '../../lib/public-address.ts'
import { MAX_HEADER_BYTES } from './headers.ts'
import { contextOf, distrust, type OwnCerts } from './own-certs.ts'

/** How much a server may send ahead of its reader, so that latency does not slow downloads. */
const STREAM_WINDOW_BYTES = 1024 * 1024
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024

/** In MB. Node counts data waiting to be sent and refuses the headers of answers above this. */
const SESSION_MEMORY_MB = 1_000
/** A body is sent in pieces, so that an early answer ends the sending. */
const PIECE_BYTES = 256 * 1024

/** How names are resolved and which addresses are public; tests replace both. */
export interface NameLookup {
  readonly resolve?: Resolve
  readonly isPublic?: (ip: string) => boolean
}

/** Why an exchange with a peer failed. */
export type ExchangeFault =
  | 'unreachable'
  | 'forbidden-address'
  | 'header-timeout'
  | 'body-timeout'
  | 'refused'
  | 'bad-answer'
  | 'too-large'

/** A failed exchange with a peer. */
export class ExchangeError extends NodeError<ExchangeFault> {
  override name = 'ExchangeError'
}

/** A request to a peer. */
export interface PeerRequest {
  readonly method: 'GET' | 'POST'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | null
  /** A larger answer is an error; one with a status other than 200 is cut to this length. */
  readonly maxBytes: number
  /** `public` allows connections to public addresses only. */
  readonly reach?: Reach | undefined
  /** Called once the status is known. */
  onStatus?(status: number): void
}

/** A peer's response. */
export interface PeerResponse {
  readonly status: number
  readonly body: Uint8Array
}

/**
 * Opens a connection to the host of a URL: TLS for https, verified only between own nodes with the operator's
 * certificates. Throws ExchangeError `unreachable`, with `isUnsent` in its details because no request was sent and
 * `isSlow` if the time limit has passed, or `forbidden-address`.
 */
export async function openSocket(
  url: URL,
  options: {
    protocols: string[]
    timeoutMs: number
    signal: AbortSignal | null
    own?: OwnCerts | null
    names?: NameLookup
    reach?: Reach | undefined
  },
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const { own, signal } = options
  if (signal?.aborted) throw abortError(signal)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const secure = url.protocol === 'https:'
  const { resolve: resolveName, isPublic = isPublicAddress } = options.names ?? {}
  const allows = options.reach === 'public' ? isPublic : () => true
  try {
    checkHost(host, allows)
  } catch (error) {
    throw forbidden(url, error)
  }
  const target = {
    host,
    port: Number(url.port || (secure ? 443 : 80)),
    noDelay: true,
    // The lookup connects to the address that it checked.
    ...((options.reach === 'public' || resolveName) && { lookup: lookupWhere(allows, resolveName) }),
  }
  const socket = secure
    ? tlsConnect({
        ...target,
        ...(isIP(host) === 0 && { servername: host }),
        ALPNProtocols: options.protocols,
        // Other peers' certificates are self-signed and new at every start (wire.md §2).
        ...(own ? contextOf(own) : { rejectUnauthorized: false }),
      })
    : tcpConnect(target)
  const fail = (error: unknown) => {
    settle()
    socket.destroy()
    reject(error)
  }
  const onError = (error: Error) => {
    const reason = distrust(error) ?? reasonOf(error)
    fail(error instanceof AddressError ? forbidden(url, error) : unreachable(url, reason, error))
  }
  const onAbort = () => fail(abortError(signal))
  const timer = setTimeout(
    () => fail(unreachable(url, `no connection within ${options.timeoutMs} ms`, undefined, true)),
    options.timeoutMs,
  )
  const settle = () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    socket.off('error', onError)
    socket.on('error', () => {})
  }
  socket.once('error', onError)
  signal?.addEventListener('abort', onAbort, { once: true })
  socket.once(secure ? 'secureConnect' : 'connect', () => {
    settle()
    resolve(socket)
  })
  return promise
}

/** The protocol negotiated over TLS; null over plain TCP. */
export function protocolOf(socket: Socket): string | null {
  return 'alpnProtocol' in socket ? (socket as TLSSocket).alpnProtocol || null : null
}

/** Opens an HTTP/2 session over a connection. */
export function openSession(url: URL, socket: Socket): ClientHttp2Session {
  const session = http2Connect(url.origin, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
    maxSendHeaderBlockLength: 2 * MAX_HEADER_BYTES,
    maxSessionMemory: SESSION_MEMORY_MB,
  })
  session.on('error', () => {})
  session.once('connect', () => {
    if (!session.destroyed) session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
  })
  return session
}

/** Sends a request over HTTP/2 and reads the answer. */
export async function exchangeHttp2(
  session: ClientHttp2Session,
  request: PeerRequest,
  signal: AbortSignal,
): Promise<PeerResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<PeerResponse>()
  const { method, url, headers, body } = request
  const stream = openStream(session, url, body === null, {
    ':method': method,
    // Node would write an IPv6 address without brackets.
    ':authority': url.host,
    ':path': `${url.pathname}${url.search}`,
    ...headers,
    ...(body && { 'content-length': String(body.length) }),
  })
  const reader = new ResponseReader(request)
  const onAbort = () => fail(abortError(signal))
  let settled = false
  const settle = () => {
    settled = true
    signal.removeEventListener('abort', onAbort)
  }
  const fail = (error: unknown) => {
    settle()
    stream.close(constants.NGHTTP2_CANCEL)
    reject(error)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  let cause: unknown
  stream.on('response', (fields) => reader.begin(Number(fields[':status'])))
  stream.on('data', (chunk: Uint8Array) => {
    if (!reader.add(chunk)) fail(reader.tooLarge())
  })
  // Sending may fail because the peer has already answered, and then the answer counts (wire.md §18, 4).
  stream.on('error', (error) => {
    cause = error
  })
  stream.on('end', () => {
    const complete = stream.rstCode === constants.NGHTTP2_NO_ERROR && !session.destroyed
    if (reader.status === null || !complete) return
    settle()
    resolve(reader.response())
    if (!stream.writableFinished) stream.close(constants.NGHTTP2_NO_ERROR)
  })
  stream.on('close', () => {
    if (settled) return
    settle()
    const reason = cause ?? `the peer reset the stream (${stream.rstCode})`
    reject(brokenOff(url, reason, { isUnsent: stream.pending, isUntaken: isUntaken(stream) }))
  })
  if (body) sendBody(stream, body)
  return promise
}

/** Whether the peer says that it did not process the request, such as one above the last stream of its GOAWAY. */
function isUntaken(stream: ClientHttp2Stream): boolean {
  return stream.pending || stream.rstCode === constants.NGHTTP2_REFUSED_STREAM
}

/**
 * Whether a peer did not take a request: it may be sent again over another connection. Only the peer's word says so,
 * unless `isUnsent` is in the details too: what the request carried may have been read.
 */
export function wasUntaken(error: unknown): boolean {
  return error instanceof ExchangeError && error.details.isUntaken === true
}

function openStream(
  session: ClientHttp2Session,
  url: URL,
  endStream: boolean,
  headers: Record<string, string>,
): ClientHttp2Stream {
  try {
    return session.request(headers, { endStream })
  } catch (error) {
    throw brokenOff(url, error, { isUnsent: true, isUntaken: true })
  }
}

/** Sends a request over HTTP/1.1 and reads the answer. The connection is not reused. */
export function exchangeHttp1(
  socket: Socket,
  request: PeerRequest,
  signal: AbortSignal,
): Promise<PeerResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<PeerResponse>()
  const { method, url, headers, body } = request
  const reader = new ResponseReader(request)
  const outgoing = http1Request({
    createConnection: () => socket,
    host: url.hostname,
    port: url.port,
    method,
    path: `${url.pathname}${url.search}`,
    headers: {
      host: url.host,
      // With `close`, a Go server that refuses a body closes the connection while it is being sent, and its answer is
      // lost.
      connection: 'keep-alive',
      ...headers,
      ...(body && { 'content-length': String(body.length) }),
    },
  })
  const onAbort = () => fail(abortError(signal))
  const settle = () => {
    signal.removeEventListener('abort', onAbort)
    socket.destroy()
  }
  const fail = (error: unknown) => {
    settle()
    reject(error)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  outgoing.on('response', (response: IncomingMessage) => {
    reader.begin(response.statusCode ?? 0)
    response.on('data', (chunk: Uint8Array) => {
      if (!reader.add(chunk)) fail(reader.tooLarge())
    })
    response.on('end', () => {
      if (!response.complete) return fail(brokenOff(url, 'the answer is not complete'))
      settle()
      resolve(reader.response())
    })
    response.on('error', (error) => fail(brokenOff(url, error)))
    response.on('close', () => fail(brokenOff(url, 'the peer closed the connection')))
  })
  outgoing.on('error', (error) => {
    // Sending may fail because the peer has already answered: then the end of the answer decides (wire.md §18, 4).
    if (reader.status === null) fail(brokenOff(url, error))
  })
  outgoing.on('close', () => fail(brokenOff(url, 'the peer closed the connection')))
  if (body) sendBody(outgoing, body)
  else outgoing.end()
  return promise
}

/** Sends a body piece by piece, as fast as the peer reads: TLS would keep a copy of everything that waits. */
export function sendBody(target: Writable, body: Uint8Array): void {
  let sent = 0
  const more = () => {
    while (!target.destroyed && !target.writableEnded) {
      const piece = body.subarray(sent, sent + PIECE_BYTES)
      sent += piece.length
      if (sent === body.length) return void target.end(piece)
      if (!target.write(piece)) return void target.once('drain', more)
    }
  }
  more()
}

/** Collects a response within its size limit. */
class ResponseReader {
  status: number | null = null
  readonly #request: PeerRequest
  readonly #chunks: Uint8Array[] = []
  #length = 0

  constructor(request: PeerRequest) {
    this.#request = request
  }

  begin(status: number): void {
    this.status = status
    this.#request.onStatus?.(status)
  }

  /** False if a good answer is too large; a bad one is cut. */
  add(chunk: Uint8Array): boolean {
    if (this.#length + chunk.length > this.#request.maxBytes) return this.status !== 200
    this.#length += chunk.length
    this.#chunks.push(chunk)
    return true
  }

  tooLarge(): ExchangeError {
    return new ExchangeError('too-large', 'input bigger than max buffer size')
  }

  response(): PeerResponse {
    return { status: this.status ?? 0, body: Buffer.concat(this.#chunks, this.#length) }
  }
}

function brokenOff(
  url: URL,
  cause: unknown,
  { isUnsent = false, isUntaken = false }: { isUnsent?: boolean; isUntaken?: boolean } = {},
): ExchangeError {
  const reason = typeof cause === 'string' ? cause : messageOf(cause)
  const details = { ...(isUnsent && { isUnsent }), ...(isUntaken && { isUntaken }) }
  return new ExchangeError('unreachable', `the exchange with ${url.host} broke off: ${reason}`, {
    cause,
    details,
  })
}

function unreachable(url: URL, reason: string, cause?: unknown, isSlow = false): ExchangeError {
  const details = { isUnsent: true, ...(isSlow && { isSlow }) }
  return new ExchangeError('unreachable', `cannot connect to ${url.host}: ${reason}`, { cause, details })
}

function forbidden(url: URL, cause: unknown): ExchangeError {
  const message = `${url.host} is not connected to: ${messageOf(cause)}`
  return new ExchangeError('forbidden-address', message, { cause })
}

/** OpenSSL's messages have several lines and memory addresses; its reason is readable. */
function reasonOf(error: Error): string {
  return 'reason' in error && typeof error.reason === 'string' ? error.reason : messageOf(error)
}
