/** What the first line of an HTTP request names. */
export interface RequestTarget {
  /** Still percent-encoded, without the query; `/` when nothing is written. */
  readonly path: string
  /** Host and port of a line that is a whole URL; it counts in place of the `Host` header. Null where there is none. */
  readonly authority: string | null
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)/i

/**
 * Reads a request's target: a path with a query, or a whole URL as clients send it to proxies, which every server has
 * to take (RFC 9112 §3.2.2). Never throws.
 */
export function requestTarget(url: string): RequestTarget {
  const absolute = ABSOLUTE.exec(url)
  const rest = absolute ? url.slice(absolute[0].length) : url
  return { path: rest.split(/[?#]/, 1)[0] || '/', authority: absolute ? absolute[1]! : null }
}
