import type { IncomingMessage } from 'node:http'
import { bracketed, isLoopback, withoutBrackets } from '../../lib/hosts.ts'
import { requestTarget } from '../../lib/request-target.ts'

/** How browsers may address a listener. */
export interface Site {
  /** The host it listens on. */
  readonly host: string
  /** Its public name behind a proxy; empty for none. */
  readonly publicHost?: string
  /** Further names of it, in lower case. */
  readonly hosts?: readonly string[]
}

/** Why a request is refused because a web page may have sent it. */
export type PageFault = 'unknown-host' | 'foreign-page'

/**
 * Checks whether a web page without permission may have sent a request: a page of another origin, by headers that
 * browsers set and pages cannot (`Sec-Fetch-Site`, else `Origin`), or, on loopback, a page that reaches this machine
 * under its own host name, which browsers treat as the same origin. Null for any other request: publishing programs
 * send neither header and name the host they call.
 */
export function pageFault(request: IncomingMessage, site: Site): PageFault | null {
  const { headers } = request
  const named = requestTarget(request.url ?? '/').authority ?? headers.host
  if (isLoopback(site.host) && named !== undefined) {
    const name = hostname(named)
    if (name === null || !(isLoopback(name) || isNameOf(name, site))) return 'unknown-host'
  }
  const relation = headers['sec-fetch-site']
  if (relation !== undefined) {
    return relation === 'same-origin' || relation === 'none' ? null : 'foreign-page'
  }
  return headers.origin === undefined || isOwnOrigin(headers.origin, named, site) ? null : 'foreign-page'
}

function isOwnOrigin(origin: string, named: string | undefined, site: Site): boolean {
  const url = URL.parse(origin)
  // Also `null`, the origin of pages without an address.
  if (!url || !/^https?:$/.test(url.protocol)) return false
  if (isNameOf(url.hostname, { publicHost: site.publicHost ?? '' })) return true
  // Compared with the origin's scheme, so that its default port may be omitted on either side.
  return named !== undefined && URL.parse(`${url.protocol}//${named}`)?.host === url.host
}

function isNameOf(name: string, { hosts = [], publicHost = '' }: Omit<Site, 'host'>): boolean {
  const plain = withoutBrackets(name)
  return (publicHost !== '' && plain === publicHost) || hosts.includes(plain.toLowerCase())
}

/** The host of a `Host` header in URL spelling; null if it is invalid. */
export function hostname(named: string): string | null {
  if (!/^[^/?#@\\\s]+$/.test(named)) return null
  return URL.parse(`http://${bracketed(named) ?? named}`)?.hostname ?? null
}
