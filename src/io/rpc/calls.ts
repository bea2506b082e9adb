import {
  constants,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
} from '@connectrpc/connect'
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { FairBudget, type Holder, type Share } from '../../lib/fair-budget.ts'
import { hostAndPort, withoutMapping } from '../../lib/hosts.ts'
import type { Log } from '../../lib/log.ts'
import { hostOf } from '../../lib/peer-host.ts'
import { connectionOf, type PeerConnection } from './connection-limits.ts'
import { abortResponse, type HttpRequest, type HttpResponse, refuse } from './server-response.ts'

/** Time limit for receiving a call's message: messages are small, and no call of the network streams to a server. */
const MESSAGE_MS = 10_000
/**
 * Memory for the messages of calls; the part of it for one host is large because most peers may be behind one balancer.
 */
const MAX_BUFFERED_BYTES = 64_000_000
const HOST_PART = 3 / 4
/** Calls of one host whose message has not arrived: as many as on this many full connections. */
const PENDING_CONNECTIONS = 8
/** How long the peer may leave the stream of an answered call open. */
const LINGER_MS = 2_000

/** Marks connections whose peer has shown a certificate of the operator; HTTP/2 hides the socket itself. */
const OWN_PEER = Symbol('own peer')

/** Answers one plain request. */
export type HttpHandler = (request: HttpRequest, response: HttpResponse) => Promise<void>

/** Answers one gRPC call on its HTTP/2 stream. */
export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

/** The routes of a port. */
export interface Routes {
  /** Adds gRPC services. */
  grpc?(router: ConnectRouter): void
  /** The handler of a path (without its query), or null if there is none. */
  http?(path: string): HttpHandler | null
  /** Takes over the bare stream of a gRPC call; null for paths whose calls are handled normally. */
  stream?(path: string): StreamHandler | null
  /** Ends long-lived streams because the endpoint is stopping. */
  stop?(): void
}

/** The other end of a call's connection. */
export interface Peer {
  /** Host and port. */
  readonly address: string
  /** The host that it is counted for, as named by `hostOf`. */
  readonly host: string
  /** The fingerprint of the operator's certificate that the peer has shown; null without one. */
  readonly identity: string | null
  readonly connection: PeerConnection | null
  /** Aborted once the connection is closed. */
  readonly gone: AbortSignal
  /** Resolves when the peer answers; rejects when there is no connection. */
  ping(): Promise<void>
}

/** The peer of a call, for its handlers. */
export const callPeer = createContextKey<Peer | null>(null, {
  description: 'the other end of the connection',
})

/** Limits of gRPC calls. */
export interface CallLimits {
  readonly maxMessageBytes: number
  /** Of one connection. */
  readonly maxStreams: number
  /** Time limit for a message; tests lower it. */
  readonly messageMs?: number
  /** Bytes of messages in memory at a time. */
  readonly maxBufferedBytes?: number
}

/** Serves gRPC calls through Connect. */
export class GrpcHandler {
  readonly #handlers: ReadonlyMap<string, ReturnType<typeof createConnectRouter>['handlers'][number]>
  readonly #log: Log
  readonly #messageMs: number
  readonly #maxPending: number
  readonly #maxBuffered: number
  readonly #pending: FairBudget

  constructor(options: CallLimits, needs: { routes: readonly Routes[]; log: Log }) {
    const router = createConnectRouter({
      grpc: true,
      grpcWeb: false,
      connect: false,
      acceptCompression: [],
      readMaxBytes: options.maxMessageBytes,
      binaryOptions: { readUnknownFields: false },
    })
    for (const { grpc } of needs.routes) grpc?.(router)
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]))
    this.#log = needs.log
    this.#maxBuffered = options.maxBufferedBytes ?? MAX_BUFFERED_BYTES
    this.#pending = new FairBudget(this.#maxBuffered)
    this.#maxPending = PENDING_CONNECTIONS * options.maxStreams
    this.#messageMs = options.messageMs ?? MESSAGE_MS
  }

  answer(path: string, request: Http2ServerRequest, response: Http2ServerResponse): void {
    request.on('error', () => {})
    response.on('error', () => {})
    // Connect makes a URL of the authority that is never used, and Node's clients write IPv6 there without brackets.
    Object.defineProperty(request, 'authority', { value: 'localhost' })
    const { stream } = request
    closeSoonAfter(stream)
    const handler = this.#handlers.get(path)
    if (!handler) {
      endCall(stream, Code.Unimplemented, `unknown method ${path}`)
      return
    }
    const share = this.#pending.open(this.#holdersOf(request))
    if (!share) {
      endCall(stream, Code.ResourceExhausted, 'too many calls in progress: try again later')
      return
    }
    const call = async () => {
      const values = createContextValues().set(callPeer, peerOf(request.stream))
      const universal = universalRequestFromNodeRequest(request, response, undefined, values)
      const body = bounded(request, { share, limitMs: this.#messageMs })
      const answer = await handler({ ...universal, body })
      // As a Go server does (wire.md §3, answers).
      answer.header?.set('content-type', request.headers['content-type'] ?? 'application/grpc')
      answer.header?.set('trailer', 'Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin')
      await universalResponseToNodeResponse(answer, response)
    }
    call()
      .catch((error) => {
        this.#log.debug('a call ended early', { path, error })
        if (!response.headersSent) refuse(request, response, 400, 'Bad Request')
        else abortResponse(response)
      })
      .finally(() => share.close())
  }

  /** The holders that a call's message is counted for: none if the peer belongs to the operator. */
  #holdersOf({ socket }: Http2ServerRequest): Holder[] {
    const connection = connectionOf(socket)
    if (connection?.isTrusted) return []
    const name = connection?.host ?? 'unknown'
    return [{ name, maxBytes: HOST_PART * this.#maxBuffered, maxShares: this.#maxPending }]
  }
}

const peers = new WeakMap<ServerHttp2Session, Peer>()

/** The peer of a stream's connection; null once that is closed. */
export function peerOf({ session: opened }: { readonly session?: Http2Session | undefined }): Peer | null {
  const session = opened as ServerHttp2Session | undefined
  if (!session) return null
  const known = peers.get(session)
  if (known) return known
  const gone = new AbortController()
  session.once('close', () => gone.abort())
  const { socket } = session
  const { remoteAddress = 'unknown', remotePort = 0 } = socket
  const connection = connectionOf(socket as Socket)
  const peer: Peer = {
    address: hostAndPort(withoutMapping(remoteAddress), remotePort),
    host: hostOf(remoteAddress),
    identity: ownIdentity(socket),
    connection,
    gone: gone.signal,
    ping: () =>
      new Promise((resolve, reject) => {
        const isSent = !session.destroyed && session.ping((error) => (error ? reject(error) : resolve()))
        if (!isSent) reject(new Error('the connection takes no ping'))
      }),
  }
  peers.set(session, peer)
  return peer
}

/**
 * The message of a call as it arrives, within its time limit and the memory available. Throws ConnectError
 * `DeadlineExceeded` or `ResourceExhausted`. The memory is released at the end because the decoded message is small.
 */
async function* bounded(
  request: Http2ServerRequest,
  { limitMs, share }: { share: Share; limitMs: number },
): AsyncGenerator<Uint8Array, void> {
  const limit = Promise.withResolvers<never>()
  limit.promise.catch(() => {})
  const timer = setTimeout(() => {
    const text = `the message did not come within ${limitMs / 1000} s`
    limit.reject(new ConnectError(text, Code.DeadlineExceeded))
  }, limitMs)
  const chunks = request[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await Promise.race([chunks.next(), limit.promise])
      if (next.done) return
      const chunk: Uint8Array = next.value
      if (!share.take(chunk.length)) {
        throw new ConnectError('too many messages are being received at once', Code.ResourceExhausted)
      }
      yield chunk
    }
  } finally {
    clearTimeout(timer)
    share.close()
  }
}

/** Closes the stream of an answered call if its peer leaves it open. */
function closeSoonAfter(stream: ServerHttp2Stream): void {
  stream.once('finish', () => {
    if (stream.closed) return
    const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), LINGER_MS)
    stream.once('close', () => clearTimeout(timer))
  })
}

/** Ends a call with only its status. */
function endCall(stream: ServerHttp2Stream, code: Code, text: string): void {
  if (stream.destroyed || stream.closed) return
  const status = { 'grpc-status': String(code), 'grpc-message': encodeURIComponent(text) }
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true })
}

/** Notes the fingerprint of the operator's certificate that the peer of a connection has shown. */
export function markOwn(socket: Socket, fingerprint: string): void {
  Object.assign(socket, { [OWN_PEER]: fingerprint })
}

/** The fingerprint of the operator's certificate that the peer of a request has shown, or null. */
export function ownIdentity(socket: Socket): string | null {
  return (socket as { [OWN_PEER]?: string })[OWN_PEER] ?? null
}

/** Whether a request is a gRPC call (wire.md §2, dispatch). */
export function isCall(request: HttpRequest, response: HttpResponse): request is Http2ServerRequest {
  return 'stream' in response && hasCall(request.headers)
}

/** Whether headers over HTTP/2 are those of a gRPC call. */
export function hasCall(headers: IncomingHttpHeaders): boolean {
  return (headers['content-type'] ?? '').startsWith('application/grpc')
}

/**
 * A call's failure for the peer: status UNKNOWN and the error's text (wire.md §3). Only this project's own texts are
 * sent.
 */
export function callError(error: unknown, log: Log): ConnectError {
  if (error instanceof NodeError) return new ConnectError(error.message, Code.Unknown)
  // The call itself ended: it timed out, or the peer cancelled it.
  if (error instanceof ConnectError) return error
  log.error('a call failed unexpectedly', { error })
  return new ConnectError('internal error', Code.Unknown, undefined, undefined, messageOf(error))
}
