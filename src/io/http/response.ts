import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished } from 'node:stream/promises'

/** A client that reads nothing for this long is disconnected. */
const STALLED_MS = 30_000

/** Sends a complete answer with its length. */
export function sendBytes(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array | string,
): void {
  if (response.headersSent || response.destroyed) return
  watchReader(response)
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  response.writeHead(status, { ...headers, 'Content-Length': bytes.length })
  response.end(bytes)
}

/** Sends an answer without a body. */
export function sendEmpty(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, headers)
  response.end()
}

/** Sends one line of text, the form of errors (gateway.md §3), and further lines where there is more to say. */
export function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  more: readonly string[] = [],
): void {
  sendBytes(response, status, textHeaders, [text, ...more].map(lineOf).join(''))
}

/**
 * Sends one line of text to a client that is still sending. The rest of its body is discarded until it ends or
 * `patience` does, so that the line arrives before the connection is closed.
 */
export async function sendTextEarly(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
  patience: Promise<void>,
): Promise<void> {
  if (response.headersSent || response.destroyed) return
  const line = Buffer.from(lineOf(text))
  response.writeHead(status, { ...textHeaders, 'Content-Length': line.length })
  response.write(line)
  const sent = Promise.withResolvers<void>()
  request.once('end', sent.resolve).once('close', sent.resolve).resume()
  if (!request.complete) await Promise.race([sent.promise, patience])
  response.end()
  if (!request.complete) request.socket.destroy()
}

const textHeaders = { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' }

function lineOf(text: string): string {
  return `${text.replace(/[\r\n\0]/g, ' ')}\n`
}

/** Sends an answer in pieces, without joining them; rejects when the client disconnects. */
export async function sendPieces(
  response: ServerResponse,
  headers: Readonly<Record<string, string>>,
  pieces: Iterable<Uint8Array>,
): Promise<void> {
  watchReader(response)
  response.writeHead(200, headers)
  // The pieces are in memory anyway: waiting for the reader would save nothing and cost more than sending.
  for (const piece of pieces) response.write(piece)
  response.end()
  await finished(response)
}

function watchReader(response: ServerResponse): void {
  response.setTimeout(STALLED_MS, () => response.socket?.destroy())
  response.once('finish', () => response.setTimeout(0))
}
