import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { PeerLimits } from '../../lib/peer-limits.ts'
import { BodyError, ByteBudget, readBody } from '../../lib/request-body.ts'
import type { HttpHandler, Routes } from './calls.ts'
import { connectionOf } from './connection-limits.ts'
import { SIBLING_AGAIN_HEADER, SIBLING_HOST_HEADER } from './hand-over.ts'
import type { OrchestratorEndpoint } from './orchestrator-endpoint.ts'
import { decodedPath, respondResult } from './result-response.ts'
import { disconnectSignal, type HttpRequest, type HttpResponse, refuse, respond } from './server-response.ts'
import { SIBLING_PATHS, SIBLING_SESSION_HEADER, SIBLING_SUCCESSOR_HEADER } from './sibling-client.ts'
import { SIBLING_HEADER, senderOfToken } from './sibling-token.ts'

const PREFIX = '/sibling/'
/** Of one sibling: it hands over segments, fetches their results and ends sessions. */
const CALLS = { callsPerSecond: 2_000, burst: 10_000, streams: 8 }
/** As named by `hostOf`. */
const HOST = /^[\w.:/-]{1,64}$/
const SESSION = /^[0-9a-f]{1,64}$/
const NODE = /^[0-9a-f]{16}$/
/** A node that has left, before the path of its result. */
const KEPT = /^([0-9a-f]{16})\/(.*)$/s
/** Of a result that a sibling gives away: its path, its bytes, those of all that are arriving, and how long one may take. */
const MAX_PATH = 1_000
const MAX_RESULT_BYTES = 64_000_000
const MAX_ARRIVING_BYTES = 128_000_000
const RESULT_MS = 3_000
/** What every path says that does not exist. */
const UNKNOWN = '404 page not found'

/** The node behind the endpoint. */
export interface SiblingApi {
  /** Ends a session that a gateway has ended at a sibling. */
  endedElsewhere(sessionId: string): void
  /** Keeps a result for a sibling that leaves; false where there is no room. */
  keep(origin: string, result: { readonly path: string; readonly bytes: Uint8Array }): boolean
  /** A result of a node that has left, which this one keeps; null where it has none. */
  kept(origin: string, path: string): Uint8Array | null
  /** Remembers which sibling keeps the results of one that leaves. */
  succeeded(origin: string, successor: string): void
  /** Calls a sibling at its address; gives why that fails, or null. */
  lookAt(node: string, signal: AbortSignal): Promise<string | null>
}

/** What the endpoint needs. */
export interface SiblingEndpointNeeds {
  /** This node's id, and the database's time. */
  readonly self: { readonly node: string; readonly nowMs: number }
  /** The cluster's secrets. */
  readonly secrets: { readonly keys: readonly Uint8Array[] }
  /** Who takes segments, and holds results. */
  readonly orchestrator: Pick<OrchestratorEndpoint, 'handed' | 'own'>
  readonly api: SiblingApi
  readonly clock: Clock
  readonly log: Log
}

/**
 * What the nodes of a cluster ask of one another, on the port for gateways. Each request shows a token made with the
 * cluster's secret; to anybody else these paths do not exist.
 */
export class SiblingEndpoint implements Routes {
  readonly #needs: SiblingEndpointNeeds
  readonly #calls: PeerLimits
  readonly #arriving = new ByteBudget(MAX_ARRIVING_BYTES)

  constructor(needs: SiblingEndpointNeeds) {
    this.#needs = needs
    this.#calls = new PeerLimits(CALLS, needs)
  }

  readonly http = (path: string): HttpHandler | null => {
    if (!path.startsWith(PREFIX)) return null
    return (request, response) => this.#answer(path, request, response)
  }

  async #answer(path: string, request: HttpRequest, response: HttpResponse): Promise<void> {
    const { secrets, self } = this.#needs
    const call = { to: self.node, method: request.method ?? '', path }
    const from = senderOfToken(secrets.keys, request.headers[SIBLING_HEADER], call, self.nowMs)
    if (from === null) {
      // Errors of a peer that leaves are its own.
      disconnectSignal(request, response)
      refuse(request, response, 404, UNKNOWN)
      return
    }
    connectionOf(request.socket)?.trust()
    if (!this.#calls.takeCall(from)) {
      disconnectSignal(request, response)
      refuse(request, response, 503, 'too many calls of this node: try again later')
      return
    }
    await this.#serve(from, { method: call.method, path }, request, response)
  }

  async #serve(
    from: string,
    { method, path }: { readonly method: string; readonly path: string },
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const { api, orchestrator, self } = this.#needs
    if (method === 'POST' && path === SIBLING_PATHS.segment) {
      const host = request.headers[SIBLING_HOST_HEADER]
      const isHost = typeof host === 'string' && HOST.test(host)
      const isAgain = request.headers[SIBLING_AGAIN_HEADER] !== undefined
      return orchestrator.handed(request, response, { host: isHost ? host : null, isAgain })
    }
    if (method === 'GET' && path.startsWith(SIBLING_PATHS.results)) {
      return orchestrator.own(path.slice(SIBLING_PATHS.results.length), request, response)
    }
    const signal = disconnectSignal(request, response)
    if (method === 'POST' && path.startsWith(SIBLING_PATHS.keep)) {
      await this.#keep(from, path.slice(SIBLING_PATHS.keep.length), request, response)
    } else if (method === 'GET' && path.startsWith(SIBLING_PATHS.kept)) {
      const [, node = '', rest = ''] = KEPT.exec(path.slice(SIBLING_PATHS.kept.length)) ?? []
      respondResult(request, response, rest, api.kept(node, decodedPath(rest) ?? ''))
    } else if (method === 'POST' && path === SIBLING_PATHS.successor) {
      const successor = request.headers[SIBLING_SUCCESSOR_HEADER]
      if (typeof successor === 'string' && NODE.test(successor)) api.succeeded(from, successor)
      respond(request, response, 200, Buffer.alloc(0))
    } else if (method === 'GET' && path === SIBLING_PATHS.hello) {
      respond(request, response, 200, Buffer.from(self.node))
    } else if (method === 'POST' && path === SIBLING_PATHS.end) {
      const sessionId = request.headers[SIBLING_SESSION_HEADER]
      if (typeof sessionId === 'string' && SESSION.test(sessionId)) api.endedElsewhere(sessionId)
      respond(request, response, 200, Buffer.alloc(0))
    } else if (method === 'POST' && path === SIBLING_PATHS.look) {
      await this.#look(from, signal, request, response)
    } else refuse(request, response, 404, UNKNOWN)
  }

  /** Reads a result that a sibling gives away because it leaves. */
  async #keep(origin: string, path: string, request: HttpRequest, response: HttpResponse): Promise<void> {
    const name = decodedPath(path)
    if (name === null || name === '' || name.length > MAX_PATH) return refuse(request, response, 404, UNKNOWN)
    let bytes: Uint8Array
    try {
      const limits = { maxBytes: MAX_RESULT_BYTES, stallMs: RESULT_MS, totalMs: RESULT_MS }
      bytes = await readBody(request, { ...limits, budget: this.#arriving })
    } catch (error) {
      if (!(error instanceof BodyError)) throw error
      return refuse(request, response, 503, 'the result did not arrive')
    }
    this.#arriving.give(bytes.length)
    if (this.#needs.api.keep(origin, { path: name, bytes })) respond(request, response, 200, Buffer.alloc(0))
    else refuse(request, response, 503, 'no room for further results')
  }

  async #look(
    from: string,
    signal: AbortSignal,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const giveBack = this.#calls.takeStream(from)
    if (!giveBack) return refuse(request, response, 503, 'it is being looked at already')
    try {
      const why = await this.#needs.api.lookAt(from, signal)
      respond(request, response, 200, Buffer.from(why ?? ''))
    } catch (error) {
      // The sibling no longer waits.
      if (!signal.aborted) throw error
    } finally {
      giveBack()
    }
  }
}
