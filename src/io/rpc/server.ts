import { X509Certificate } from 'node:crypto'
import { createServer as createHttp1Server, type Server as Http1Server, ServerResponse } from 'node:http'
import {
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { type Dice, systemDice } from '../../lib/dice.ts'
import { listen } from '../../lib/listen.ts'
import type { Log } from '../../lib/log.ts'
import { type PeerLimitOptions, PeerLimits } from '../../lib/peer-limits.ts'
import type { Scope, Service } from '../../lib/service.ts'
import {
  type CallLimits,
  GrpcHandler,
  hasCall,
  isCall,
  markOwn,
  type Routes,
  type StreamHandler,
} from './calls.ts'
import type { Identity } from './certificate.ts'
import { type ConnectionLimitOptions, ConnectionLimits, connectionOf } from './connection-limits.ts'
import { firstBytes } from './first-bytes.ts'
import { MAX_HEADER_BYTES } from './headers.ts'
import { type LeavingLimits, OpenConnections } from './open-connections.ts'
import { contextOf, type OwnCerts, ownPeerOf } from './own-certs.ts'
import { abortResponse, type HttpRequest, type HttpResponse, refuse } from './server-response.ts'
import { makeIdentity, saveIdentity } from './tls.ts'
import { MAX_MESSAGE_BYTES } from './wire-message.ts'

/** A connection without requests is closed after this long (wire.md §2). */
const IDLE_MS = 10 * 60_000
/**
 * Over HTTP/1.1 a request's headers must arrive within this time: the largest payment takes half of it at 64 kbit/s. A
 * new connection must bring its first request, in any protocol, within twice this time.
 */
const HEADERS_MS = 15_000
const HEADERS_CHECK_MS = 5_000
const HANDSHAKE_MS = 10_000
const MAX_CONNECTIONS = 8_192
/** A quarter of all: one address may be a balancer with all peers, but a hundred gateways use fewer. */
const MAX_CONNECTIONS_PER_HOST = 2_048
/** Default number of concurrent requests per connection. */
const MAX_STREAMS_PER_CONNECTION = 250
/** How much an upload may be ahead of its reader, so that latency does not slow it down. */
const STREAM_WINDOW_BYTES = 1024 * 1024
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024
/**
 * In MB. Node counts answers that wait to be sent and refuses headers above this. The windows limit what a peer can
 * make this node hold, and answers are in the result store anyway.
 */
const SESSION_MEMORY_MB = 1_000
/** Header fields of a request: peers send a dozen. With HPACK few bytes can repeat large fields. */
const MAX_HEADER_FIELDS = 64
/** Streams that the peer itself resets: Node's own limits, a burst and then a number per second. */
const RESET_BURST = 1_000
const RESETS_PER_SECOND = 33
/** Pings and settings: Go's client sends at most one ping for each piece of an answer. */
const CONTROL_FRAMES: PeerLimitOptions = { callsPerSecond: 100, burst: 1_000, streams: 0 }
/** How long running exchanges may take when the node stops. */
const DRAIN_MS = 2_000
/** How long connections without an exchange may then take to close. */
const LAST_WORDS_MS = 100

/** A peer that vanished silently is detected within half a minute. */
const SOCKET_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000 }

/** Where and how an endpoint listens. */
export interface EndpointOptions {
  readonly name: string
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /**
   * TLS with a certificate for this host name, kept in this directory, or with the operator's certificates, and then
   * peers may show theirs; null for plain HTTP (`http://` addresses).
   */
  readonly tls: { readonly hostname: string; readonly directory: string } | { readonly own: OwnCerts } | null
  readonly maxStreams?: number
  /** Of one gRPC message. */
  readonly maxMessageBytes?: number
  readonly headersMs?: number
  readonly handshakeMs?: number
  readonly drainMs?: number
  readonly calls?: Pick<CallLimits, 'messageMs' | 'maxBufferedBytes'>
  readonly connections?: Pick<ConnectionLimitOptions, 'connections' | 'perHost'>
}

/** What an endpoint needs. */
export interface EndpointNeeds {
  readonly routes: readonly Routes[]
  readonly log: Log
  readonly clock?: Clock
  readonly dice?: Dice
}

/**
 * One port for all peers of a node: gRPC over HTTP/2, and plain requests over HTTP/2 and HTTP/1.1, with and without
 * ALPN (wire.md §2).
 */
export class Endpoint implements Service {
  readonly name: string
  readonly #options: EndpointOptions
  readonly #needs: EndpointNeeds
  readonly #grpc: GrpcHandler
  readonly #limits: ConnectionLimits
  readonly #clock: Clock
  readonly #headersMs: number
  readonly #maxStreams: number
  #port = 0
  #fingerprint: string | null = null
  /** Null unless started. */
  #serving: { readonly server: Server; readonly connections: OpenConnections } | null = null

  constructor(options: EndpointOptions, needs: EndpointNeeds) {
    this.name = options.name
    this.#options = options
    this.#needs = needs
    this.#clock = needs.clock ?? systemClock
    this.#maxStreams = options.maxStreams ?? MAX_STREAMS_PER_CONNECTION
    const { calls, maxMessageBytes = MAX_MESSAGE_BYTES } = options
    this.#grpc = new GrpcHandler({ maxMessageBytes, maxStreams: this.#maxStreams, ...calls }, needs)
    this.#headersMs = options.headersMs ?? HEADERS_MS
    this.#limits = new ConnectionLimits({
      ...{ connections: MAX_CONNECTIONS, perHost: MAX_CONNECTIONS_PER_HOST, ...options.connections },
      // HTTP/1.1 answers the peer with a timeout first.
      firstRequestMs: 2 * this.#headersMs,
    })
  }

  /** The port, once started. */
  get port(): number {
    return this.#port
  }

  /** SHA-256 of the port's certificate, in hexadecimal with colons; null without TLS, and until it has started. */
  get fingerprint(): string | null {
    return this.#fingerprint
  }

  async start(scope: Scope): Promise<void> {
    const http1 = this.#http1()
    const http2 = this.#http2()
    const server = await this.#listener(http1, http2)
    const connections = new OpenConnections(http1, this.#clock)
    // Runs before any other listener.
    server.prependListener('connection', (socket: Socket) => {
      if (!this.#limits.accept(socket)) {
        this.#needs.log.debug('connection refused: too many at work', { host: socket.remoteAddress })
        socket.destroy()
        return
      }
      connections.add(socket)
      socket.on('error', () => {})
    })
    http2.on('session', (session) => connections.addSession(session))
    this.#serving = { server, connections }
    await this.#listen(server, this.#options.port)
    server.on('error', (error) => this.#needs.log.error('the listening socket failed', { error }))
    scope.defer(async () => {
      await this.#leave({ limitMs: this.#options.drainMs ?? DRAIN_MS, graceMs: LAST_WORDS_MS })
      this.#serving = null
      http1.close()
      connections.destroy()
    })
  }

  /**
   * Gives up its port and all connections, so that peers take their next requests elsewhere; the requests that have come
   * are answered, and long-lived streams end. Resolves once that is done or takes longer than `limitMs`. Rejects when the
   * signal is aborted.
   */
  async leave(limitMs: number, signal: AbortSignal): Promise<void> {
    await this.#leave({ limitMs }, signal)
  }

  /** Its open connections; null unless started. */
  get connections(): Pick<OpenConnections, 'loads' | 'move' | 'turnAway'> | null {
    return this.#serving?.connections ?? null
  }

  /** Listens again, on the same port, after `leave`, or keeps the connections that were to be turned away. Throws NodeError `cannot-listen`. */
  async comeBack(): Promise<void> {
    if (!this.#serving) return
    const { connections, server } = this.#serving
    connections.stay()
    if (!server.listening) await this.#listen(server, this.#port)
  }

  async #leave(limits: LeavingLimits, signal?: AbortSignal): Promise<void> {
    if (!this.#serving) return
    const { connections, server } = this.#serving
    await connections.stopAccepting(server)
    for (const routes of this.#needs.routes) routes.stop?.()
    await connections.leave(limits, signal)
  }

  async #listen(server: Server, port: number): Promise<void> {
    const { host, name } = this.#options
    this.#port = await listen(server, { host, port }, { who: `the ${name}`, flag: '-httpAddr' })
  }

  #http1(): Http1Server {
    const server = createHttp1Server({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: this.#headersMs,
      connectionsCheckingInterval: Math.min(HEADERS_CHECK_MS, this.#headersMs),
      // The handlers of bodies limit their time.
      requestTimeout: 0,
      keepAliveTimeout: IDLE_MS,
    })
    server.on('request', (request, response) => this.#answer(request, response))
    // The HTTP/1.1 server never listens itself; this starts its check for slow headers.
    server.emit('listening')
    return server
  }

  #http2(): Http2Server {
    const server = createHttp2Server({
      settings: {
        maxHeaderListSize: MAX_HEADER_BYTES,
        maxConcurrentStreams: this.#maxStreams,
        initialWindowSize: STREAM_WINDOW_BYTES,
      },
      maxSessionMemory: SESSION_MEMORY_MB,
      maxHeaderListPairs: MAX_HEADER_FIELDS,
      streamResetBurst: RESET_BURST,
      streamResetRate: RESETS_PER_SECOND,
    })
    server.on('request', (request, response) => this.#answer(request, response))
    // A stream that is taken over needs no request and response objects.
    const [makeRequest] = server.listeners('stream') as [(...of: unknown[]) => void]
    server.removeAllListeners('stream')
    server.on('stream', (stream, headers, ...others) => {
      const take = this.#streamHandler(headers)
      if (!take) return makeRequest(stream, headers, ...others)
      this.#began(stream, stream.session?.socket as Socket | undefined)
      take(stream, headers)
    })
    server.on('sessionError', (error) => this.#needs.log.debug('a connection failed', { error }))
    server.on('session', (session) => {
      if (session.destroyed) return
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
      this.#boundControlFrames(session)
      let open = 0
      session.on('stream', (stream) => {
        open++
        stream.once('close', () => {
          open--
          // Counts from the end of the last stream.
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

  /** Limits pings and settings, which must be answered and cost the peer almost nothing. */
  #boundControlFrames(session: ServerHttp2Session): void {
    const limits = new PeerLimits(CONTROL_FRAMES, { clock: this.#clock })
    const count = () => {
      if (limits.takeCall('') || session.destroyed) return
      this.#needs.log.debug('connection closed: too many pings or settings', {
        host: session.socket.remoteAddress,
      })
      session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
    }
    session.on('ping', count).on('remoteSettings', count)
  }

  async #listener(http1: Http1Server, http2: Http2Server): Promise<Server> {
    const { tls } = this.#options
    if (!tls) {
      return createTcpServer(SOCKET_OPTIONS, (socket) => {
        if (!socket.destroyed) this.#handUnannounced(socket, http1, http2)
      })
    }
    const identity = 'own' in tls ? tls.own : await this.#newIdentity(tls)
    this.#fingerprint = new X509Certificate(identity.cert).fingerprint256
    const server = createTlsServer({
      ...('own' in tls
        ? // A peer without a certificate is told so by the route that needs one; gateways have none.
          { ...contextOf(tls.own), requestCert: true, rejectUnauthorized: false }
        : identity),
      // A peer that offers both gets h2 (wire.md §18, 2).
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: this.#options.handshakeMs ?? HANDSHAKE_MS,
      ...SOCKET_OPTIONS,
    })
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {})
      this.#limits.secured(socket)
      const identity = 'own' in tls ? ownPeerOf(socket, tls.own) : null
      if (identity !== null) {
        markOwn(socket, identity)
        connectionOf(socket)?.trust()
      }
      if (socket.alpnProtocol) (socket.alpnProtocol === 'h2' ? http2 : http1).emit('connection', socket)
      else this.#handUnannounced(socket, http1, http2)
    })
    server.on('tlsClientError', (error) => this.#needs.log.debug('a TLS handshake failed', { error }))
    return server
  }

  /** Hands a connection without ALPN to the server that its first bytes are for. */
  #handUnannounced(socket: Socket, http1: Http1Server, http2: Http2Server): void {
    firstBytes(socket, this.#headersMs).then(
      (start) => {
        const isHttp2 = start.toString('latin1') === 'PRI'
        const handler = isHttp2 ? http2 : http1
        // Node's HTTP/2 refuses a TLS connection without ALPN.
        if (isHttp2) Object.assign(socket, { alpnProtocol: 'h2' })
        handler.emit('connection', socket)
        // HTTP/2 reads what was already received; HTTP/1.1 waits for the socket to flow.
        if (!isHttp2) socket.resume()
      },
      () => socket.destroy(),
    )
  }

  async #newIdentity(tls: { hostname: string; directory: string }): Promise<Identity> {
    const { dice = systemDice } = this.#needs
    const identity = makeIdentity(tls.hostname, { clock: this.#clock, dice })
    await saveIdentity(tls.directory, identity)
    return identity
  }

  /** Counts an exchange until it is closed. */
  #began(exchange: HttpResponse | ServerHttp2Stream, socket: Socket | undefined): void {
    const end = connectionOf(socket)?.begin()
    const over = this.#serving?.connections.begin(exchange instanceof ServerResponse ? exchange : null)
    exchange.once('close', () => {
      end?.()
      over?.()
    })
  }

  #streamHandler(headers: IncomingHttpHeaders & { ':path'?: string }): StreamHandler | null {
    if (!hasCall(headers)) return null
    for (const routes of this.#needs.routes) {
      const handler = routes.stream?.(headers[':path'] ?? '')
      if (handler) return handler
    }
    return null
  }

  #answer(request: HttpRequest, response: HttpResponse): void {
    this.#began(response, request.socket)
    if (headerBytes(request) > MAX_HEADER_BYTES) {
      refuse(request, response, 431, 'Request Header Fields Too Large')
      return
    }
    const path = (request.url ?? '').split('?', 1)[0]!
    if (isCall(request, response)) {
      this.#grpc.answer(path, request, response as Http2ServerResponse)
      return
    }
    if (request.method === 'POST' && 'stream' in response) {
      this.#serving?.connections.uploaded(response.stream.session as ServerHttp2Session | undefined)
    }
    for (const routes of this.#needs.routes) {
      const handler = routes.http?.(path)
      if (!handler) continue
      handler(request, response).catch((error) => {
        this.#needs.log.error('a request failed unexpectedly', { path, error })
        if (response.headersSent) abortResponse(response)
        else refuse(request, response, 500, 'Internal Server Error')
      })
      return
    }
    refuse(request, response, 404, '404 page not found')
  }
}

/** The size of a request's header fields, in bytes. */
function headerBytes({ rawHeaders }: HttpRequest): number {
  return rawHeaders.reduce((sum, text) => sum + text.length, 0)
}
