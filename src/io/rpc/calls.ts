import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2'
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
import { hostAndPort, withoutMapping } from '../../lib/hosts.ts'
import type { Log } from '../../lib/log.ts'
import { cut, type HttpRequest, type HttpResponse, refuse } from './http-exchange.ts'

/** Marks the connections of peers that have shown a certificate of the operator. HTTP/2 hides the socket itself. */
const OWN_PEER = Symbol('own peer')

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
  /** Host and port. */
  readonly address: string
  readonly host: string
  /** Whether it has shown a certificate of this operator. */
  readonly isOwn: boolean
  /** Aborted once the connection is gone. */
  readonly gone: AbortSignal
  /** Resolves when the peer answers; rejects when there is no connection. */
  ping(): Promise<void>
}

/** Where a call comes from, for whoever serves it. */
export const callPeer = createContextKey<Peer | null>(null, {
  description: 'the other end of the connection',
})

/** gRPC calls, as Connect answers them. */
export class GrpcHandler {
  readonly #handlers: ReadonlyMap<string, ReturnType<typeof createConnectRouter>['handlers'][number]>
  readonly #log: Log
  readonly #peers = new WeakMap<ServerHttp2Session, Peer>()

  constructor(routes: readonly Routes[], readMaxBytes: number, log: Log) {
    const router = createConnectRouter({
      grpc: true,
      grpcWeb: false,
      connect: false,
      acceptCompression: [],
      readMaxBytes,
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
    // Connect makes a URL of it, which nobody reads, and Node's clients write IPv6 there without its brackets.
    Object.defineProperty(request, 'authority', { value: 'localhost' })
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
    const host = withoutMapping(socket.remoteAddress ?? 'unknown')
    const peer: Peer = {
      address: hostAndPort(host, socket.remotePort ?? 0),
      host,
      isOwn: isOwn(socket),
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

/** Notes that the other end of a connection has shown a certificate of this operator. */
export function markOwn(socket: Socket): void {
  Object.assign(socket, { [OWN_PEER]: true })
}

/** Whether the other end of a request's connection has shown a certificate of this operator. */
export function isOwn(socket: Socket): boolean {
  return (socket as { [OWN_PEER]?: boolean })[OWN_PEER] === true
}

/** Whether a request is a gRPC call (wire.md §2, dispatch). */
export function isCall(request: HttpRequest, response: HttpResponse): request is Http2ServerRequest {
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
