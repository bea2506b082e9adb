import type { TranscodeOutput } from '../../services/orchestrator.ts'
import { WireError } from './convert.ts'

/** Renditions and their hashes in one result; a segment has ten outputs at most (transcoding.md §10). */
const MAX_PARTS = 64
const MAX_PART_HEADER_BYTES = 8 * 1024
const MAX_BOUNDARY = 70
/** The content type of a perceptual hash (wire.md §13). */
const HASH_TYPE = 'application/octet-stream'

/** The content type by which a task's error text is told from a result (wire.md §13). */
export const ERROR_CONTENT_TYPE = 'livepeer/transcoding-error'

/** The body of a result: a part for each rendition, and one for its hash (wire.md §13). */
export function encodeResult(
  renditions: TranscodeOutput['renditions'],
  isMp4: readonly boolean[],
  boundary: string,
): Uint8Array {
  const pieces: Uint8Array[] = []
  const part = (headers: readonly string[], bytes: Uint8Array) => {
    pieces.push(Buffer.from(`--${boundary}\r\n${headers.join('\r\n')}\r\n\r\n`), bytes, Buffer.from('\r\n'))
  }
  for (const [i, { bytes, perceptualHash, pixels }] of renditions.entries()) {
    const type = isMp4[i] ? 'video/mp4' : 'video/mp2t'
    part([`Content-Length: ${bytes.length}`, `Content-Type: ${type}`, `Pixels: ${pixels}`], bytes)
    if (!perceptualHash) continue
    part([`Content-Length: ${perceptualHash.length}`, `Content-Type: ${HASH_TYPE}`], perceptualHash)
  }
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)])
}

/** Takes the body of a result apart (wire.md §13). Throws WireError `bad-message`. */
export function decodeResult(body: Uint8Array, boundary: string): TranscodeOutput['renditions'] {
  const renditions: { bytes: Uint8Array; pixels: bigint; perceptualHash: Uint8Array | null }[] = []
  for (const { bytes, headers } of partsOf(body, boundary)) {
    const pixels = headers.get('pixels')
    if (pixels !== undefined) {
      renditions.push({ bytes, pixels: parsePixels(pixels), perceptualHash: null })
    } else if (headers.get('content-type')?.toLowerCase() === HASH_TYPE) {
      const last = renditions.at(-1)
      if (!last) throw bad('Unknown perceptual hash')
      last.perceptualHash = bytes
    }
  }
  return renditions
}

/** A count of pixels as a header has it. Throws WireError. */
export function parsePixels(text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw bad('Invalid Pixels')
  return BigInt(text)
}

/** A content type's media type and boundary; null when it cannot be read. */
export function parseContentType(
  text: string,
): { readonly type: string; readonly boundary: string | null } | null {
  const match = /^\s*([\w!#$&^.+-]+\/[\w!#$&^.+-]+)\s*((?:;.*)?)$/.exec(text)
  if (!match) return null
  const parameter = /;\s*boundary=(?:"([^"]+)"|([^\s;"]+))/i.exec(match[2]!)
  const boundary = parameter?.[1] ?? parameter?.[2] ?? null
  if (boundary !== null && boundary.length > MAX_BOUNDARY) return null
  return { type: match[1]!.toLowerCase(), boundary }
}

function* partsOf(
  body: Uint8Array,
  boundary: string,
): Generator<{ headers: ReadonlyMap<string, string>; bytes: Uint8Array }> {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const delimiter = Buffer.from(`--${boundary}`)
  let at = buffer.indexOf(delimiter)
  if (at < 0) throw bad('the result has no parts')
  for (let count = 0; ; count++) {
    const start = at + delimiter.length
    if (buffer.toString('latin1', start, start + 2) === '--') return
    if (count >= MAX_PARTS) throw bad(`the result has more than ${MAX_PARTS} parts`)
    const headersEnd = buffer.indexOf('\r\n\r\n', start)
    if (headersEnd < 0 || headersEnd - start > MAX_PART_HEADER_BYTES) throw bad('a part has no headers')
    const bytesStart = headersEnd + 4
    at = buffer.indexOf(Buffer.concat([Buffer.from('\r\n'), delimiter]), headersEnd + 2)
    if (at < 0) throw bad('the last part is not complete')
    const bytes = buffer.subarray(bytesStart, Math.max(bytesStart, at))
    yield { headers: headersOf(buffer.toString('latin1', start, headersEnd)), bytes }
    at += 2
  }
}

function headersOf(text: string): Map<string, string> {
  const headers = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return headers
}

function bad(text: string): WireError {
  return new WireError('bad-message', text)
}
