import { createServer as createHttp1Server, type Server as Http1Server } from 'node:http'
import {
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
} from '@connectrpc/connect'
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { type Dice, systemDice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { listen } from '../../lib/listen.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { MAX_MESSAGE_BYTES } from './convert.ts'
import { MAX_HEADER_BYTES } from './headers.ts'
import { cut, type HttpRequest, type HttpResponse, refuse } from './http-exchange.ts'
import { makeIdentity, saveIdentity } from './tls.ts'

/** A connection without requests is closed after this long (wire.md §2). */
const IDLE_MS = 10 * 60_000
/** Over HTTP/1.1 a request's headers must come within this time. */
const HEADERS_MS = 30_000
const HEADERS_CHECK_MS = 5_000
const HANDSHAKE_MS = 20_000
const MAX_CONNECTIONS = 8_192
/** Requests at the same time over one connection, unless there is reason for more. */
const MAX_STREAMS_PER_CONNECTION = 250
/** How much one upload may be ahead of its reader, so that distance does not slow it down. */
const STREAM_WINDOW_BYTES = 1024 * 1024
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024
/**
 * Node counts answers that wait to be sent and refuses headers above this many MB. What a peer makes us keep is bounded
 * by the windows; the answers lie in the results' store anyway.
 */
const SESSION_MEMORY_MB = 1_000
/** How long exchanges in progress may take to end when the node stops. */
const DRAIN_MS = 2_000
/** After the last exchange, how long connections may take to close by themselves. */
const LAST_WORDS_MS = 100

/** Answers one plain request. */
export type HttpHandler = (request: HttpRequest, response: HttpResponse) => Promise<void>

/** What is served on a port. */
export interface Routes {
  /** Adds gRPC services. */
  grpc?(router: ConnectRouter): void
  /** The handler of a path (without its query), or null where there is none. */
  http?(path: string): HttpHandler | null
  /** Ends the streams that would otherwise go on: the endpoint is about to stop. */
  stop?(): void
}

/** The other end of a call's connection. */
export interface Peer {
  readonly address: string
  /** Aborted once the connection is gone. */
  readonly gone: AbortSignal
  /** Resolves when the peer answers; rejects when there is no connection. */
  ping(): Promise<void>
}

/** Where a call comes from, for whoever serves it. */
export const callPeer = createContextKey<Peer | null>(null, {
  description: 'the other end of the connection',
})

/** Where and how an endpoint listens. */
export interface EndpointOptions {
  readonly name: string
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** TLS with a certificate for this host name, kept in this directory; or null for plain HTTP (`http://` addresses). */
  readonly tls: { readonly hostname: string; readonly directory: string } | null
  readonly maxStreams?: number
  readonly headersMs?: number
  readonly drainMs?: number
}

/** What an endpoint needs. */
export interface EndpointNeeds {
  readonly routes: readonly Routes[]
  readonly log: Log
  readonly clock?: Clock
  readonly dice?: Dice
}

/**
 * One port for all of a node's peers: gRPC over HTTP/2, and plain requests over HTTP/2 and HTTP/1.1, with and without
 * ALPN (wire.md §2).
 */
export class Endpoint implements Service {
  readonly name: string
  readonly #options: EndpointOptions
  readonly #needs: EndpointNeeds
  readonly #grpc: GrpcHandler
  #port = 0
  #active = 0
  #onIdle = () => {}

  constructor(options: EndpointOptions, needs: EndpointNeeds) {
    this.name = options.name
    this.#options = options
    this.#needs = needs
    this.#grpc = new GrpcHandler(needs.routes, needs.log)
  }

  /** The port that is listened on, once started. */
  get port(): number {
    return this.#port
  }

  async start(scope: Scope): Promise<void> {
    const http1 = this.#http1()
    const http2 = this.#http2()
    const server = await this.#listener(http1, http2)
    server.maxConnections = MAX_CONNECTIONS
    const sockets = new Set<Socket>()
    server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => {})
    })
    const sessions = new Set<ServerHttp2Session>()
    http2.on('session', (session) => {
      sessions.add(session)
      session.on('close', () => sessions.delete(session))
    })
    const { name } = this.#options
    this.#port = await listen(server, this.#options, { who: `the ${name}`, flag: '-httpAddr' })
    server.on('error', (error) => this.#needs.log.error('the listening socket failed', { error }))
    scope.defer(async () => {
      server.close()
      http1.closeIdleConnections()
      for (const session of sessions) session.close()
      for (const routes of this.#needs.routes) routes.stop?.()
      await within(this.#options.drainMs ?? DRAIN_MS, this.#idle())
      await within(LAST_WORDS_MS, Promise.all([...sockets].map(closed)))
      http1.close()
      for (const socket of sockets) socket.destroy()
    })
  }

  #http1(): Http1Server {
    const server = createHttp1Server({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: this.#options.headersMs ?? HEADERS_MS,
      connectionsCheckingInterval: Math.min(HEADERS_CHECK_MS, this.#options.headersMs ?? HEADERS_MS),
      // Bodies are timed by whoever reads them.
      requestTimeout: 0,
      keepAliveTimeout: IDLE_MS,
    })
    server.on('request', (request, response) => this.#answer(request, response))
    // It never listens itself: this starts its watch over slow headers.
    server.emit('listening')
    return server
  }

  #http2(): Http2Server {
    const server = createHttp2Server({
      settings: {
        maxHeaderListSize: MAX_HEADER_BYTES,
        maxConcurrentStreams: this.#options.maxStreams ?? MAX_STREAMS_PER_CONNECTION,
        initialWindowSize: STREAM_WINDOW_BYTES,
      },
      maxSessionMemory: SESSION_MEMORY_MB,
    })
    server.on('request', (request, response) => this.#answer(request, response))
    server.on('sessionError', (error) => this.#needs.log.debug('a connection failed', { error }))
    server.on('session', (session) => {
      if (session.destroyed) return
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
      let open = 0
      session.on('stream', (stream) => {
        open++
        stream.once('close', () => {
          open--
          // Counts from the last stream's end.
          if (!session.destroyed) session.setTimeout(IDLE_MS)
        })
      })
      session.setTimeout(IDLE_MS)
      session.on('timeout', () => {
        if (open === 0) session.close()
      })
    })
    return server
  }

  async #listener(http1: Http1Server, http2: Http2Server): Promise<Server> {
    const { tls } = this.#options
    if (!tls) {
      return createTcpServer({ noDelay: true }, (socket) => {
        firstBytes(socket).then(
          (start) => {
            const isHttp2 = start.toString('latin1') === 'PRI'
            const handler = isHttp2 ? http2 : http1
            handler.emit('connection', socket)
            // HTTP/2 fetches what was read already; HTTP/1.1 waits for it to flow.
            if (!isHttp2) socket.resume()
          },
          () => socket.destroy(),
        )
      })
    }
    const { clock = systemClock, dice = systemDice } = this.#needs
    const identity = makeIdentity(tls.hostname, { clock, dice })
    await saveIdentity(tls.directory, identity)
    const server = createTlsServer({
      ...identity,
      // A peer that offers both gets h2 (wire.md §18, 2).
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: HANDSHAKE_MS,
      noDelay: true,
    })
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {})
      const handler = socket.alpnProtocol === 'h2' ? http2 : http1
      handler.emit('connection', socket)
    })
    server.on('tlsClientError', (error) => this.#needs.log.debug('a TLS handshake failed', { error }))
    return server
  }

  /** Resolves once no exchange is in progress. */
  #idle(): Promise<void> {
    if (this.#active === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle = resolve
    })
  }

  #answer(request: HttpRequest, response: HttpResponse): void {
    this.#active++
    response.once('close', () => {
      this.#active--
      if (this.#active === 0) this.#onIdle()
    })
    const path = (request.url ?? '').split('?', 1)[0]!
    if (isCall(request, response)) {
      this.#grpc.answer(path, request, response as Http2ServerResponse)
      return
    }
    for (const routes of this.#needs.routes) {
      const handler = routes.http?.(path)
      if (!handler) continue
      handler(request, response).catch((error) => {
        this.#needs.log.error('a request failed unexpectedly', { path, error })
        if (response.headersSent) cut(response)
        else refuse(request, response, 500, 'Internal Server Error')
      })
      return
    }
    refuse(request, response, 404, '404 page not found')
  }
}

/** gRPC calls, as Connect answers them. */
class GrpcHandler {
  readonly #handlers: ReadonlyMap<string, ReturnType<typeof createConnectRouter>['handlers'][number]>
  readonly #log: Log
  readonly #peers = new WeakMap<ServerHttp2Session, Peer>()

  constructor(routes: readonly Routes[], log: Log) {
    const router = createConnectRouter({
      grpc: true,
      grpcWeb: false,
      connect: false,
      acceptCompression: [],
      readMaxBytes: MAX_MESSAGE_BYTES,
      binaryOptions: { readUnknownFields: false },
    })
    for (const { grpc } of routes) grpc?.(router)
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]))
    this.#log = log
  }

  answer(path: string, request: Http2ServerRequest, response: Http2ServerResponse): void {
    const handler = this.#handlers.get(path)
    if (!handler) {
      response.stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': String(Code.Unimplemented),
          'grpc-message': encodeURIComponent(`unknown method ${path}`),
        },
        { endStream: true },
      )
      return
    }
    request.on('error', () => {})
    response.on('error', () => {})
    const call = async () => {
      const values = createContextValues().set(callPeer, this.#peerOf(request))
      const answer = await handler(universalRequestFromNodeRequest(request, response, undefined, values))
      // As a Go server answers and announces (wire.md §3, answers).
      answer.header?.set('content-type', request.headers['content-type'] ?? 'application/grpc')
      answer.header?.set('trailer', 'Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin')
      await universalResponseToNodeResponse(answer, response)
    }
    call().catch((error) => {
      this.#log.debug('a call ended early', { path, error })
      if (!response.headersSent) refuse(request, response, 400, 'Bad Request')
      else cut(response)
    })
  }

  #peerOf({ socket, stream }: Http2ServerRequest): Peer | null {
    const session = stream.session as ServerHttp2Session | undefined
    if (!session) return null
    const known = this.#peers.get(session)
    if (known) return known
    const gone = new AbortController()
    session.once('close', () => gone.abort())
    const { remoteAddress = 'unknown', remotePort = 0 } = socket
    const peer: Peer = {
      address: `${remoteAddress}:${remotePort}`,
      gone: gone.signal,
      ping: () =>
        new Promise((resolve, reject) => {
          const isSent = !session.destroyed && session.ping((error) => (error ? reject(error) : resolve()))
          if (!isSent) reject(new Error('the connection takes no ping'))
        }),
    }
    this.#peers.set(session, peer)
    return peer
  }
}

/** Whether a request is a gRPC call (wire.md §2, dispatch). */
function isCall(request: HttpRequest, response: HttpResponse): request is Http2ServerRequest {
  return 'stream' in response && (request.headers['content-type'] ?? '').startsWith('application/grpc')
}

/** A call's failure as the peer gets it: status UNKNOWN and the error's text (wire.md §3). Only our own texts leave. */
export function callError(error: unknown, log: Log): ConnectError {
  if (error instanceof NodeError) return new ConnectError(error.message, Code.Unknown)
  // The call's own end: its time was over, or its peer called it off.
  if (error instanceof ConnectError) return error
  log.error('a call failed unexpectedly', { error })
  return new ConnectError('internal error', Code.Unknown, undefined, undefined, messageOf(error))
}

/** The first three bytes of a plain connection, left in place: HTTP/2 begins with `PRI`, no method of HTTP/1.1 does. */
function firstBytes(socket: Socket): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const seen: Buffer[] = []
  socket.setTimeout(HEADERS_MS, reject)
  const onData = (chunk: Buffer) => {
    seen.push(chunk)
    const start = Buffer.concat(seen)
    if (start.length < 3) return
    socket.off('data', onData).off('end', reject).off('error', reject)
    socket.setTimeout(0)
    socket.removeAllListeners('timeout')
    socket.pause()
    socket.unshift(start)
    resolve(start.subarray(0, 3))
  }
  socket.on('data', onData).on('end', reject).on('error', reject)
  return promise
}

/** Resolves when the socket is closed. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

/** Waits for something, but not longer than this. */
async function within(ms: number, something: Promise<unknown>): Promise<void> {
  const limit = Promise.withResolvers<void>()
  const timer = setTimeout(limit.resolve, ms)
  await Promise.race([something, limit.promise])
  clearTimeout(timer)
}
