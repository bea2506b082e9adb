import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  createSecureServer,
  connect as http2Connect,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { makeIdentity } from '../../src/io/rpc/tls.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'

/**
 * What a balancer in HTTP mode makes of a segment. `unseen`: it cuts the connection before a node has the request. `lost`: a node answers, which the gateway never hears. `broken`: the status comes,
 * and nothing more. The numbers answer for a node: 502 before one was asked, 504 after it has answered.
 */
export type Mishap = 'unseen' | 'lost' | 'broken' | 'empty' | 'truncated' | 502 | 503 | 504

/** A TLS balancer that picks a node for each request, as HAProxy does in HTTP mode; with mishaps of its own. */
export class HttpBalancer implements AsyncDisposable {
  readonly #server = createSecureServer({
    ...makeIdentity('localhost', { clock: systemClock, dice: systemDice }),
    maxHeaderListPairs: 200,
  })
  readonly #sockets = new Set<Socket>()
  /** The nodes behind it, on loopback. */
  ports: readonly number[] = []
  #next = 0
  /** What it makes of the next segment; of those after it nothing. */
  mishap: Mishap | null = null
  /** What it makes of every segment. */
  always: Mishap | null = null
  segments = 0

  private constructor() {
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#sockets.delete(socket))
    })
    this.#server.on('sessionError', () => {})
    this.#server.on('stream', (stream, headers) => void this.#serve(stream, headers))
  }

  /** Listens on a port of loopback, by default a free one. */
  static async open(port = 0): Promise<HttpBalancer> {
    const balancer = new HttpBalancer()
    await new Promise<void>((resolve) => balancer.#server.listen(port, '127.0.0.1', resolve))
    return balancer
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #serve(near: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    near.on('error', () => {})
    const isSegment = headers[':path'] === '/segment'
    const mishap = isSegment ? (this.always ?? this.mishap) : null
    if (isSegment) {
      this.mishap = null
      this.segments++
    }
    if (mishap === 'unseen') {
      near.session?.destroy()
      return
    }
    if (mishap === 502 || mishap === 503) {
      this.#answerItself(near, mishap)
      return
    }
    void this.#connect(near).then((node) => {
      if (node && !near.destroyed) this.#forward(near, headers, node, mishap)
      else node?.destroy()
    })
  }

  /** A connection to the next node that accepts one; null after an answer of its own where none does. */
  async #connect(near: ServerHttp2Stream): Promise<ClientHttp2Session | null> {
    for (let tries = 0; tries < this.ports.length; tries++) {
      const node = http2Connect(`https://127.0.0.1:${this.ports[this.#next++ % this.ports.length]!}`, {
        rejectUnauthorized: false,
        maxSendHeaderBlockLength: 2 ** 21,
      })
      const isOpen = await new Promise<boolean>((resolve) => {
        node.once('connect', () => resolve(true))
        node.on('error', () => resolve(false))
        node.once('close', () => resolve(false))
      })
      if (isOpen) return node
    }
    this.#answerItself(near, 503)
    return null
  }

  #forward(
    near: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    node: ClientHttp2Session,
    mishap: Mishap | null,
  ): void {
    const far = node.request(headers)
    far.on('error', () => {})
    near.pipe(far)
    near.on('close', () => {
      if (mishap === null) node.destroy()
    })
    far.on('close', () => node.destroy())
    far.on('response', (fields) => this.#answer(near, far, fields, mishap))
    far.on('close', () => {
      if (near.destroyed || near.writableEnded) return
      // As HAProxy: the answer of a node that died is a 502, or what there is of it.
      if (near.headersSent) near.end()
      else this.#answerItself(near, 502)
    })
  }

  #answer(
    near: ServerHttp2Stream,
    far: ClientHttp2Stream,
    fields: IncomingHttpHeaders,
    mishap: Mishap | null,
  ): void {
    // However little of it the gateway gets, the node answers.
    if (mishap !== null) far.resume()
    if (near.destroyed) return
    if (mishap === 504) {
      this.#answerItself(near, 504)
      return
    }
    if (mishap === 'lost') {
      far.on('end', () => near.session?.destroy())
      return
    }
    let trailers = {}
    far.on('trailers', (told) => {
      trailers = told
    })
    near.on('wantTrailers', () => near.sendTrailers(trailers))
    near.respond(fields, { waitForTrailers: true })
    if (mishap === 'broken') near.session?.destroy()
    else if (mishap === 'empty') near.end()
    else if (mishap === 'truncated') {
      far.once('data', (piece: Uint8Array) => near.end(piece.subarray(0, piece.length - 50)))
    } else far.pipe(near)
  }

  #answerItself(near: ServerHttp2Stream, status: number): void {
    if (near.destroyed || near.headersSent) return
    near.respond({ ':status': status, 'content-type': 'text/html' })
    near.end(
      `<html><body><h1>${status}</h1>\nThe server returned an invalid or incomplete response.\n</body></html>\n`,
    )
  }
}
