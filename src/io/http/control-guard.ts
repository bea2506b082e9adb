import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { equalTexts } from '../../lib/crypto.ts'
import { isLoopback, withoutBrackets } from '../../lib/hosts.ts'
import { requestTarget } from '../../lib/request-target.ts'
import type { ControlRoute } from './control-route.ts'
import { hostname, type PageFault, pageFault } from './web-pages.ts'

/** Where a control API listens, and what it asks of its clients. */
export interface ControlSite {
  readonly host: string
  /** Names under which it may be called, beside addresses and those of this machine; in lower case. */
  readonly hosts: readonly string[]
  /** What `Authorization: Bearer` must contain; empty for nothing. */
  readonly token: string
  /** Whether a browser's cookies stand for the token; absent: none do. */
  readonly showsCookie?: (cookies: string | undefined) => boolean
}

/** A refusal before the request is looked at. */
export interface Turned {
  readonly status: 401 | 403 | 404 | 405
  readonly text: string
}

const FAULTS: Readonly<Record<PageFault, string>> = {
  'unknown-host': 'unknown host\n',
  'foreign-page': 'pages of another site may not ask here\n',
}
const UNKNOWN_NAME: Turned = {
  status: 403,
  text: 'unknown host: call this node by its address, or list the name with -cliHosts\n',
}
const POST_ONLY: Turned = { status: 405, text: 'only POST is answered here\n' }
const NO_TOKEN: Turned = {
  status: 401,
  text: 'this needs the token of -cliToken: send it as Authorization: Bearer TOKEN\n',
}
const NOT_FOUND: Turned = { status: 404, text: '404 page not found\n' }

/**
 * Why a request is turned away; null where it may be served. Whatever changes something takes POST, from no web page and under
 * no name that the operator does not know: a page whose name resolves to this machine would be of the same origin.
 */
export function turnedAway(
  request: IncomingMessage,
  route: ControlRoute | null,
  site: ControlSite,
): Turned | null {
  const name = calledName(request)
  const fault = pageFault(request, site)
  if (fault !== null) return { status: 403, text: FAULTS[fault] }
  if (route?.changes) {
    const isPost = request.method === 'POST'
    if (!isPost && !(route.takesGet && request.method === 'GET' && isProgramHere(request, name))) {
      return POST_ONLY
    }
    if (site.token === '' && !isKnown(name, site)) return UNKNOWN_NAME
  }
  if (!route?.isOpen && !isKnownClient(request, route, site)) return NO_TOKEN
  return route === null ? NOT_FOUND : null
}

/**
 * Whether a client shows the token, or a browser the cookie that stands for it. Browsers send cookies with whatever a page
 * asks: with one, a change is only taken from a page that is known to be this node's own.
 */
function isKnownClient({ headers }: IncomingMessage, route: ControlRoute | null, site: ControlSite): boolean {
  if (showsToken(headers.authorization, site.token)) return true
  // Where a page of another site asks, it was turned away before.
  const isOwnPage = headers['sec-fetch-site'] === 'same-origin' || headers.origin !== undefined
  return (!route?.changes || isOwnPage) && (site.showsCookie?.(headers.cookie) ?? false)
}

/** The host that the client calls; null where it names none that can be read. */
function calledName(request: IncomingMessage): string | null {
  const named = requestTarget(request.url ?? '/').authority ?? request.headers.host
  const name = named === undefined ? null : hostname(named)
  return name === null ? null : withoutBrackets(name).toLowerCase()
}

function isKnown(name: string | null, { hosts }: ControlSite): boolean {
  return name !== null && (isIP(name) !== 0 || isLoopback(name) || hosts.includes(name))
}

/** Whether it comes from a program rather than a browser, and calls this machine by a name of its own. */
function isProgramHere({ headers }: IncomingMessage, name: string | null): boolean {
  const isBrowser = ['referer', 'origin', 'sec-fetch-site', 'sec-fetch-mode'].some(
    (header) => header in headers,
  )
  return name !== null && isLoopback(name) && !isBrowser
}

function showsToken(authorization: string | undefined, token: string): boolean {
  if (token === '') return true
  const [, shown = ''] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? []
  return equalTexts(shown, token)
}
