import { randomInt } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** Below the ephemeral ports, which start at 32768. */
const FREE_PORTS = { from: 20_000, to: 32_000 }

/** Where the nodes of a test listen. */
export const LOOPBACK = '127.0.0.1'

/** A TCP forwarder on loopback that can fail and be restored, to simulate a failing network. */
export class TcpLink implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #cut = false
  /** Delay of each piece. */
  #delayMs = 0
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

  /** Restores the link and forwards what was held back. */
  restore(): void {
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
 * A free port on loopback outside the ephemeral range, so that a stopped process finds it free when it is started
 * again.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FREE_PORTS.from, FREE_PORTS.to)
    if (await isFree(port)) return port
  }
}

/** The wanted port if it is free, otherwise another one. */
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
