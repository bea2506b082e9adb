import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** The exact bytes that the peer sent back. */
export interface RawReply {
  /** As Latin-1. */
  readonly text: string
  /** Status of the last answer that is not 1xx; 0 without one. */
  readonly status: number
}

/** Where a raw client connects; by default on loopback. */
export interface RawTarget {
  readonly port: number
  readonly host?: string
}

/** How a raw client disconnects once it has sent everything. */
export type Leaving = 'waits' | 'half-closes' | 'closes' | 'resets'

/** Opens a TCP connection whose later errors are ignored. */
export async function openRaw({ port, host = '127.0.0.1' }: RawTarget): Promise<Socket> {
  const socket = connect({ port, host, noDelay: true })
  await once(socket, 'connect')
  socket.on('error', () => {})
  return socket
}

/**
 * Sends bytes over a TCP connection, like a program that writes HTTP by hand, and collects the reply until the peer
 * closes. A client that waits needs an answer that ends its connection.
 */
export async function sendRaw(
  target: RawTarget,
  pieces: readonly (string | Uint8Array)[],
  leaving: Leaving = 'waits',
): Promise<RawReply> {
  const socket = await openRaw(target)
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  const closed = once(socket, 'close')
  for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve))
  if (leaving === 'half-closes') socket.end()
  else if (leaving === 'closes') socket.destroy()
  else if (leaving === 'resets') socket.resetAndDestroy()
  await closed
  return { text, status: lastStatus(text) }
}

function lastStatus(text: string): number {
  const statuses = [...text.matchAll(/(?:^|\r\n)HTTP\/1\.[01] (\d{3})/g)].map(([, digits]) => Number(digits))
  return statuses.findLast((status) => status >= 200) ?? 0
}
