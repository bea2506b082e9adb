import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { readPastFailedWrites } from '../../lib/failed-writes.ts'

/**
 * An HTTP/1.1 server that still answers a client that closes its half of the connection after the request, as
 * publishers and scripts do, and reads all that a client sent before it left.
 */
export function createHalfOpenServer(
  options: ServerOptions,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const server = createServer(options, (request, response) => {
    readers.get(request.socket)?.reads(request)
    onRequest(request, response)
  })
  server.on('connection', (socket) => readers.set(socket, new LastReader(socket)))
  // Node reads this option when a client half-closes; its type declarations omit it.
  return Object.assign(server, { httpAllowHalfOpen: true })
}

const readers = new WeakMap<Socket, LastReader>()

/** Ends a connection on which answers can no longer be written once its last request is read. */
class LastReader {
  readonly #socket: Socket
  /** Requests that are not read to their end. */
  readonly #requests = new Set<IncomingMessage>()
  /** Whether an answer could not be written. */
  isUnheard = false

  constructor(socket: Socket) {
    this.#socket = socket
    readPastFailedWrites(socket, {
      isAllRead: () => this.#isAllRead(),
      onDropped: () => {
        if (!this.isUnheard) socket.once('end', () => this.#leaveIfAllIsRead())
        this.isUnheard = true
      },
    })
  }

  reads(request: IncomingMessage): void {
    this.#requests.add(request)
    const onRead = () => {
      this.#requests.delete(request)
      this.#leaveIfAllIsRead()
    }
    request.once('end', onRead).once('close', onRead)
  }

  #isAllRead(): boolean {
    if (!this.#socket.readableEnded) return false
    return this.#requests.values().every(({ complete, readableLength }) => complete && readableLength === 0)
  }

  #leaveIfAllIsRead(): void {
    if (this.isUnheard && this.#isAllRead()) this.#socket.destroy()
  }
}

/** Whether an answer on this connection, perhaps this one, could not be written because the client had closed it. */
export function isUnheard({ req: { socket } }: ServerResponse): boolean {
  return readers.get(socket)?.isUnheard === true
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
 * Resolves once everything that has arrived is read. If the client has left, an answer resets its connection, and what
 * is still on its way is lost: less is, the more was read before.
 */
export async function pendingReads(): Promise<void> {
  // The first ends the turn of the event loop that is under way, the second one that has asked for all sockets anew.
  await setImmediate()
  await setImmediate()
}
