import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where the nodes of a test listen. */
export const LOOPBACK = '127.0.0.1'

/** A TCP forwarder on loopback that can fail and be restored, to simulate a failing network. */
export class TcpLink implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #cut = false
  /** Delay of each piece. */
  #delayMs = 0
  #pieces = 0
  #cutAt: { readonly piece: number; readonly when: 'before' | 'after' } | null = null
  /** Set while nothing passes; resolves when it is restored. */
  #frozen: PromiseWithResolvers<void> | null = null

  private constructor(server: Server) {
    this.#server = server
  }

  /** Listens on a free port of that host and forwards to a port on 127.0.0.1. */
  static async open(toPort: number, host = LOOPBACK): Promise<TcpLink> {
    const server = createServer()
    const link = new TcpLink(server)
    server.on('connection', (near) => link.#join(near, toPort))
    await new Promise<void>((resolve) => server.listen(0, host, resolve))
    return link
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Drops every connection and refuses new ones. */
  cut(): void {
    this.#cut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Keeps connections and accepts new ones, but forwards nothing. */
  freeze(): void {
    this.#frozen ??= Promise.withResolvers()
  }

  /** Delays everything that passes, piece by piece. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs
  }

  /**
   * Drops the connection on which the piece with this number from now on is sent: before it is forwarded, or instead of the
   * answer to it. Other connections stay, and new ones are accepted.
   */
  cutAt(piece: number, when: 'before' | 'after'): void {
    this.#pieces = 0
    this.#cutAt = { piece, when }
  }

  /** How many pieces were sent since `cutAt`, answers not counted. */
  get pieces(): number {
    return this.#pieces
  }

  /** Restores the link and forwards what was held back. */
  restore(): void {
    this.#cut = false
    this.#cutAt = null
    this.#delayMs = 0
    this.#frozen?.resolve()
    this.#frozen = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(near: Socket, toPort: number): void {
    if (this.#cut) return void near.destroy()
    const far = connect(toPort, LOOPBACK)
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        this.#sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    let isDoomed = false
    const isSent = () => {
      const isLast = ++this.#pieces === this.#cutAt?.piece
      isDoomed ||= isLast && this.#cutAt?.when === 'after'
      return isLast && this.#cutAt?.when === 'before'
    }
    const drop = () => near.destroy()
    near.pipe(this.#wire(isSent, drop)).pipe(far)
    far.pipe(this.#wire(() => isDoomed, drop)).pipe(near)
  }

  #wire(isLast: () => boolean, drop: () => void): Transform {
    return new Transform({
      transform: (piece, _, pass) => {
        if (isLast()) return drop()
        if (!this.#frozen && this.#delayMs === 0) return pass(null, piece)
        void this.#held().then(() => pass(null, piece))
      },
    })
  }

  async #held(): Promise<void> {
    if (this.#delayMs > 0) await sleep(this.#delayMs)
    await this.#frozen?.promise
  }
}

/** Whether a port on loopback accepts connections. */
export function canConnect(port: number, host = LOOPBACK): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
