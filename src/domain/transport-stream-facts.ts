import { concatBytes } from '../lib/bytes.ts'
import { onClock, TICKS_PER_MS, ticksBetween, timeAt } from './mpegts-clock.ts'
import { readAvcParameters, readHevcParameters, type VideoParameters } from './parameter-sets.ts'
import type { SegmentFacts } from './segment-facts.ts'

const PACKET = 188
const SYNC = 0x47
const PROGRAMS_PID = 0
/** Of the first picture and the first frame of sound so many bytes are looked at. */
const HEAD_BYTES = 32_768

/** Kinds of tracks by the number in the table of a program. */
const AVC = 0x1b
const HEVC = 0x24
const AAC = 0x0f
const MPEG_AUDIO: readonly number[] = [0x03, 0x04]
const otherVideo: readonly number[] = [0x01, 0x02, 0x10, 0x21, 0x33, 0x42, 0xd1, 0xea]
const otherAudio: ReadonlyMap<number, string | null> = new Map<number, string | null>([
  [0x11, null],
  [0x1c, null],
  [0x81, 'ac-3'],
  [0x87, 'ec-3'],
])

/** A track of a program. */
interface Track {
  readonly type: number
  readonly isVideo: boolean
  /** The time of its first frame in the order of the file. */
  first: number | null
  /** The earliest and the latest time, counted from the first. */
  earliest: number
  latest: number
  frames: number
  /** The beginning of its first frame, until it is complete. */
  head: Uint8Array[]
  headBytes: number
}

/** Reads a segment in MPEG-TS; null where it is none, or where packets of it are damaged. */
export function transportStreamFacts(bytes: Uint8Array): SegmentFacts | null {
  if (bytes.length < PACKET) return null
  const tracks = new Map<number, Track>()
  let tablePid: number | null = null
  for (let at = 0; at + PACKET <= bytes.length; at += PACKET) {
    if (bytes[at] !== SYNC) return null
    const pid = ((bytes[at + 1]! & 0x1f) << 8) | bytes[at + 2]!
    const isStart = (bytes[at + 1]! & 0x40) !== 0
    if (pid === PROGRAMS_PID && isStart) tablePid ??= tablePidOf(payloadOf(bytes, at))
    else if (pid === tablePid && isStart && tracks.size === 0) addTracks(tracks, payloadOf(bytes, at))
    else {
      const track = tracks.get(pid)
      // Most packets are of no interest, and cost nothing.
      if (track && (isStart || isWanted(track))) take(track, payloadOf(bytes, at), isStart)
    }
  }
  return tracks.size === 0 ? null : factsOf([...tracks.values()])
}

function payloadOf(bytes: Uint8Array, at: number): Uint8Array {
  const control = bytes[at + 3]! & 0x30
  const skipped = (control & 0x20) === 0 ? 4 : 5 + bytes[at + 4]!
  return (control & 0x10) === 0 || skipped >= PACKET
    ? bytes.subarray(at, at)
    : bytes.subarray(at + skipped, at + PACKET)
}

/** The section of a table that begins in a packet, as far as it is in it, without its checksum. */
function sectionOf(payload: Uint8Array, id: number): Uint8Array | null {
  const from = 1 + (payload[0] ?? 0)
  if (payload.length < from + 8 || payload[from] !== id) return null
  const length = ((payload[from + 1]! & 0x0f) << 8) | payload[from + 2]!
  return payload.subarray(from, Math.min(payload.length, from + 3 + length - 4))
}

/** Where the table of the first program is. */
function tablePidOf(payload: Uint8Array): number | null {
  const section = sectionOf(payload, 0)
  for (let at = 8; section && at + 4 <= section.length; at += 4) {
    const program = (section[at]! << 8) | section[at + 1]!
    if (program !== 0) return ((section[at + 2]! & 0x1f) << 8) | section[at + 3]!
  }
  return null
}

/** Players take the first video and the first sound of a program. */
function addTracks(tracks: Map<number, Track>, payload: Uint8Array): void {
  const section = sectionOf(payload, 2)
  if (!section || section.length < 12) return
  const taken = new Set<boolean>()
  for (let at = 12 + (((section[10]! & 0x0f) << 8) | section[11]!); at + 5 <= section.length; ) {
    const type = section[at]!
    const pid = ((section[at + 1]! & 0x1f) << 8) | section[at + 2]!
    at += 5 + (((section[at + 3]! & 0x0f) << 8) | section[at + 4]!)
    const isVideo = type === AVC || type === HEVC || otherVideo.includes(type)
    const isAudio = type === AAC || MPEG_AUDIO.includes(type) || otherAudio.has(type)
    if ((!isVideo && !isAudio) || taken.has(isVideo)) continue
    taken.add(isVideo)
    const times = { first: null, earliest: 0, latest: 0, frames: 0 }
    tracks.set(pid, { type, isVideo, ...times, head: [], headBytes: 0 })
  }
}

function take(track: Track, payload: Uint8Array, isStart: boolean): void {
  if (!isStart) {
    addHead(track, payload)
    return
  }
  if (payload.length < 9 || payload[0] !== 0 || payload[1] !== 0 || payload[2] !== 1) return
  const time = (payload[7]! & 0x80) !== 0 && payload.length >= 14 ? timeAt(payload, 9) : null
  if (time === null) return
  track.frames++
  track.first ??= time
  const since = ticksBetween(track.first, time)
  track.earliest = Math.min(track.earliest, since)
  track.latest = Math.max(track.latest, since)
  if (track.frames === 1) addHead(track, payload.subarray(9 + payload[8]!))
}

/** Whether the beginning of its first frame is not complete yet. */
function isWanted({ frames, headBytes }: Track): boolean {
  return frames === 1 && headBytes < HEAD_BYTES
}

function addHead(track: Track, part: Uint8Array): void {
  track.head.push(part)
  track.headBytes += part.length
}

function factsOf(tracks: readonly Track[]): SegmentFacts | null {
  const withFrames = tracks.filter(({ frames }) => frames > 0)
  const video = withFrames.find(({ isVideo }) => isVideo)
  const audio = withFrames.find(({ isVideo }) => !isVideo)
  const leading = video ?? audio
  if (!leading) return null
  const { isIndependent, parameters } = video ? videoOf(video) : { isIndependent: true, parameters: null }
  const sound = audio ? audioOf(audio) : null
  const ticks = leading.latest - leading.earliest
  // The last frame is taken to last as long as the others.
  const lastTicks = leading.frames > 1 ? ticks / (leading.frames - 1) : 0
  const start = onClock(leading.first! + leading.earliest)
  return {
    video: parameters?.codec ?? null,
    audio: sound,
    hasOtherCodecs: (video !== undefined && !parameters) || (audio !== undefined && sound === null),
    size: parameters?.size ?? null,
    pictures: video?.frames ?? 0,
    picturesMs: video ? ticks / TICKS_PER_MS : 0,
    span: { start, end: onClock(start + ticks + lastTicks) },
    isIndependent,
  }
}

/** What the first picture has: the parameters, and whether later pictures need nothing from before it. */
function videoOf(track: Track): { parameters: VideoParameters | null; isIndependent: boolean } {
  let parameters: VideoParameters | null = null
  for (const unit of unitsOf(concatBytes(...track.head))) {
    if (track.type === AVC) {
      const type = unit[0]! & 0x1f
      if (type === 7) parameters ??= readAvcParameters(unit)
      if (type >= 1 && type <= 5) return { parameters, isIndependent: type === 5 && parameters !== null }
    } else if (track.type === HEVC) {
      const type = (unit[0]! >> 1) & 0x3f
      if (type === 33) parameters ??= readHevcParameters(unit)
      // Instant refreshes and broken links; pictures behind other random access points may need earlier ones.
      if (type < 32) return { parameters, isIndependent: type >= 16 && type <= 20 && parameters !== null }
    }
  }
  return { parameters, isIndependent: false }
}

/** The units of a byte stream between start codes; the last one may be cut off. */
function* unitsOf(stream: Uint8Array): Generator<Uint8Array> {
  let from = -1
  for (let at = 0; at + 3 <= stream.length; at++) {
    if (stream[at] !== 0 || stream[at + 1] !== 0 || stream[at + 2] !== 1) continue
    if (from >= 0 && at > from) yield stream.subarray(from, at)
    from = at + 3
    at += 2
  }
  if (from >= 0 && from < stream.length) yield stream.subarray(from)
}

function audioOf(track: Track): string | null {
  const head = concatBytes(...track.head.slice(0, 2))
  if (track.type === AAC) {
    const isFrame = head.length > 2 && head[0] === 0xff && (head[1]! & 0xf6) === 0xf0
    return isFrame ? `mp4a.40.${(head[2]! >> 6) + 1}` : null
  }
  if (!MPEG_AUDIO.includes(track.type)) return otherAudio.get(track.type) ?? null
  const isFrame = head.length > 2 && head[0] === 0xff && (head[1]! & 0xe0) === 0xe0
  // Layers III, II and I are written 1, 2 and 3.
  const layer = isFrame ? (head[1]! >> 1) & 3 : 0
  return layer === 0 ? null : `mp4a.40.${35 - layer}`
}
