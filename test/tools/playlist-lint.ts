/** A segment of a media playlist, as a player counts it. */
export interface LintedSegment {
  readonly uri: string
  readonly seconds: number
  /** Its number by `EXT-X-MEDIA-SEQUENCE`. */
  readonly number: number
  /** The number of its stretch by `EXT-X-DISCONTINUITY-SEQUENCE`. */
  readonly stretch: number
  /** Milliseconds since the Unix epoch; null where it is not said. */
  readonly startsAtMs: number | null
}

/** A media playlist, read strictly. */
export interface LintedMedia {
  readonly kind: 'media'
  readonly targetSeconds: number
  readonly isEnded: boolean
  readonly isIndependent: boolean
  readonly segments: readonly LintedSegment[]
}

/** A variant of a master playlist. */
export interface LintedVariant {
  readonly uri: string
  readonly attributes: ReadonlyMap<string, string>
}

/** A master playlist, read strictly. */
export interface LintedMaster {
  readonly kind: 'master'
  readonly variants: readonly LintedVariant[]
}

/** A playlist that breaks a rule of RFC 8216. */
export class PlaylistFault extends Error {}

/** Begin times and lengths may differ by this much within a stretch. */
const SLACK_MS = 2
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const CODECS =
  /^(avc1\.[0-9a-f]{6}|hvc1\.[A-C]?\d+\.[0-9A-F]+\.[LH]\d+(\.[0-9A-F]{1,2}){0,6}|vp0[89](\.\d\d)*|mp4a\.40\.\d{1,2}|ac-3|ec-3|opus)(,(?!avc|hvc|vp0)[^,]+)?$|^(mp4a\.40\.\d{1,2}|ac-3|ec-3|opus)$/

/** Reads a playlist of the gateway. Throws PlaylistFault with the first rule of RFC 8216 that it breaks. */
export function lintPlaylist(text: string): LintedMedia | LintedMaster {
  const lines = text.split('\n')
  check(lines.pop() === '', 'does not end with a line break')
  check(lines[0] === '#EXTM3U', 'does not begin with #EXTM3U')
  check(lines[1] === '#EXT-X-VERSION:3', 'does not say its version first')
  for (const line of lines) check(/^[!-~]([ -~]*[!-~])?$/.test(line), `has the line ${JSON.stringify(line)}`)
  const rest = lines.slice(2)
  return rest.some((line) => line.startsWith('#EXT-X-STREAM-INF:')) ? master(rest) : media(rest)
}

/** Reads the playlist of a rendition. */
export function lintMedia(text: string): LintedMedia {
  const read = lintPlaylist(text)
  if (read.kind !== 'media') throw new PlaylistFault('it is a master playlist')
  return read
}

/** Reads the playlist of a stream. */
export function lintMaster(text: string): LintedMaster {
  const read = lintPlaylist(text)
  if (read.kind !== 'master') throw new PlaylistFault('it is a media playlist')
  return read
}

/** What a player may rely on when it loads a list again. Throws PlaylistFault. */
export function lintReload(before: LintedMedia, after: LintedMedia): void {
  const [first, last] = [before.segments[0], before.segments.at(-1)]
  check(after.targetSeconds >= before.targetSeconds, 'has a shorter target duration than before')
  if (before.isEnded) check(after.isEnded && after.segments.length === before.segments.length, 'went on')
  if (!first || !last) return
  check((after.segments[0]?.number ?? -1) >= first.number, 'counts its segments anew')
  check((after.segments.at(-1)?.number ?? -1) >= last.number, 'lost its newest segment')
  for (const segment of after.segments) {
    const known = before.segments.find(({ number }) => number === segment.number)
    const same = JSON.stringify(known ?? segment) === JSON.stringify(segment)
    check(same, `has ${JSON.stringify(segment)} where it had ${JSON.stringify(known)}`)
  }
}

function media(lines: readonly string[]): LintedMedia {
  const head = new Map<string, string>()
  const segments: LintedSegment[] = []
  let [stretch, isEnded] = [0, false]
  let [seconds, startsAtMs] = [null as number | null, null as number | null]
  for (const line of lines) {
    check(!isEnded, `has ${line} behind its end`)
    const [tag, value = ''] = line.split(/:(.*)/, 2) as [string, string | undefined]
    const isHead = /^#EXT-X-(MEDIA-SEQUENCE|TARGETDURATION|DISCONTINUITY-SEQUENCE|INDEPENDENT-SEGMENTS)$/
    if (isHead.test(tag)) {
      check(!head.has(tag) && segments.length === 0 && seconds === null, `has ${tag} late or twice`)
      check(/^\d+$/.test(value) || tag === '#EXT-X-INDEPENDENT-SEGMENTS', `has ${line}`)
      head.set(tag, value)
      if (tag === '#EXT-X-DISCONTINUITY-SEQUENCE') {
        check(stretch === 0, 'counts discontinuities behind one')
        stretch = Number(value)
      }
    } else if (tag === '#EXT-X-DISCONTINUITY') stretch++
    else if (tag === '#EXT-X-PROGRAM-DATE-TIME') {
      check(DATE.test(value) && startsAtMs === null, `has ${line}`)
      startsAtMs = Date.parse(value)
    } else if (tag === '#EXTINF') {
      check(/^\d+\.\d{3},$/.test(value) && seconds === null, `has ${line}`)
      seconds = Number.parseFloat(value)
    } else if (tag === '#EXT-X-ENDLIST') isEnded = true
    else {
      check(!line.startsWith('#') && seconds !== null, `has ${line} without a length`)
      const number = Number(head.get('#EXT-X-MEDIA-SEQUENCE') ?? 0) + segments.length
      segments.push({ uri: line, seconds: seconds!, number, stretch, startsAtMs })
      seconds = null
      startsAtMs = null
    }
  }
  check(seconds === null && startsAtMs === null, 'ends within a segment')
  const targetSeconds = Number(head.get('#EXT-X-TARGETDURATION') ?? Number.NaN)
  check(Number.isInteger(targetSeconds), 'has no target duration')
  checkSegments(segments, targetSeconds)
  return {
    kind: 'media',
    targetSeconds,
    isEnded,
    isIndependent: head.has('#EXT-X-INDEPENDENT-SEGMENTS'),
    segments,
  }
}

function checkSegments(segments: readonly LintedSegment[], targetSeconds: number): void {
  const uris = new Set(segments.map(({ uri }) => uri))
  check(uris.size === segments.length, 'has a segment twice')
  for (const [i, { seconds, startsAtMs, uri }] of segments.entries()) {
    check(Math.round(seconds) <= targetSeconds, `has ${uri} of ${seconds} s, longer than ${targetSeconds} s`)
    const before = segments[i - 1]
    if (!before || before.startsAtMs === null || startsAtMs === null) continue
    const endMs = before.startsAtMs + before.seconds * 1000
    check(
      startsAtMs >= endMs - SLACK_MS,
      `has ${uri} ${endMs - startsAtMs} ms before the end of the one before`,
    )
  }
}

function master(lines: readonly string[]): LintedMaster {
  const variants: LintedVariant[] = []
  let attributes: ReadonlyMap<string, string> | null = null
  for (const line of lines) {
    if (line.startsWith('#EXT-X-STREAM-INF:')) {
      check(attributes === null, 'has a variant without an address')
      attributes = attributesOf(line.slice('#EXT-X-STREAM-INF:'.length))
      checkVariant(attributes)
    } else {
      check(!line.startsWith('#') && attributes !== null, `has the line ${line}`)
      variants.push({ uri: line, attributes: attributes! })
      attributes = null
    }
  }
  check(attributes === null, 'ends within a variant')
  check(new Set(variants.map(({ uri }) => uri)).size === variants.length, 'has a variant twice')
  return { kind: 'master', variants }
}

function attributesOf(text: string): ReadonlyMap<string, string> {
  const found = [...text.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^",]*)(?:,|$)/g)]
  check(found.map(([whole]) => whole).join('') === text, `has the attributes ${text}`)
  const attributes = new Map(found.map(([, name, value]) => [name!, value!]))
  check(attributes.size === found.length, `has an attribute twice: ${text}`)
  return attributes
}

function checkVariant(attributes: ReadonlyMap<string, string>): void {
  const rules: Readonly<Record<string, RegExp>> = {
    'PROGRAM-ID': /^0$/,
    BANDWIDTH: /^[1-9]\d*$/,
    'AVERAGE-BANDWIDTH': /^[1-9]\d*$/,
    'FRAME-RATE': /^[1-9]\d*\.\d{1,3}$|^0\.\d{1,3}$/,
    RESOLUTION: /^[1-9]\d*x[1-9]\d*$/,
    CODECS: /^"[^"]+"$/,
  }
  for (const [name, value] of attributes) check(rules[name]?.test(value) === true, `has ${name}=${value}`)
  check(attributes.has('BANDWIDTH'), 'has a variant without a bandwidth')
  const codecs = attributes.get('CODECS')
  if (codecs) check(CODECS.test(codecs.slice(1, -1)), `has CODECS=${codecs}`)
  const [most, average] = [attributes.get('BANDWIDTH'), attributes.get('AVERAGE-BANDWIDTH')].map(Number)
  if (attributes.has('AVERAGE-BANDWIDTH')) check(average! <= most!, 'has an average above its bandwidth')
}

function check(holds: boolean, fault: string): asserts holds {
  if (!holds) throw new PlaylistFault(`the playlist ${fault}`)
}
