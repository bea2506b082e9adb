import { type HttpRequest, type HttpResponse, refuse, respond } from './server-response.ts'

/** Answers with a result, for the path under `/stream/` (wire.md §12); null: there is none. */
export function respondResult(
  request: HttpRequest,
  response: HttpResponse,
  path: string,
  bytes: Uint8Array | null,
): void {
  if (!bytes) {
    refuse(request, response, 404, 'ErrNotFound')
    return
  }
  respond(request, response, 200, bytes, {
    'content-type': mediaType(path),
    'cache-control': 'max-age=5',
    'access-control-allow-origin': '*',
    'access-control-expose-headers': 'Content-Length',
  })
}

/** A path without its percent-encoding; null where that is broken. */
export function decodedPath(path: string): string | null {
  try {
    return decodeURIComponent(path)
  } catch {
    return null
  }
}

function mediaType(path: string): string {
  if (path.endsWith('.ts')) return 'video/MP2T'
  return path.endsWith('.mp4') ? 'video/mp4' : 'application/octet-stream'
}
