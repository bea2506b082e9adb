/** A path or query part of this length is treated as a key; hosted RPC services put keys there. */
const LIKELY_KEY = /[A-Za-z0-9_-]{20,}/g

/** A URL that is safe to print: without user, password and query values, and with likely keys in its path masked. */
export function maskUrl(text: string): string {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return '***'
  }
  if (url.host === '') return '***'
  const user = url.username || url.password ? '***@' : ''
  const query = url.search ? '?***' : ''
  const path = url.pathname === '/' ? '' : url.pathname.replace(LIKELY_KEY, '***')
  return `${url.protocol}//${user}${url.host}${path}${query}`
}
