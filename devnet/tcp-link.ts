import { randomInt } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** Below the ports of outgoing connections, which begin at 32768. */
const FREE_PORTS = { from: 20_000, to: 32_000 }

/** Where the nodes of a test listen. */
export const LOOPBACK = '127.0.0.1'

/** A TCP forwarder on the loopback whose line can be made to fail and mended: what a network that goes away looks like. */
export class TcpLink implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #cut = false
  /** For how long each piece is held back. */
  #delayMs = 0
  /** Until when nothing passes at all. */
  #frozen: PromiseWithResolvers<void> | null = null

  private constructor(server: Server) {
    this.#server = server
  }

  /** Listens on a free port, of that host, and forwards to a port of this machine at 127.0.0.1. */
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

  /** Keeps connections and takes new ones, and lets nothing through. */
  freeze(): void {
    this.#frozen ??= Promise.withResolvers()
  }

  /** Holds back for so long whatever passes, piece by piece. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs
  }

  /** Lets everything through again, also what was held back. */
  mend(): void {
    this.#cut = false
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
    near.pipe(this.#wire()).pipe(far)
    far.pipe(this.#wire()).pipe(near)
  }

  #wire(): Transform {
    return new Transform({
      transform: (piece, _, pass) => {
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

/**
 * A port of the loopback that nobody listens on just now, and that the system gives to no outgoing connection: what is
 * stopped finds its port free when it is started again.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FREE_PORTS.from, FREE_PORTS.to)
    if (await isFree(port)) return port
  }
}

/** The wanted port when it is free, otherwise some free one. */
export async function freePortNear(wanted: number): Promise<number> {
  return (await isFree(wanted)) ? wanted : await freePort()
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const isFree = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, LOOPBACK, () => resolve(true))
  })
  if (isFree) await new Promise((resolve) => server.close(resolve))
  return isFree
}

/** Whether somebody listens on a port of the loopback. */
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
