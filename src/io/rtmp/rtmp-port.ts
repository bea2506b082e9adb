import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf } from '../../lib/errors.ts'
import { readPastFailedWrites } from '../../lib/failed-writes.ts'
import { listen } from '../../lib/listen.ts'
import type { Log } from '../../lib/log.ts'
import { hostOf } from '../../lib/peer-host.ts'
import { PeerLimits } from '../../lib/peer-limits.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { MediaHub } from './media-hub.ts'
import { RtmpCertificateFolder } from './rtmp-certificate.ts'
import { type PublishedStreams, RtmpConnection } from './rtmp-connection.ts'

const MAX_CONNECTIONS = 2_000
/** One host may be a relay in front of all publishers, or have many viewers behind it. */
const MAX_CONNECTIONS_PER_HOST = 500
/** Bytes of messages and segments that have begun or are at work, of all clients together. */
const MAX_BYTES_HELD = 1_000_000_000
/** Once half of them are held, a publisher that has more than this part of them is refused; the rest is for the others. */
const FAIR_PARTS = 64
/** Bytes that wait to be read, of all clients together: players of one that is slow hold no more than this and their fair part. */
const MAX_BYTES_UNSENT = 512_000_000
const TICK_MS = 1_000
/** A client has this long to agree on TLS. */
const HANDSHAKE_MS = 10_000
const LOOK_FOR_CERTIFICATE_MS = 10_000

/** Settings of the RTMP port. Tests lower the limits. */
export interface RtmpPortOptions {
  readonly host: string
  readonly port: number
  /** `-maxSegmentDuration`. */
  readonly maxDurationMs: number
  /** The folder with the certificate, for rtmps; null or absent: without TLS. */
  readonly certFolder?: string | null
  /** Whether the gateway runs without the port if something else has it. */
  readonly isOptional?: boolean
  readonly maxConnections?: number
  readonly maxConnectionsPerHost?: number
  readonly maxBytesHeld?: number
  readonly maxBytesUnsent?: number
}

/** What the port depends on. */
export interface RtmpPortNeeds {
  readonly gateway: PublishedStreams
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
}

/** The port for publishers and players over RTMP (gateway.md §2). */
export class RtmpPort implements Service {
  readonly name = 'gateway RTMP'
  readonly #options: RtmpPortOptions
  readonly #needs: RtmpPortNeeds
  readonly #connections = new Map<RtmpConnection, Socket>()
  /** Sockets of all connections, also of those that have not agreed on TLS. */
  readonly #open = new Set<Socket>()
  readonly #hosts: PeerLimits
  /** By the name of the stream. */
  readonly #hubs = new Map<string, MediaHub>()
  #bytesHeld = 0
  #bytesUnsent = 0
  #port = 0

  constructor(options: RtmpPortOptions, needs: RtmpPortNeeds) {
    this.#options = options
    this.#needs = needs
    const streams = options.maxConnectionsPerHost ?? MAX_CONNECTIONS_PER_HOST
    this.#hosts = new PeerLimits({ callsPerSecond: 0, burst: 0, streams }, needs)
  }

  /** The port, once started. */
  get port(): number {
    return this.#port
  }

  /** Bytes of messages and segments that have begun or are at work. */
  get bytesHeld(): number {
    return this.#bytesHeld
  }

  /** Bytes that wait to be read by clients. */
  get bytesUnsent(): number {
    return this.#bytesUnsent
  }

  /** Open connections. */
  get connections(): number {
    return this.#connections.size
  }

  async start(scope: Scope): Promise<void> {
    const { certFolder = null } = this.#options
    const server = certFolder === null ? this.#plainServer(scope) : await this.#tlsServer(certFolder, scope)
    server.maxConnections = this.#options.maxConnections ?? MAX_CONNECTIONS
    try {
      this.#port = await listen(server, this.#options, { who: 'the gateway', flag: '-rtmpAddr' })
    } catch (error) {
      if (!this.#options.isOptional) throw error
      this.#needs.log.warn('RTMP is off', { reason: messageOf(error) })
      return
    }
    scope.spawn('time limits', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(TICK_MS, signal)
        for (const connection of [...this.#connections.keys()]) connection.tick()
      }
    })
    scope.defer(() => this.#close(server))
  }

  #plainServer(scope: Scope): Server {
    return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      if (this.#admit(socket)) this.#accept(socket, scope)
    })
  }

  /** Throws NodeError `bad-rtmp-cert`. */
  async #tlsServer(folder: string, scope: Scope): Promise<TlsServer> {
    const { clock, log } = this.#needs
    const certificates = new RtmpCertificateFolder(folder, { clock, log })
    const { cert, key } = await certificates.read()
    const options = { cert, key, noDelay: true, handshakeTimeout: HANDSHAKE_MS }
    const server = createTlsServer(options, (socket) => this.#accept(socket, scope))
    // Counted before the handshake, which is the costly part.
    server.on('connection', (socket: Socket) => void this.#admit(socket))
    server.on('tlsClientError', (error, socket) => {
      log.debug('RTMP client refused', { reason: messageOf(error), host: hostOf(socket.remoteAddress) })
      socket.destroy()
    })
    scope.spawn('RTMP certificate', async (signal) => {
      for (;;) {
        await clock.sleep(LOOK_FOR_CERTIFICATE_MS, signal)
        const changed = await certificates.changed()
        if (changed) server.setSecureContext({ cert: changed.cert, key: changed.key })
      }
    })
    return server
  }

  /** Counts a connection while it is open, or closes it; false where its host has too many. */
  #admit(socket: Socket): boolean {
    const host = hostOf(socket.remoteAddress)
    const leave = this.#hosts.takeStream(host)
    if (leave === null) {
      this.#needs.log.debug('RTMP client refused', { reason: 'too many connections of one host', host })
      socket.on('error', () => {})
      socket.destroy()
      return false
    }
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
      leave()
    })
    return true
  }

  #accept(socket: Socket, scope: Scope): void {
    const { clock, dice, gateway, log } = this.#needs
    readPastFailedWrites(socket)
    const connection = new RtmpConnection(socket, {
      ...{ clock, dice, gateway, log, hubs: this.#hubs },
      options: { maxDurationMs: this.#options.maxDurationMs },
      held: (change, own) => {
        this.#bytesHeld += change
        const most = this.#options.maxBytesHeld ?? MAX_BYTES_HELD
        return change <= 0 || this.#bytesHeld <= (own <= most / FAIR_PARTS ? most : most / 2)
      },
      unsent: (change) => {
        this.#bytesUnsent += change
        return this.#bytesUnsent <= (this.#options.maxBytesUnsent ?? MAX_BYTES_UNSENT)
      },
      spawn: (name, work) => scope.spawn(name, work),
    })
    this.#connections.set(connection, socket)
    socket.once('close', () => this.#connections.delete(connection))
  }

  async #close(server: Server): Promise<void> {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of [...this.#connections.values(), ...this.#open]) socket.destroy()
    await closed
  }
}
