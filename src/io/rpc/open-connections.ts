import type { Server as Http1Server, ServerResponse } from 'node:http'
import type { ServerHttp2Session } from 'node:http2'
import type { Server, Socket } from 'node:net'
import type { ConnectionLoad } from '../../domain/load-shares.ts'
import type { Clock } from '../../lib/clock.ts'
import { connectionOf } from './connection-limits.ts'

/**
 * How long a connection may take for what it is left open for: over HTTP/1.1 one more request, which is answered with
 * `Connection: close`; over HTTP/2 the peer's own end.
 */
const GRACE_MS = 3_000
/** Where no HTTP/1.1 request was answered for this long, none is expected any more. */
const QUIET_MS = 5_000
/** A new HTTP/2 connection takes requests for at least this long: those for which its peer has opened it. */
const FIRST_REQUESTS_MS = 500
const RECENT_MS = 5_000
const POLL_MS = 20
/** Turns of the event loop in which connections that wait in the kernel are accepted; a turn accepts one. */
const MAX_ACCEPTING_TURNS = 1_000

interface SessionFacts {
  readonly id: number
  readonly openedMs: number
  readonly uploads: RecentCount
}

/** How long leaving may take. */
export interface LeavingLimits {
  /** For the exchanges that run. */
  readonly limitMs: number
  /** For connections without one; 3 s unless given. */
  readonly graceMs?: number
}

/**
 * The open connections of an endpoint, and how they are given up without a request being lost: peers are told that no
 * further request is taken, and open a new connection for the next one, which leads to another node behind a balancer.
 */
export class OpenConnections {
  readonly #clock: Clock
  readonly #http1: Http1Server
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Map<ServerHttp2Session, SessionFacts>()
  #lastId = 0
  /** Answers over HTTP/1.1 whose exchange is not over. */
  readonly #answers = new Set<ServerResponse>()
  #accepted = 0
  #exchanges = 0
  /** When the last exchange ended, over either version. */
  #lastMs = Number.NEGATIVE_INFINITY
  #lastHttp1Ms = Number.NEGATIVE_INFINITY
  #isLeaving = false
  /** Whether own nodes stay while it leaves. */
  #keepsOwn = false

  constructor(http1: Http1Server, clock: Clock) {
    this.#clock = clock
    this.#http1 = http1
  }

  /** Adds a connection of any protocol, before its TLS handshake. */
  add(socket: Socket): void {
    this.#accepted++
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
  }

  /** Adds the session of an HTTP/2 connection. While the endpoint leaves it is closed after its first requests. */
  addSession(session: ServerHttp2Session): void {
    this.#sessions.set(session, {
      ...{ id: ++this.#lastId, openedMs: this.#clock.now() },
      uploads: new RecentCount(this.#clock),
    })
    session.on('close', () => this.#sessions.delete(session))
    if (this.#isLeaving) this.#closeSession(session, FIRST_REQUESTS_MS)
  }

  /** Counts an upload over an HTTP/2 connection. */
  uploaded(session: ServerHttp2Session | undefined): void {
    if (session) this.#sessions.get(session)?.uploads.add()
  }

  /** The HTTP/2 connections of peers over which something was uploaded lately; not those of the operator's own nodes. */
  get loads(): readonly ConnectionLoad[] {
    const now = this.#clock.now()
    return [...this.#sessions]
      .filter(([session]) => !session.closed && !isOwn(session))
      .map(([, { id, openedMs, uploads }]) => ({ id, segments: uploads.count, ageMs: now - openedMs }))
      .filter(({ segments }) => segments > 0)
  }

  /** Sends GOAWAY on these connections, which are closed once their streams are finished. */
  move(ids: readonly number[]): void {
    for (const [session, { id }] of this.#sessions) if (ids.includes(id)) session.close()
  }

  /** Counts an exchange; the returned function ends it. */
  begin(http1: ServerResponse | null): () => void {
    this.#exchanges++
    if (http1) {
      this.#answers.add(http1)
      if (this.#isLeaving) http1.shouldKeepAlive = false
    }
    return () => {
      this.#exchanges--
      this.#lastMs = this.#clock.now()
      if (!http1) return
      this.#answers.delete(http1)
      this.#lastHttp1Ms = this.#lastMs
    }
  }

  /**
   * Stops listening right after a turn of the event loop that accepted no connection: those that the kernel has taken for
   * this process would be cut.
   */
  async stopAccepting(server: Server): Promise<void> {
    let before: number
    let turns = 0
    do {
      before = this.#accepted
      await new Promise((resolve) => setImmediate(resolve))
    } while (this.#accepted > before && ++turns < MAX_ACCEPTING_TURNS)
    server.close()
  }

  /** Keeps further connections open again. */
  stay(): void {
    this.#isLeaving = false
  }

  /**
   * Sends GOAWAY on every HTTP/2 connection and `Connection: close` with every HTTP/1.1 answer, also on those that are
   * opened from now on, once they have had their first requests. Those of the operator's own nodes stay.
   */
  turnAway(): void {
    this.#keepsOwn = true
    this.#close(FIRST_REQUESTS_MS)
  }

  /**
   * Turns away all peers, and resolves once all connections are closed and what ran is finished, or the limit is over.
   * Rejects when the signal is aborted.
   */
  async leave({ limitMs, graceMs = GRACE_MS }: LeavingLimits, signal?: AbortSignal): Promise<void> {
    const startMs = this.#clock.now()
    const since = (ms: number) => this.#clock.now() - ms
    this.#keepsOwn = false
    this.#close(Math.min(FIRST_REQUESTS_MS, graceMs / 2))
    if (startMs - this.#lastHttp1Ms >= QUIET_MS) this.#http1.closeIdleConnections()
    const isDone = () => {
      if (this.#sockets.size === 0) return true
      if (this.#exchanges > 0 || this.#areEnding) return false
      return since(Math.max(startMs, this.#lastMs)) >= graceMs
    }
    while (!isDone() && since(startMs) < limitMs) await this.#clock.sleep(POLL_MS, signal)
    if (this.#exchanges === 0) this.destroy()
  }

  /** Cuts all connections. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /**
   * Whether a peer has not taken all that was sent to it over HTTP/2: an exchange is over for Node once its last bytes wait to
   * be sent. A connection that is cut before its peer closes it loses them, also those in the kernel if the peer still writes.
   */
  get #areEnding(): boolean {
    return [...this.#sessions.keys()].some((session) => session.closed)
  }

  #close(firstMs: number): void {
    this.#isLeaving = true
    for (const session of this.#sessions.keys()) this.#closeSession(session, firstMs)
    for (const answer of this.#answers) answer.shouldKeepAlive = false
  }

  /** Sends GOAWAY, and closes the connection once its streams are finished; a new one is given time for its first. */
  #closeSession(session: ServerHttp2Session, firstMs: number): void {
    const closeNow = () => {
      if (this.#isLeaving && !session.destroyed && !(this.#keepsOwn && isOwn(session))) session.close()
    }
    const waitMs = (this.#sessions.get(session)?.openedMs ?? 0) + firstMs - this.#clock.now()
    if (waitMs <= 0) closeNow()
    else this.#clock.sleep(waitMs).then(closeNow, () => {})
  }
}

/** Counts events of the last five to ten seconds. */
class RecentCount {
  readonly #clock: Clock
  #bucket = 0
  #now = 0
  #before = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(): void {
    this.#turn()
    this.#now++
  }

  get count(): number {
    this.#turn()
    return this.#now + this.#before
  }

  #turn(): void {
    const bucket = Math.floor(this.#clock.now() / RECENT_MS)
    if (bucket === this.#bucket) return
    this.#before = bucket === this.#bucket + 1 ? this.#now : 0
    this.#now = 0
    this.#bucket = bucket
  }
}

function isOwn(session: ServerHttp2Session): boolean {
  return connectionOf(session.socket as Socket)?.isTrusted ?? false
}
