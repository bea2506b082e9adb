import type { Socket } from 'node:net'
import { hostOf } from '../../lib/peer-host.ts'

/** Marks a socket with its connection; HTTP/2 hides the socket itself but passes on its properties. */
const CONNECTION = Symbol('connection')

/** How many connections there may be, and how long one may stay without a request. */
export interface ConnectionLimitOptions {
  readonly connections: number
  readonly perHost: number
  /** From the connection to its first request, including the TLS handshake. */
  readonly firstRequestMs: number
}

/** One connection of a peer. */
export interface PeerConnection {
  readonly host: string
  /** Counts an exchange; the returned function ends it. */
  begin(): () => void
  /** The peer has proven that it belongs to the operator: its connection is not counted and not closed for others. */
  trust(): void
  readonly isTrusted: boolean
}

interface Host {
  connections: number
  /** Connections without an exchange, in the order they became idle. */
  readonly idle: Set<Connection>
}

/**
 * The connections of an endpoint. If a host or all hosts together have reached their limit, a new connection replaces
 * the one that has been idle longest, so that idle connections keep no peer away; if all are busy the new one is
 * refused. One address may be a balancer with all peers behind it, so busy connections are never closed.
 */
export class ConnectionLimits {
  readonly #options: ConnectionLimitOptions
  readonly #hosts = new Map<string, Host>()
  readonly #idle = new Set<Connection>()
  /** By address and port of the peer. */
  readonly #open = new Map<string, Connection>()

  constructor(options: ConnectionLimitOptions) {
    this.#options = options
  }

  /** Number of open connections. */
  get size(): number {
    return this.#open.size
  }

  /** Counts an accepted connection; false if there is no room for it. */
  accept(socket: Socket): boolean {
    // It is closed already.
    if (socket.remoteAddress === undefined) return false
    const name = hostOf(socket.remoteAddress)
    const host = this.#hosts.get(name) ?? { connections: 0, idle: new Set() }
    const { connections, firstRequestMs, perHost } = this.#options
    if (host.connections >= perHost && !evict(host.idle)) return false
    if (this.#open.size >= connections && !evict(this.#idle)) return false
    this.#hosts.set(name, host)
    const connection = new Connection(socket, { name, host, idle: this.#idle, firstRequestMs })
    const key = keyOf(socket)
    this.#open.set(key, connection)
    Object.assign(socket, { [CONNECTION]: connection })
    socket.once('close', () => {
      this.#open.delete(key)
      connection.close()
      if (host.connections === 0 && this.#hosts.get(name) === host) this.#hosts.delete(name)
    })
    return true
  }

  /** Marks the TLS socket of an accepted connection. */
  secured(socket: Socket): void {
    const connection = this.#open.get(keyOf(socket))
    if (connection) Object.assign(socket, { [CONNECTION]: connection })
  }
}

/** The connection of a request's socket; null once it is closed. */
export function connectionOf(socket: Socket | undefined): PeerConnection | null {
  try {
    return (socket as { [CONNECTION]?: PeerConnection } | undefined)?.[CONNECTION] ?? null
  } catch {
    // HTTP/2 has detached the socket already.
    return null
  }
}

class Connection implements PeerConnection {
  readonly host: string
  isTrusted = false
  readonly #socket: Socket
  readonly #host: Host
  readonly #idle: Set<Connection>
  readonly #first: NodeJS.Timeout
  #exchanges = 0
  #isClosed = false

  constructor(
    socket: Socket,
    facts: { name: string; host: Host; idle: Set<Connection>; firstRequestMs: number },
  ) {
    this.host = facts.name
    this.#socket = socket
    this.#host = facts.host
    this.#idle = facts.idle
    this.#host.connections++
    this.#first = setTimeout(() => this.evict(), facts.firstRequestMs)
    this.#rest()
  }

  begin(): () => void {
    clearTimeout(this.#first)
    this.#exchanges++
    this.#wake()
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#exchanges--
      if (this.#exchanges === 0) this.#rest()
    }
  }

  trust(): void {
    if (this.isTrusted || this.#isClosed) return
    this.isTrusted = true
    this.#host.connections--
    this.#wake()
  }

  evict(): void {
    this.#socket.destroy()
    this.close()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#first)
    this.#wake()
    if (!this.isTrusted) this.#host.connections--
  }

  #rest(): void {
    if (this.#isClosed || this.isTrusted) return
    this.#idle.add(this)
    this.#host.idle.add(this)
  }

  #wake(): void {
    this.#idle.delete(this)
    this.#host.idle.delete(this)
  }
}

/** Closes the connection that has been idle longest; false if none is idle. */
function evict(idle: ReadonlySet<Connection>): boolean {
  for (const connection of idle) {
    connection.evict()
    return true
  }
  return false
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
