import { MAX_SEGMENT_BYTES } from '../../domain/segment.ts'
import type { TranscodeOutput } from '../../services/transcoding/transcoder.ts'
import { WireError } from './wire-message.ts'

/** Renditions and their hashes in one result; a segment has at most ten outputs (transcoding.md §10). */
const MAX_PARTS = 64
const MAX_PART_HEADER_BYTES = 8 * 1024
const MAX_BOUNDARY = 70
/** The content type of a perceptual hash (wire.md §13). */
const HASH_TYPE = 'application/octet-stream'

/** The content type that marks the error text of a task (wire.md §13). */
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

type Rendition = { bytes: Uint8Array; pixels: bigint; perceptualHash: Uint8Array | null }

/** Parses the body of a result as it arrives (wire.md §13). Throws WireError `bad-message`. */
export class ResultReader {
  readonly #maxPartBytes: number
  readonly #delimiter: Buffer
  readonly #renditions: Rendition[] = []
  /** The position in the body: before the first part, in a part's headers, in its bytes, after the last part. */
  #place: 'before' | 'headers' | 'bytes' | 'after' = 'before'
  /** Received but not parsed yet. Starts as if a line had ended before the first part. */
  #rest: Buffer = Buffer.from('\r\n')
  #headers: ReadonlyMap<string, string> = new Map()
  #bytes: Buffer[] = []
  #length = 0
  #parts = 0

  constructor(options: { boundary: string; maxPartBytes?: number }) {
    this.#delimiter = Buffer.from(`\r\n--${options.boundary}`)
    this.#maxPartBytes = options.maxPartBytes ?? MAX_SEGMENT_BYTES
  }

  add(chunk: Uint8Array): void {
    if (this.#place === 'after') return
    this.#rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : Buffer.from(chunk)
    while (this.#step());
  }

  /** The renditions, after the end of the body. */
  end(): TranscodeOutput['renditions'] {
    if (this.#place === 'before') throw bad('the result has no parts')
    if (this.#place !== 'after') throw bad('the last part is not complete')
    return this.#renditions
  }

  /** Advances by one step; false if more data is needed. */
  #step(): boolean {
    if (this.#place === 'headers') return this.#readHeaders()
    if (this.#place === 'after') return false
    const at = this.#rest.indexOf(this.#delimiter)
    // The delimiter may arrive in two pieces.
    const end = at < 0 ? Math.max(0, this.#rest.length - this.#delimiter.length + 1) : at
    if (this.#place === 'bytes') this.#keep(this.#rest.subarray(0, end))
    if (at < 0) {
      this.#rest = this.#rest.subarray(end)
      return false
    }
    if (this.#place === 'bytes') this.#finishPart()
    this.#rest = this.#rest.subarray(at + this.#delimiter.length)
    this.#place = 'headers'
    return true
  }

  #readHeaders(): boolean {
    if (this.#rest.toString('latin1', 0, 2) === '--') {
      this.#place = 'after'
      this.#rest = Buffer.alloc(0)
      return false
    }
    const end = this.#rest.indexOf('\r\n\r\n')
    if ((end < 0 ? this.#rest.length : end) > MAX_PART_HEADER_BYTES)
      throw bad('the headers of a part are too long')
    if (end < 0) return false
    if (++this.#parts > MAX_PARTS) throw bad(`the result has more than ${MAX_PARTS} parts`)
    this.#headers = headersOf(this.#rest.toString('latin1', 0, end))
    // The end of the empty line may start the next delimiter.
    this.#rest = this.#rest.subarray(end + 2)
    this.#place = 'bytes'
    this.#length = -2
    return true
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#length += bytes.length
    if (this.#length > this.#maxPartBytes) throw bad('input bigger than max buffer size')
    this.#bytes.push(bytes)
  }

  #finishPart(): void {
    const all = Buffer.concat(this.#bytes)
    const bytes = new Uint8Array(all.buffer, all.byteOffset, all.length).subarray(Math.min(2, all.length))
    this.#bytes = []
    const pixels = this.#headers.get('pixels')
    if (pixels !== undefined) {
      this.#renditions.push({ bytes, pixels: parsePixels(pixels), perceptualHash: null })
    } else if (this.#headers.get('content-type')?.toLowerCase() === HASH_TYPE) {
      const last = this.#renditions.at(-1)
      if (!last) throw bad('Unknown perceptual hash')
      last.perceptualHash = bytes
    }
  }
}

/** Parses a header's pixel count. Throws WireError. */
export function parsePixels(text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw bad('Invalid Pixels')
  return BigInt(text)
}

/** The media type and boundary of a content type; null if it cannot be parsed. */
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
