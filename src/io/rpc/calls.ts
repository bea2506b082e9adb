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
import { connectionOf, type PeerConnection } from './connection-limits.ts'
import { hostOf } from './peer-host.ts'
import { abortResponse, type HttpRequest, type HttpResponse, refuse } from './server-response.ts'

/** A call's message has to come whole within this time: they are small, and no call of the network streams to a server. */
const MESSAGE_MS = 10_000
/** Messages of calls in memory at one time, and what of it one host may hold: behind a balancer's may be most peers. */
const MAX_BUFFERED_BYTES = 64_000_000
const HOST_PART = 3 / 4
/** Calls of one host whose message has not come yet: as many as on these many full connections. */
const PENDING_CONNECTIONS = 8
/** How long the stream of an answered call may stay open on the peer's side. */
const LINGER_MS = 2_000

/** Marks the connections of peers that have shown a certificate of the operator. HTTP/2 hides the socket itself. */
const OWN_PEER = Symbol('own peer')

/** Answers one plain request. */
export type HttpHandler = (request: HttpRequest, response: HttpResponse) => Promise<void>

/** Answers one gRPC call on its HTTP/2 stream. */
export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

/** What is served on a port. */
export interface Routes {
  /** Adds gRPC services. */
  grpc?(router: ConnectRouter): void
  /** The handler of a path (without its query), or null where there is none. */
  http?(path: string): HttpHandler | null
  /** Takes over the bare stream of a gRPC call; null for a path of which the calls are answered as others are. */
  stream?(path: string): StreamHandler | null
  /** Ends the streams that would otherwise go on: the endpoint is about to stop. */
  stop?(): void
}

/** The other end of a call's connection. */
export interface Peer {
  /** Host and port. */
  readonly address: string
  /** Whom it is counted for, as `hostOf` names it. */
  readonly host: string
  /** The fingerprint of the operator's certificate that it has shown; null for a stranger. */
  readonly identity: string | null
  readonly connection: PeerConnection | null
  /** Aborted once the connection is gone. */
  readonly gone: AbortSignal
  /** Resolves when the peer answers; rejects when there is no connection. */
  ping(): Promise<void>
}

/** Where a call comes from, for whoever serves it. */
export const callPeer = createContextKey<Peer | null>(null, {
  description: 'the other end of the connection',
})

/** Bounds of gRPC calls. */
export interface CallLimits {
  readonly maxMessageBytes: number
  /** Of one connection. */
  readonly maxStreams: number
  /** How long a message may take to come; the default is for all but tests. */
  readonly messageMs?: number
  /** Messages in memory at one time. */
  readonly maxBufferedBytes?: number
}

/** gRPC calls, as Connect answers them. */
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
    // Connect makes a URL of it, which nobody reads, and Node's clients write IPv6 there without its brackets.
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
      // As a Go server answers and announces (wire.md §3, answers).
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

  /** Whom a call's message is counted for: nobody where the peer belongs to this node. */
  #holdersOf({ socket }: Http2ServerRequest): Holder[] {
    const connection = connectionOf(socket)
    if (connection?.isTrusted) return []
    const name = connection?.host ?? 'unknown'
    return [{ name, maxBytes: HOST_PART * this.#maxBuffered, maxShares: this.#maxPending }]
  }
}

const peers = new WeakMap<ServerHttp2Session, Peer>()

/** The other end of a stream's connection; null when that is gone. */
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
 * The message of a call as it comes, for as long as it may take and there is room for it. Throws ConnectError
 * `DeadlineExceeded`, `ResourceExhausted`. Once it is here the room is given back: what is made of it is small.
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

/** Closes a stream that was answered, should its peer leave it open. */
function closeSoonAfter(stream: ServerHttp2Stream): void {
  stream.once('finish', () => {
    if (stream.closed) return
    const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), LINGER_MS)
    stream.once('close', () => clearTimeout(timer))
  })
}

/** Ends a call with nothing but its status. */
function endCall(stream: ServerHttp2Stream, code: Code, text: string): void {
  if (stream.destroyed || stream.closed) return
  const status = { 'grpc-status': String(code), 'grpc-message': encodeURIComponent(text) }
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true })
}

/** Notes that the other end of a connection has shown a certificate of this operator, and its fingerprint. */
export function markOwn(socket: Socket, fingerprint: string): void {
  Object.assign(socket, { [OWN_PEER]: fingerprint })
}

/** The fingerprint of the operator's certificate that the other end of a request's connection has shown, or null. */
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

/** A call's failure as the peer gets it: status UNKNOWN and the error's text (wire.md §3). Only our own texts leave. */
export function callError(error: unknown, log: Log): ConnectError {
  if (error instanceof NodeError) return new ConnectError(error.message, Code.Unknown)
  // The call's own end: its time was over, or its peer called it off.
  if (error instanceof ConnectError) return error
  log.error('a call failed unexpectedly', { error })
  return new ConnectError('internal error', Code.Unknown, undefined, undefined, messageOf(error))
}
