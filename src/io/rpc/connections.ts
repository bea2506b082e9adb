import type { ClientHttp2Session } from 'node:http2'
import type { Reach } from '../../domain/segment.ts'
import { abortError } from '../../lib/errors.ts'
import { unlessAborted } from '../../lib/patience.ts'
import type { OwnCerts } from './own-certs.ts'
import {
  ExchangeError,
  exchangeHttp1,
  exchangeHttp2,
  type NameLookup,
  openSession,
  openSocket,
  type PeerRequest,
  type PeerResponse,
  protocolOf,
  wasUntaken,
} from './peer-exchange.ts'

/** Streams on one connection before another one is opened; Go servers allow 250. */
const MAX_STREAMS = 100
/** How long an unused connection is kept. */
const IDLE_MS = 60_000
/** How often a request that no peer took is sent over another connection, each time a new one if need be. */
const MAX_REPEATS = 3
/** Statuses of a balancer that reached no node; the next connection may reach one. */
const NO_NODE: ReadonlySet<number> = new Set([502, 503, 504])
/** Hosts remembered as speaking only HTTP/1.1. */
const MAX_HTTP1_ORIGINS = 1_000

/** A connection shared by requests, from the moment it is opened. */
interface Shared {
  /** The session; null if the peer speaks only HTTP/1.1. */
  readonly opened: Promise<ClientHttp2Session | null>
  session: ClientHttp2Session | null
  /** Accepts no more requests; running ones continue. */
  retire(): void
  /** Requests that are running or waiting for the connection to open. */
  requests: number
  idle: NodeJS.Timeout | null
}

/**
 * Connections to peers, whose certificates are not verified (wire.md §2) unless they are the operator's own nodes.
 * HTTP/2 connections are shared by requests; HTTP/1.1 uses a connection each. No request that a peer may have taken is
 * sent twice (wire.md §18, 6); one that it did not take, such as one above the last stream of a GOAWAY, is sent over
 * another connection. A connection on which an exchange broke off, or reached no node, is used no longer: what runs on
 * it continues.
 */
export class Connections {
  readonly #connectMs: number
  readonly #own: OwnCerts | null
  readonly #names: NameLookup
  readonly #shared = new Map<string, Set<Shared>>()
  readonly #http1 = new Set<string>()

  constructor(options: {
    connectMs: number /** Null for no verification. */
    own?: OwnCerts | null
    names?: NameLookup
  }) {
    this.#names = options.names ?? {}
    this.#connectMs = options.connectMs
    this.#own = options.own ?? null
  }

  /** Sends a request and reads the answer. Throws ExchangeError, or an AbortError when the signal was aborted. */
  async exchange(request: PeerRequest, signal: AbortSignal): Promise<PeerResponse> {
    if (signal.aborted) throw abortError(signal)
    const { reach, url } = request
    const { protocol, origin } = url
    for (let repeats = 0; protocol === 'https:' && !this.#http1.has(origin); repeats++) {
      const shared = this.#take(url, reach)
      try {
        const response = await this.#over(shared, request, signal)
        if (response) return response
        break
      } catch (error) {
        if (!wasUntaken(error) || repeats === MAX_REPEATS) throw error
      } finally {
        this.#giveBack(shared)
      }
    }
    const protocols = ['http/1.1']
    const timeoutMs = this.#connectMs
    const own = this.#own
    const socket = await openSocket(url, { protocols, timeoutMs, signal, own, names: this.#names, reach })
    return exchangeHttp1(socket, request, signal)
  }

  /** Null if the peer speaks only HTTP/1.1. */
  async #over(shared: Shared, request: PeerRequest, signal: AbortSignal): Promise<PeerResponse | null> {
    let answered = false
    const onStatus = (status: number) => {
      answered = true
      request.onStatus?.(status)
    }
    try {
      const session = await unlessAborted(shared.opened, signal)
      if (!session) return null
      const response = await exchangeHttp2(session, { ...request, onStatus }, signal)
      const { body, status } = response
      if (NO_NODE.has(status) || (status === 200 && body.length === 0)) shared.retire()
      return response
    } catch (error) {
      // The peer may have vanished silently.
      if (!answered || isBrokenOff(error)) shared.retire()
      throw error
    }
  }

  /** Closes all connections. */
  close(): void {
    for (const all of this.#shared.values()) {
      for (const shared of all) {
        if (shared.idle) clearTimeout(shared.idle)
        shared.opened.then(
          (session) => session?.destroy(),
          () => {},
        )
      }
    }
    this.#shared.clear()
  }

  /** A connection with room for one more request, which is counted at once. */
  #take(url: URL, reach: Reach | undefined): Shared {
    const key = keyOf(url, reach)
    const all = this.#shared.get(key) ?? new Set()
    this.#shared.set(key, all)
    let shared: Shared | undefined
    for (const candidate of all) {
      const { session, requests } = candidate
      if (requests < MAX_STREAMS && !session?.closed && !session?.destroyed) shared = candidate
    }
    if (!shared) {
      shared = this.#open(url, reach, all)
      all.add(shared)
    }
    shared.requests++
    if (shared.idle) clearTimeout(shared.idle)
    shared.session?.ref()
    return shared
  }

  #giveBack(shared: Shared): void {
    shared.requests--
    const { session } = shared
    if (shared.requests > 0 || !session || session.destroyed) return
    // An unused connection does not keep the process alive.
    session.unref()
    shared.idle = setTimeout(() => session.close(), IDLE_MS).unref()
  }

  #open(url: URL, reach: Reach | undefined, all: Set<Shared>): Shared {
    const key = keyOf(url, reach)
    const forget = (shared: Shared) => {
      all.delete(shared)
      if (all.size === 0 && this.#shared.get(key) === all) this.#shared.delete(key)
      if (shared.idle) clearTimeout(shared.idle)
    }
    const connect = async () => {
      try {
        // Several requests may wait for it, so none of them can cancel it.
        const socket = await openSocket(url, {
          protocols: ['h2', 'http/1.1'],
          timeoutMs: this.#connectMs,
          signal: null,
          own: this.#own,
          names: this.#names,
          reach,
        })
        if (protocolOf(socket) === 'h2') {
          shared.session = openSession(url, socket)
          shared.session.on('close', () => forget(shared))
          return shared.session
        }
        socket.destroy()
        if (this.#http1.size >= MAX_HTTP1_ORIGINS) this.#http1.clear()
        this.#http1.add(url.origin)
        forget(shared)
        return null
      } catch (error) {
        forget(shared)
        throw error
      }
    }
    const opened = Promise.resolve().then(connect)
    opened.catch(() => {})
    const shared: Shared = {
      opened,
      session: null,
      retire: () => {
        forget(shared)
        opened.then(
          (session) => session?.close(),
          () => {},
        )
      },
      requests: 0,
      idle: null,
    }
    return shared
  }
}

/** A connection that may have gone to any address is not used for requests limited to public ones. */
function keyOf({ origin }: URL, reach: Reach | undefined): string {
  return `${reach ?? 'any'} ${origin}`
}

function isBrokenOff(error: unknown): boolean {
  return error instanceof ExchangeError && error.code === 'unreachable'
}
