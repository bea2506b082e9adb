import type { IncomingMessage } from 'node:http'
import { bracketed, isLoopback, withoutBrackets } from '../../lib/hosts.ts'
import { requestTarget } from '../../lib/request-target.ts'

/** How a listener may be called by browsers. */
export interface Site {
  /** The host it is bound to. */
  readonly host: string
  /** Its public name where a proxy forwards to it; empty for none. */
  readonly publicHost?: string
}

/** Why a request is not served to whatever web page may have sent it. */
export type PageFault = 'unknown-host' | 'foreign-page'

/**
 * Whether a request may be the work of a web page that has no business here: one of another origin, by the headers that
 * browsers set and pages cannot (`Sec-Fetch-Site`, else `Origin`), or, on the loopback, one that reaches this machine
 * under a name of its own, which browsers take for the same origin. Null for any other request: programs that publish
 * send neither header, and name the host that they call.
 */
export function pageFault(request: IncomingMessage, site: Site): PageFault | null {
  const { headers } = request
  const named = requestTarget(request.url ?? '/').authority ?? headers.host
  if (isLoopback(site.host) && named !== undefined) {
    const name = hostname(named)
    if (name === null || !(isLoopback(name) || isPublicHost(name, site))) return 'unknown-host'
  }
  const relation = headers['sec-fetch-site']
  if (relation !== undefined) {
    return relation === 'same-origin' || relation === 'none' ? null : 'foreign-page'
  }
  return headers.origin === undefined || isOwnOrigin(headers.origin, named, site) ? null : 'foreign-page'
}

function isOwnOrigin(origin: string, named: string | undefined, site: Site): boolean {
  const url = URL.parse(origin)
  // Also `null`, which stands for pages without an address.
  if (!url || !/^https?:$/.test(url.protocol)) return false
  if (isPublicHost(url.hostname, site)) return true
  // By the origin's own scheme: its usual port is left out on either side.
  return named !== undefined && URL.parse(`${url.protocol}//${named}`)?.host === url.host
}

function isPublicHost(name: string, { publicHost = '' }: Site): boolean {
  return publicHost !== '' && withoutBrackets(name) === publicHost
}

/** The host of a `Host` header, in the one spelling of URLs; null for what is none. */
function hostname(named: string): string | null {
  if (!/^[^/?#@\\\s]+$/.test(named)) return null
  return URL.parse(`http://${bracketed(named) ?? named}`)?.hostname ?? null
}
