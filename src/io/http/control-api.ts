import type { IncomingMessage, ServerResponse } from 'node:http'
import { equalTexts } from '../../lib/crypto.ts'
import { messageOf } from '../../lib/errors.ts'
import { listen } from '../../lib/listen.ts'
import type { Log } from '../../lib/log.ts'
import { requestTarget } from '../../lib/request-target.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { createHalfOpenServer } from './half-open-server.ts'
import { type PageFault, pageFault } from './web-pages.ts'

/** A route's answer: a value to send as JSON (bigints as decimal text), or plain text. */
export type ControlAnswer =
  | { readonly json: unknown }
  | { readonly text: string; readonly type?: string; readonly status?: number }

/** Handlers by path. */
export type ControlRoutes = Readonly<Record<string, () => ControlAnswer | Promise<ControlAnswer>>>

const MAX_REQUEST_MS = 10_000
const MAX_HEADER_BYTES = 16_384
/** Served without a token: load balancers use it, and it reveals only yes or no. */
const OPEN_PATH = '/healthz'

const refusals: Readonly<Record<PageFault, string>> = {
  'unknown-host': 'unknown host\n',
  'foreign-page': 'pages of another site may not ask here\n',
}

/**
 * The node's API for operators: status, metrics, health (operations.md §4), and what they make the node do. Requires the
 * token if one is set. Refuses requests from web pages of other sites and, on loopback, those under a foreign host name.
 */
export class ControlApi implements Service {
  readonly name = 'control API'
  readonly #bind: { readonly host: string; readonly port: number }
  readonly #token: string
  readonly #routes: ControlRoutes
  readonly #actions: ControlRoutes
  readonly #log: Log

  constructor(
    options: {
      readonly host: string
      readonly port: number
      /** The token that `Authorization: Bearer` must contain; empty or absent: none. */
      readonly token?: string
    },
    needs: {
      /** Answered to GET; they only read. */
      routes: ControlRoutes
      /** Answered to POST; they change what the node does. */
      actions?: ControlRoutes
      log: Log
    },
  ) {
    this.#bind = { host: options.host, port: options.port }
    this.#token = options.token ?? ''
    this.#routes = needs.routes
    this.#actions = needs.actions ?? {}
    this.#log = needs.log
  }

  async start(scope: Scope): Promise<void> {
    const server = createHalfOpenServer(
      { requestTimeout: MAX_REQUEST_MS, headersTimeout: MAX_REQUEST_MS, maxHeaderSize: MAX_HEADER_BYTES },
      (request, response) => void this.#answer(request, response),
    )
    await listen(server, this.#bind, { who: 'the control API', flag: '-cliAddr' })
    scope.defer(async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    })
  }

  get #all(): ControlRoutes {
    return { ...this.#routes, ...this.#actions }
  }

  #admits(authorization: string | undefined): boolean {
    if (this.#token === '') return true
    const [, shown = ''] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? []
    return equalTexts(shown, this.#token)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume()
    const { path } = requestTarget(request.url ?? '/')
    const isAction = Object.hasOwn(this.#actions, path)
    const route = isAction || Object.hasOwn(this.#routes, path) ? this.#all[path] : undefined
    const fault = pageFault(request, this.#bind)
    if (fault) return send(response, 403, refusals[fault])
    if (isAction && request.method !== 'POST') return send(response, 405, 'only POST is answered here\n')
    if (!isAction && request.method !== 'GET' && request.method !== 'HEAD')
      return send(response, 405, 'only GET is answered here\n')
    if (path !== OPEN_PATH && !this.#admits(request.headers.authorization)) return refuse(response)
    if (!route) return send(response, 404, `no such path; there are ${Object.keys(this.#all).join(', ')}\n`)
    try {
      const answer = await route()
      if ('text' in answer) return send(response, answer.status ?? 200, answer.text, answer.type)
      const body = JSON.stringify(
        answer.json,
        (_, value) => (typeof value === 'bigint' ? value.toString() : value),
        2,
      )
      send(response, 200, `${body}\n`, 'application/json')
    } catch (error) {
      this.#log.error('a control request failed', { path, error })
      send(response, 500, `${messageOf(error)}\n`)
    }
  }
}

function refuse(response: ServerResponse): void {
  response.setHeader('www-authenticate', 'Bearer')
  send(response, 401, 'this needs the token of -cliToken: send it as Authorization: Bearer TOKEN\n')
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  const length = { 'content-type': type, 'content-length': Buffer.byteLength(body) }
  // Browsers must not guess at the type of a refusal, which may repeat what was asked.
  response.writeHead(status, status < 400 ? length : { ...length, 'x-content-type-options': 'nosniff' })
  response.end(body)
}
