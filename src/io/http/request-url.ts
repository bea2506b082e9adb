import type { IncomingMessage } from 'node:http'
import { hostAndPort, withoutMapping } from '../../lib/hosts.ts'
import { requestTarget } from '../../lib/request-target.ts'

/**
 * The URL of a request as webhooks are told it: the host that is called and the path as it is written, without the query
 * unless that is asked for (gateway.md §3, §4).
 */
export function urlOf(request: IncomingMessage, { withQuery = false } = {}): string {
  const { localAddress = '', localPort = 0 } = request.socket
  const target = request.url ?? '/'
  const { authority, path } = requestTarget(target)
  const host = authority ?? request.headers.host ?? hostAndPort(withoutMapping(localAddress), localPort)
  const query = withQuery ? (/\?[^#]*/.exec(target)?.[0] ?? '') : ''
  return `http://${host}${path.replace(/\/{2,}/g, '/')}${query}`
}
