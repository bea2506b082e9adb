import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** What the other end sent back, to the byte. */
export interface RawReply {
  /** As Latin-1. */
  readonly text: string
  /** Of the last answer that is not 1xx; 0 without one. */
  readonly status: number
}

/** Where a raw client connects; the host is the loopback unless given. */
export interface RawTarget {
  readonly port: number
  readonly host?: string
}

/** How a raw client leaves once it has sent everything. */
export type Leaving = 'waits' | 'half-closes' | 'closes' | 'resets'

/** Opens a TCP connection whose later failures are nobody's concern. */
export async function openRaw({ port, host = '127.0.0.1' }: RawTarget): Promise<Socket> {
  const socket = connect({ port, host, noDelay: true })
  await once(socket, 'connect')
  socket.on('error', () => {})
  return socket
}

/**
 * Sends bytes over a TCP connection as a program would that writes HTTP by hand, and collects what comes back until
 * the other end closes. A client that waits needs an answer that ends its connection.
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
