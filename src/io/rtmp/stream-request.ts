import { isMisleading, parseStreamPath } from '../../domain/stream-name.ts'
import type { StreamRequest } from './rtmp-session.ts'

/**
 * The stream that a client asks for: app and name as a path, whose query is for webhooks (gateway.md §2). A query on the
 * app swallows the name, as with peers. Empty if it names none.
 */
export function manifestIdOf(request: StreamRequest): string {
  return parseStreamPath(`/${unasked(request)}`).manifestId
}

/** Whether a webhook may take the URL of a client for that of another stream. */
export function isMisleadingRequest(request: StreamRequest): boolean {
  return isMisleading(unasked(request))
}

/**
 * The whole URL that a client asks for, key and query included, as webhooks are told it: the host that it called, app and
 * name (gateway.md §2, §4). `own` is the host of this port, for clients that tell none.
 */
export function urlOf(request: StreamRequest, own: string): string {
  const called = URL.parse(request.tcUrl)?.host ?? ''
  return `rtmp://${called || own}/${pathOf(request)}`
}

function pathOf({ app, name }: StreamRequest): string {
  return [app, name]
    .map((part) => part.replace(/^\/+|\/+$/g, ''))
    .filter((part) => part !== '')
    .join('/')
}

/** The path without its query. */
function unasked(request: StreamRequest): string {
  return pathOf(request).split('?', 1)[0]!
}
