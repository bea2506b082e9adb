import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'

/**
 * An HTTP/1.1 server that still answers a client that closes its half of the connection after the request, as
 * publishers and scripts do, and reads all that a client sent before it left.
 */
export function createHalfOpenServer(
  options: ServerOptions,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const readers = new WeakMap<Socket, LastReader>()
  const server = createServer(options, (request, response) => {
    readers.get(request.socket)?.reads(request)
    onRequest(request, response)
  })
  server.on('connection', (socket) => readers.set(socket, new LastReader(socket)))
  // Node reads this option when a client half-closes; its type declarations omit it.
  return Object.assign(server, { httpAllowHalfOpen: true })
}

/** Connections on which an answer could not be written. */
const unheard = new WeakSet<Socket>()

/**
 * Keeps a failed write from ending a connection before its last request is read. FFmpeg with `-http_persistent` sends
 * segments ahead of the answers and closes after the last one. The first answer is met with a reset, the second cannot
 * be written, and Node would destroy the socket with complete requests still unread in the kernel.
 */
class LastReader {
  readonly #socket: Socket
  /** Those that are not read, and those that have no body. */
  readonly #requests = new Set<IncomingMessage>()

  constructor(socket: Socket) {
    this.#socket = socket
    const write = socket._write.bind(socket)
    const writev = socket._writev?.bind(socket)
    socket._write = (chunk, encoding, done) => write(chunk, encoding, this.#forgiving(done))
    if (writev) socket._writev = (chunks, done) => writev(chunks, this.#forgiving(done))
  }

  reads(request: IncomingMessage): void {
    this.#requests.add(request)
    const onRead = () => {
      this.#requests.delete(request)
      this.#leaveIfAllIsRead()
    }
    request.once('end', onRead).once('close', onRead)
  }

  #forgiving(done: (error?: Error | null) => void): typeof done {
    return (error) => {
      if (!isClosedByPeer(error) || this.#isAllRead()) return done(error)
      if (!unheard.has(this.#socket)) this.#socket.once('end', () => this.#leaveIfAllIsRead())
      unheard.add(this.#socket)
      done()
    }
  }

  #isAllRead(): boolean {
    if (!this.#socket.readableEnded) return false
    return this.#requests.values().every(({ complete, readableLength }) => complete && readableLength === 0)
  }

  #leaveIfAllIsRead(): void {
    if (unheard.has(this.#socket) && this.#isAllRead()) this.#socket.destroy()
  }
}

function isClosedByPeer(error: Error | null | undefined): boolean {
  return error != null && 'code' in error && (error.code === 'EPIPE' || error.code === 'ECONNRESET')
}

/** Whether an answer on this connection, perhaps this one, could not be written because the client had closed it. */
export function isUnheard({ req: { socket } }: ServerResponse): boolean {
  return unheard.has(socket)
}

/**
 * Aborted once the client no longer waits for the answer. A half-close and a full close look the same until something
 * is sent, so both count.
 */
export function departureOf(request: IncomingMessage, response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  const { socket } = request
  const onEnd = () => gone.abort()
  if (socket.readableEnded || socket.destroyed) gone.abort()
  socket.once('end', onEnd)
  response.once('close', () => {
    socket.off('end', onEnd)
    if (!response.writableFinished) gone.abort()
  })
  return gone.signal
}

/**
 * Resolves once everything that has arrived is read. Sending an answer before may lose it: where the client has left,
 * its system then discards what this one has not yet taken.
 */
export async function pendingReads(): Promise<void> {
  // The first ends the turn of the event loop that is under way, the second one that has asked for all sockets anew.
  await setImmediate()
  await setImmediate()
}
