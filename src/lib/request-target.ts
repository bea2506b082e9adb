/** The target of an HTTP request line. */
export interface RequestTarget {
  /** Percent-encoded, without the query; `/` when empty. */
  readonly path: string
  /** Host and port of a target that is a whole URL, which overrides the `Host` header; null otherwise. */
  readonly authority: string | null
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)/i

/**
 * Parses a request's target: a path with a query, or a whole URL as clients send it to proxies, which every server must
 * accept (RFC 9112 §3.2.2). Never throws.
 */
export function requestTarget(url: string): RequestTarget {
  const absolute = ABSOLUTE.exec(url)
  const rest = absolute ? url.slice(absolute[0].length) : url
  return { path: rest.split(/[?#]/, 1)[0] || '/', authority: absolute ? absolute[1]! : null }
}
