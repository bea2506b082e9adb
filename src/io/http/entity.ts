import { hash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { gzipSync } from 'node:zlib'

/** Characters of a digest in a tag: 96 bits. */
const TAG_CHARS = 16
/** Smaller texts are sent as they are. */
const MIN_ZIPPED_CHARS = 200
/** Texts whose compressed form is kept: a few for each rendition of many streams. */
const MAX_ZIPPED = 1_000

/** A part of some bytes, both ends included. */
export interface ByteRange {
  readonly from: number
  readonly to: number
}

const segmentTags = new WeakMap<Uint8Array, string>()

/** The entity tag of bytes, which are hashed once as long as they are kept. */
export function tagOfBytes(bytes: Uint8Array): string {
  let tag = segmentTags.get(bytes)
  if (tag === undefined) {
    tag = `"${digest(bytes)}"`
    segmentTags.set(bytes, tag)
  }
  return tag
}

/** The entity tag of a text, which is weak: compressed or not, the text is the same. */
export function tagOfText(text: string): string {
  return `W/"${digest(text)}"`
}

/** Whether a client already has what has this tag (RFC 9110 §13.1.2). */
export function isKnown({ 'if-none-match': asked }: IncomingHttpHeaders, tag: string): boolean {
  if (asked === undefined) return false
  const opaque = tag.replace(/^W\//, '')
  return asked.trim() === '*' || asked.split(',').some((one) => one.trim().replace(/^W\//, '') === opaque)
}

/**
 * The part that a client asks for: all of it where it asks for none, for several, for what cannot be read or for another
 * version; `null` where there is no such part (RFC 9110 §14.2).
 */
export function rangeOf(
  { 'if-range': version, range }: IncomingHttpHeaders,
  { size, tag }: { readonly size: number; readonly tag: string },
): ByteRange | 'all' | null {
  // A header that comes several times is none that is understood.
  if (Array.isArray(version)) return 'all'
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range?.trim() ?? '') ?? []
  if (first === undefined || last === undefined || first + last === '') return 'all'
  if (version !== undefined && version.trim() !== tag) return 'all'
  if (first === '') {
    const count = Math.min(size, Number(last))
    return count === 0 ? null : { from: size - count, to: size - 1 }
  }
  const [from, to] = [Number(first), last === '' ? size - 1 : Math.min(size - 1, Number(last))]
  if (last !== '' && Number(last) < from) return 'all'
  return from >= size ? null : { from, to }
}

/** Whether a client takes gzip (RFC 9110 §12.5.3). */
export function takesGzip({ 'accept-encoding': accepted = '' }: IncomingHttpHeaders): boolean {
  const weights = new Map<string, number>()
  for (const part of accepted.toLowerCase().split(',')) {
    const [name = '', weight = 'q=1'] = part.split(';', 2).map((text) => text.trim())
    weights.set(name, Number(weight.replace(/^q=/, '')))
  }
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0
}

/** Compresses texts, each once: as many are kept as are in use, and the one that was not asked for longest makes room. */
export class ZippedTexts {
  readonly #kept = new Map<string, Uint8Array>()

  /** The text in gzip; null where that saves nothing. */
  of(text: string): Uint8Array | null {
    if (text.length < MIN_ZIPPED_CHARS) return null
    const zipped = this.#kept.get(text) ?? gzipSync(text)
    this.#kept.delete(text)
    this.#kept.set(text, zipped)
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_ZIPPED) break
      this.#kept.delete(oldest)
    }
    return zipped
  }
}

function digest(content: Uint8Array | string): string {
  return hash('sha256', content, 'base64url').slice(0, TAG_CHARS)
}
