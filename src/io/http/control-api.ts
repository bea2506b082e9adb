import type { IncomingMessage, ServerResponse } from 'node:http'
import { bigintsAsTexts } from '../../lib/bigints.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import { withoutMapping } from '../../lib/hosts.ts'
import { listen } from '../../lib/listen.ts'
import type { Log } from '../../lib/log.ts'
import { BodyError } from '../../lib/request-body.ts'
import { requestTarget } from '../../lib/request-target.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { bareJson } from './bare-json.ts'
import { FormError, type FormValues, formValues, readFormBody } from './control-form.ts'
import { type ControlSite, turnedAway } from './control-guard.ts'
import { assertComplete, parsedParameters } from './control-parameters.ts'
import { type ControlAnswer, type ControlChange, ControlError, type ControlRoute } from './control-route.ts'
import { createHalfOpenServer } from './half-open-server.ts'

const MAX_REQUEST_MS = 10_000
const MAX_HEADER_BYTES = 16_384
const TEXT = 'text/plain; charset=utf-8'
const NO_VALUES: FormValues = new Map()
/** The most of an answer that is kept in the record of changes. */
const MAX_RESULT_CHARS = 500

/** What is sent. */
interface Sent {
  readonly status: number
  readonly body: string | Uint8Array
  /** Null: none, since there is nothing to have a type. */
  readonly type: string | null
  readonly headers?: Readonly<Record<string, string>>
}

type StreamAnswer = Extract<ControlAnswer, { readonly stream: unknown }>

/**
 * The node's API for operators: status, metrics, health, the account and its stake (operations.md §4), and what they make the
 * node do. Requires the token if one is set. Refuses web pages of other sites, and changes under an unknown host name.
 */
export class ControlApi implements Service {
  readonly name = 'control API'
  readonly #bind: { readonly host: string; readonly port: number }
  readonly #site: ControlSite
  readonly #routes: ReadonlyMap<string, ControlRoute>
  readonly #folders: readonly ControlRoute[]
  readonly #onChange: (change: ControlChange) => Promise<void>
  readonly #log: Log
  #signal = AbortSignal.abort()

  constructor(
    options: {
      readonly host: string
      readonly port: number
      /** The token that `Authorization: Bearer` must contain; empty or absent: none. */
      readonly token?: string
      /** Names under which it may be called, beside addresses. */
      readonly hosts?: readonly string[]
      /** Whether a browser's cookies stand for the token; absent: none do. */
      readonly showsCookie?: (cookies: string | undefined) => boolean
    },
    needs: {
      routes: readonly ControlRoute[]
      /** Told of everything that changes something, or was refused: the record of changes. */
      onChange?(change: ControlChange): Promise<void>
      log: Log
    },
  ) {
    const { host, hosts = [], port, showsCookie = () => false, token = '' } = options
    this.#bind = { host, port }
    this.#site = { host, token, showsCookie, hosts: hosts.map((name) => name.toLowerCase()) }
    this.#routes = new Map(needs.routes.map((route) => [route.path, route]))
    this.#folders = needs.routes.filter(({ isFolder }) => isFolder)
    this.#onChange = needs.onChange ?? (async () => {})
    this.#log = needs.log
  }

  async start(scope: Scope): Promise<void> {
    this.#signal = scope.signal
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

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path } = requestTarget(request.url ?? '/')
    const route = this.#routeOf(path)
    const turned = turnedAway(request, route, this.#site)
    if (turned) {
      request.resume()
      const clean = cleanPath(path)
      if (turned.status === 404 && clean !== path) return redirect(request, response, clean)
      if (turned.status === 401) response.setHeader('www-authenticate', 'Bearer')
      if (turned.status === 405) response.setHeader('allow', 'POST')
      return send(response, { status: turned.status, body: turned.text, type: TEXT })
    }
    const values: { given: FormValues } = { given: NO_VALUES }
    const sent = await this.#sentFor(request, response, route!, values)
    if (sent === null) return
    if (route!.changes && !route!.isUnrecorded) await this.#record(request, route!, values.given, sent)
    send(response, sent)
  }

  #routeOf(path: string): ControlRoute | null {
    const exact = this.#routes.get(path)
    return exact ?? this.#folders.find((folder) => path.startsWith(folder.path)) ?? null
  }

  /** Null where the route has begun to send the answer itself. */
  async #sentFor(
    request: IncomingMessage,
    response: ServerResponse,
    route: ControlRoute,
    values: { given: FormValues },
  ): Promise<Sent | null> {
    try {
      const body = await readFormBody(request)
      const params = this.#paramsOf(request, route, body, values)
      const { headers } = request
      const below = requestTarget(request.url ?? '/').path.slice(route.path.length)
      const answer = await route.answer(params as never, { signal: this.#signal, headers, below })
      if (!('stream' in answer)) return sentOf(answer)
      answer.stream(request, response)
      return null
    } catch (error) {
      if (error instanceof ControlError) return refused(error.status, error.message)
      if (error instanceof FormError) return refused(500, `parse form error: ${error.message}`)
      if (error instanceof BodyError)
        return refused(error.code === 'body-too-large' ? 413 : 400, error.message)
      if (isAbort(error)) return refused(503, 'this node is stopping')
      this.#log.error('a control request failed', { path: route.path, error })
      return refused(500, messageOf(error))
    }
  }

  #paramsOf(
    request: IncomingMessage,
    { params, refusal, refusesFirst = false }: ControlRoute,
    body: Uint8Array,
    values: { given: FormValues },
  ): Record<string, unknown> {
    const refuse = () => {
      const error = refusal?.() ?? null
      if (error) throw error
    }
    if (params) values.given = formValues(request, body)
    if (refusesFirst) refuse()
    if (params) assertComplete(params, values.given)
    refuse()
    return params ? parsedParameters(params, values.given) : {}
  }

  /** Nothing is answered before it is recorded; a record that cannot be written is an error of the node alone. */
  async #record(
    request: IncomingMessage,
    { path }: ControlRoute,
    given: FormValues,
    sent: Sent,
  ): Promise<void> {
    const change: ControlChange = {
      path,
      from: withoutMapping(request.socket.remoteAddress ?? ''),
      by: this.#site.token === '' ? 'no token' : 'token',
      params: Object.fromEntries(given),
      status: sent.status,
      result: typeof sent.body === 'string' ? sent.body.trim().slice(0, MAX_RESULT_CHARS) : '',
    }
    try {
      await this.#onChange(change)
    } catch (error) {
      this.#log.error('a change could not be recorded', { path, error })
    }
  }
}

function sentOf(answer: Exclude<ControlAnswer, StreamAnswer>): Sent {
  if ('text' in answer) {
    const { headers = {}, status = 200, text, type } = answer
    return { status, body: text, type: text === '' && !type ? null : (type ?? TEXT), headers }
  }
  if ('bytes' in answer) {
    const { bytes, headers = {}, type = 'application/octet-stream' } = answer
    return { status: 200, body: bytes, type, headers }
  }
  if ('bare' in answer) return { status: 200, body: bareJson(answer.bare), type: 'application/json' }
  const text = JSON.stringify(answer.json, bigintsAsTexts, 2)
  return { status: answer.status ?? 200, body: `${text}\n`, type: 'application/json' }
}

function refused(status: number, message: string): Sent {
  return { status, body: `${message}\n`, type: TEXT }
}

/** The path without empty parts and dots. */
function cleanPath(path: string): string {
  const parts: string[] = []
  const given = path.split('/').slice(1)
  for (const part of given) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}${given.at(-1) === '' && parts.length > 0 ? '/' : ''}`
}

/** As peers do for a path that has another form (operations.md §4). */
function redirect(request: IncomingMessage, response: ServerResponse, path: string): void {
  response.setHeader('location', path)
  const shown = path.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
  const body = request.method === 'GET' ? `<a href="${shown}">Temporary Redirect</a>.\n\n` : ''
  send(response, { status: 307, body, type: 'text/html; charset=utf-8' })
}

function send(response: ServerResponse, { body, headers: own, status, type }: Sent): void {
  const headers = {
    ...own,
    ...(type !== null && { 'content-type': type }),
    'content-length': Buffer.byteLength(body),
    // Browsers must not guess at the type of a refusal, which may repeat what was asked.
    ...(status >= 400 && { 'x-content-type-options': 'nosniff' }),
  }
  response.writeHead(status, headers)
  response.end(body)
}
