/** The parts of a stream's path (gateway.md §2). */
export interface StreamName {
  /** Names the stream; empty when the path names none. */
  readonly manifestId: string
  /** Rendition, sequence number or stream key: everything after the first slash. */
  readonly rest: string
}

/**
 * Splits an ingest or playback path into stream and rest: removes the extension of the last element, then leading
 * spaces and slashes with one `stream/`, then every later `live/` (gateway.md §2). Never throws.
 */
export function parseStreamPath(path: string): StreamName {
  const lastSlash = path.lastIndexOf('/')
  const lastDot = path.lastIndexOf('.')
  const bare = lastDot > lastSlash ? path.slice(0, lastDot) : path
  // Without a prefix a `live/` at the very start is none that is later.
  const start = prefixLength(bare)
  const kept = start === 0 ? bare.slice(0, 1) : ''
  const name = kept + bare.slice(start + kept.length).replaceAll('live/', '')
  const slash = name.indexOf('/')
  return slash < 0
    ? { manifestId: name, rest: '' }
    : { manifestId: name.slice(0, slash), rest: name.slice(slash + 1) }
}

/**
 * The name under which a stream is played: the one that its publisher sets, by the same rules as a path, or the one in
 * the URL (gateway.md §4).
 */
export function playedName(asked: string | null, inUrl: string): string {
  return asked === null ? inUrl : parseStreamPath(asked).manifestId
}

/**
 * Whether readers of URLs may find another path in this one: one with `.` or `..`, also behind what they take for a slash or
 * drop. A webhook would judge another stream than the one that is named.
 */
export function isMisleading(path: string): boolean {
  return path
    .replace(/[\t\n\r]/g, '')
    .split(/[/\\]/)
    .some((element) => /^(\.|%2e){1,2}$/i.test(element))
}

/** The extension of the last path element, with its dot, as written; empty if there is none. */
export function pathExtension(path: string): string {
  const dot = path.lastIndexOf('.')
  return dot > path.lastIndexOf('/') ? path.slice(dot) : ''
}

const LARGEST_SEQUENCE = 2n ** 63n - 1n

/**
 * The sequence number in the last element of a pushed path; 0 for anything that is not an unsigned 63-bit number
 * (gateway.md §3).
 */
export function sequenceOf(path: string): bigint {
  const file = path.slice(path.lastIndexOf('/') + 1)
  const digits = file.slice(0, file.length - pathExtension(file).length)
  if (!/^\d{1,19}$/.test(digits)) return 0n
  const sequence = BigInt(digits)
  return sequence <= LARGEST_SEQUENCE ? sequence : 0n
}

/** The path of a segment in an object store and under `/stream/` (gateway.md §6). */
export function objectPath(
  manifestId: string,
  rendition: string,
  sequence: bigint,
  extension: string,
): string {
  return `${manifestId}/${rendition}/${sequence}${extension}`
}

/** Percent-encodes every element of a path, so that no name can break a line or a header. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeElement).join('/')
}

/** Lone surrogates cannot be encoded and become the replacement character. */
function encodeElement(element: string): string {
  return encodeURIComponent(element.toWellFormed())
}

function prefixLength(path: string): number {
  let start = 0
  while (path[start] === '/' || path[start] === ' ') start++
  return path.startsWith('stream/', start) ? start + 'stream/'.length : start
}
