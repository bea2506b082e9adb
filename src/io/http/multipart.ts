/** One part of a multipart body. */
export interface Part {
  /** In this order. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly bytes: Uint8Array
}

/** What describes a rendition in the answer to a pushed segment. */
export interface RenditionPart {
  readonly name: string
  readonly sequence: bigint
  /** With its dot. */
  readonly extension: string
  readonly mimeType: string
  readonly bytes: Uint8Array
  /** Where it is in an object store: it is sent instead of the bytes. Null or absent where it is in none. */
  readonly url?: string | null
}

const URI_TYPE = 'application/vnd+livepeer.uri'
const LINE_BREAKERS = /[\0\r\n]/g
const QUOTE_BREAKERS = /[\0\r\n"\\]/g

/** The part for one rendition, with its headers in the order that clients expect (gateway.md §3). */
export function renditionPart(rendition: RenditionPart): Part {
  const { name, sequence, url } = rendition
  const sent = url
    ? { extension: '.txt', mimeType: URI_TYPE, bytes: new TextEncoder().encode(url) }
    : rendition
  const { extension, mimeType, bytes } = sent
  const file = `${name}_${sequence}${extension}`.replace(QUOTE_BREAKERS, '_')
  return {
    headers: [
      ['Content-Disposition', `attachment; filename="${file}"`],
      ['Content-Length', String(bytes.length)],
      ['Content-Type', `${mimeType}; name="${file}"`],
      ['Rendition-Name', name],
    ],
    bytes,
  }
}

/** A multipart body in pieces, so that no part is copied. Characters that would break a header line are replaced. */
export function* multipartBody(parts: readonly Part[], boundary: string): Generator<Uint8Array> {
  const text = new TextEncoder()
  let separator = ''
  for (const { headers, bytes } of parts) {
    const lines = headers.map(([name, value]) => `${name}: ${value.replace(LINE_BREAKERS, '_')}\r\n`)
    yield text.encode(`${separator}--${boundary}\r\n${lines.join('')}\r\n`)
    if (bytes.length > 0) yield bytes
    separator = '\r\n'
  }
  yield text.encode(`\r\n--${boundary}--\r\n`)
}
