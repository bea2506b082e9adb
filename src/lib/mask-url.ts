/** What stands for a text of which nothing may be shown. */
const HIDDEN = '***'
/** Shorter parts of a URL are not searched for in other texts: they are words like `v2`, and would spoil sentences. */
const MIN_PART = 6
const MIN_CREDENTIAL = 4

/**
 * A URL as it may be shown: scheme, host and port. Providers put keys into user, path and query. `***` for a text that is
 * not a URL, or in which a password may be mistaken for something else.
 */
export function maskUrl(text: string): string {
  const url = URL.parse(text)
  // An unescaped slash in a password ends the host early, and the rest of the password is in the path.
  if (!url || url.host === '' || url.pathname.includes('@')) return HIDDEN
  return `${url.protocol}//${url.host}`
}

/** The text with every URL in it masked; `/…` tells that something was left out. */
export function maskUrls(text: string): string {
  return text.replace(/[A-Za-z][A-Za-z0-9+.-]*:\/[^\s"]*/g, (found) => {
    const shown = maskUrl(found)
    return shown === HIDDEN || found.replace(/\/$/, '').toLowerCase() === shown ? shown : `${shown}/…`
  })
}

/**
 * Hides the parts of a URL that may be secret, in texts that others wrote: an endpoint's answer, a library's error. The
 * scheme, the host and the port stay.
 */
export function hiderOf(text: string): (other: string) => string {
  const url = URL.parse(text)
  const credentials = url ? [url.username, url.password, ...url.searchParams.values(), url.hash.slice(1)] : []
  const parts = url ? [url.pathname.slice(1), ...url.pathname.split('/'), url.search.slice(1)] : []
  const secrets = [
    ...credentials.filter((part) => part.length >= MIN_CREDENTIAL),
    ...parts.filter((part) => part.length >= MIN_PART),
  ].flatMap((part) => [part, decoded(part)])
  const inOrder = [...new Set(secrets)].toSorted((a, b) => b.length - a.length)
  return (other) =>
    inOrder.reduce(
      (rest, secret) => rest.replaceAll(secret, HIDDEN),
      url ? maskWhole(other, text, url) : other,
    )
}

function maskWhole(other: string, text: string, url: URL): string {
  return other.replaceAll(text, maskUrl(text)).replaceAll(url.href, maskUrl(text))
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
