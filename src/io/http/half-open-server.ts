import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'

/**
 * An HTTP/1.1 server that still answers a client that closes its half of the connection after the request, as
 * publishers and scripts do.
 */
export function createHalfOpenServer(
  options: ServerOptions,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  // Node reads this option when a client half-closes; its type declarations omit it.
  return Object.assign(createServer(options, onRequest), { httpAllowHalfOpen: true })
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
