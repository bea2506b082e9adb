import { TICKS_PER_SECOND, ticksBetween, timeAt } from '../mpegts-clock.ts'
import { u32 } from './boxes.ts'
import { type MediaSample, type MediaSegment, type MediaTrack, unreadable } from './media-segment.ts'
import { avc, hevc, type PictureCodec } from './pictures.ts'
import { aacFrame, mp3Frame, type SoundFrame } from './sound.ts'

const PACKET = 188
const SYNC = 0x47
const START_CODE = Buffer.from([0, 0, 1])
/** What there is by its number in a program's table. */
const STREAMS: Readonly<Record<number, Codec>> = { 27: 'avc', 36: 'hevc', 15: 'aac', 3: 'mp3', 4: 'mp3' }
type Codec = 'avc' | 'hevc' | 'aac' | 'mp3'
const PICTURES: Readonly<Partial<Record<Codec, PictureCodec>>> = { avc, hevc }
/** Five minutes of 60 frames a second in slices, and of sound. */
const MAX_UNITS = 300_000
const MAX_FRAMES = 100_000
/** What a frame lasts where nothing tells. */
const FRAME_TICKS = 3_000

/** What a packet of an elementary stream brought. */
interface Payload {
  readonly bytes: Buffer
  /** Null for what goes on from the packet before. */
  readonly show: number | null
  readonly decode: number | null
  readonly isRandom: boolean
}

/**
 * Takes apart a segment of MPEG-TS with pictures in H.264 or HEVC and sound in AAC or MP3, whatever its bytes are. Throws NodeError
 * `unreadable-media`.
 */
export function readTransportStream(bytes: Uint8Array): MediaSegment {
  const { payloads, streams } = payloadsOf(bytes)
  const video = [...streams].find(([, codec]) => PICTURES[codec])
  const sound = [...streams].find(([, codec]) => !PICTURES[codec])
  const codec = video && PICTURES[video[1]]
  const pictures = video === undefined ? [] : (payloads.get(video[0]) ?? [])
  const frames = sound === undefined ? [] : framesOf(payloads.get(sound[0]) ?? [], sound[1])
  const starts = [pictures.find(({ decode }) => decode !== null)?.decode ?? null, frames[0]?.show ?? null]
  const known = starts.filter((start) => start !== null)
  const [first] = known
  if (first === undefined) throw unreadable('neither pictures in H.264 or HEVC nor sound in AAC or MP3')
  const startTicks = known.reduce((least, start) => (ticksBetween(least, start) < 0 ? start : least), first)
  const tracks = [codec ? videoTrack(pictures, codec, startTicks) : null, soundTrack(frames, startTicks)]
  const found = tracks.filter((track) => track !== null)
  if (found.length === 0) throw unreadable('no frame that begins anything')
  return { startTicks, tracks: found }
}

function payloadsOf(input: Uint8Array) {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  const streams = new Map<number, Codec>()
  const open = new Map<number, { parts: Buffer[]; isRandom: boolean }>()
  const payloads = new Map<number, Payload[]>()
  let tablePid = -1
  let count = 0
  const close = (pid: number) => {
    const packet = open.get(pid)
    if (!packet) return
    open.delete(pid)
    const payload = payloadOf(Buffer.concat(packet.parts), packet.isRandom)
    if (!payload) return
    if (++count > MAX_FRAMES) throw unreadable(`more than ${MAX_FRAMES} packets of frames`)
    const listed = payloads.get(pid)
    if (listed) listed.push(payload)
    else payloads.set(pid, [payload])
  }
  for (let at = nextPacket(bytes, 0); at >= 0 && at + PACKET <= bytes.length; at += PACKET) {
    if (bytes[at] !== SYNC) {
      at = nextPacket(bytes, at)
      if (at < 0) break
    }
    const pid = bytes.readUInt16BE(at + 1) & 0x1fff
    const isStart = (bytes[at + 1]! & 0x40) !== 0
    const control = bytes[at + 3]!
    const extra = (control & 0x20) !== 0 ? 1 + bytes[at + 4]! : 0
    if ((control & 0x10) === 0 || extra > PACKET - 4) continue
    const content = bytes.subarray(at + 4 + extra, at + PACKET)
    if (pid === 0 && isStart) tablePid = programOf(sectionOf(content)) ?? tablePid
    else if (pid === tablePid && isStart) readStreams(sectionOf(content), streams)
    else if (streams.has(pid)) {
      if (isStart) {
        close(pid)
        open.set(pid, { parts: [], isRandom: extra > 1 && (bytes[at + 5]! & 0x40) !== 0 })
      }
      open.get(pid)?.parts.push(content)
    }
  }
  for (const pid of [...open.keys()]) close(pid)
  return { payloads, streams }
}

/** The next place where two packets seem to begin. */
function nextPacket(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(SYNC, from); at >= 0; at = bytes.indexOf(SYNC, at + 1)) {
    if (at + PACKET >= bytes.length || bytes[at + PACKET] === SYNC) return at
  }
  return -1
}

function sectionOf(content: Buffer): Buffer {
  const start = 1 + (content[0] ?? 0)
  const length = content.length >= start + 3 ? content.readUInt16BE(start + 1) & 0xfff : 0
  // Without its checksum.
  return content.subarray(start, Math.max(start, Math.min(content.length, start + 3 + length - 4)))
}

function programOf(section: Buffer): number | null {
  for (let at = 8; at + 4 <= section.length; at += 4) {
    if (section.readUInt16BE(at) !== 0) return section.readUInt16BE(at + 2) & 0x1fff
  }
  return null
}

function readStreams(section: Buffer, streams: Map<number, Codec>): void {
  if (section.length < 12) return
  for (let at = 12 + (section.readUInt16BE(10) & 0xfff); at + 5 <= section.length; ) {
    const codec = STREAMS[section[at]!]
    const pid = section.readUInt16BE(at + 1) & 0x1fff
    const isLike = (known: Codec) => codec !== undefined && known in PICTURES === codec in PICTURES
    if (codec !== undefined && ![...streams.values()].some(isLike)) streams.set(pid, codec)
    at += 5 + (section.readUInt16BE(at + 3) & 0xfff)
  }
}

function payloadOf(bytes: Buffer, isRandom: boolean): Payload | null {
  if (bytes.length < 9 || bytes.readUIntBE(0, 3) !== 1) return null
  const flags = bytes[7]! >> 6
  const start = 9 + bytes[8]!
  const show = (flags & 2) !== 0 && bytes.length >= 14 ? timeAt(bytes, 9) : null
  const decode = flags === 3 && bytes.length >= 19 ? timeAt(bytes, 14) : show
  return { bytes: bytes.subarray(start), show, decode, isRandom }
}

interface Picture {
  readonly units: Uint8Array[]
  readonly decode: number
  readonly show: number
  readonly isRandom: boolean
}

function videoTrack(
  payloads: readonly Payload[],
  codec: PictureCodec,
  startTicks: number,
): MediaTrack | null {
  const pictures: Picture[] = []
  let total = 0
  for (const { bytes, decode, isRandom, show } of payloads) {
    const units = unitsOf(bytes, codec)
    total += units.length
    if (total > MAX_UNITS) throw unreadable(`more than ${MAX_UNITS} units`)
    if (decode !== null && show !== null) {
      const times = [decode, show].map((ticks) => ticksBetween(startTicks, ticks))
      pictures.push({ units, decode: times[0]!, show: times[1]!, isRandom })
    } else for (const unit of units) pictures.at(-1)?.units.push(unit)
  }
  const entry = codec.entryOf(pictures.flatMap(({ units }) => units))
  if (!entry) return null
  const samples: MediaSample[] = []
  for (const [at, { decode, isRandom, show, units }] of pictures.entries()) {
    const next = pictures[at + 1]?.decode
    const duration =
      next === undefined ? (samples.at(-1)?.duration ?? FRAME_TICKS) : within(Math.max(1, next - decode))
    const data = units.flatMap((unit) => [u32(unit.length), unit])
    const bytes = units.reduce((sum, { length }) => sum + 4 + length, 0)
    const isKey = isRandom || units.some((unit) => codec.isKey(unit))
    samples.push({ data, bytes, decode, duration, delay: within(show - decode), isKey })
  }
  return { kind: 'video', timescale: TICKS_PER_SECOND, ...entry, describesItself: true, samples }
}

/** The units of a picture, but not those that only mark its begin. */
function unitsOf(bytes: Buffer, codec: PictureCodec): Uint8Array[] {
  const units: Uint8Array[] = []
  for (let start = bytes.indexOf(START_CODE); start >= 0 && units.length <= MAX_UNITS; ) {
    const begin = start + START_CODE.length
    start = bytes.indexOf(START_CODE, begin)
    let end = start < 0 ? bytes.length : start
    while (end > begin && bytes[end - 1] === 0) end--
    const unit = bytes.subarray(begin, end)
    if (unit.length > 0 && !codec.isDelimiter(unit)) units.push(unit)
  }
  return units
}

interface Frame extends SoundFrame {
  readonly data: Uint8Array
  /** By the stream's clock; null behind another frame of the same packet. */
  readonly show: number | null
}

function framesOf(payloads: readonly Payload[], codec: Codec): Frame[] {
  const frames: Frame[] = []
  const read = codec === 'aac' ? aacFrame : mp3Frame
  let rest: Buffer = Buffer.alloc(0)
  for (const payload of payloads) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, payload.bytes]) : payload.bytes
    // The time is that of the first frame that begins in the packet.
    let show = payload.show
    let at = 0
    while (at < bytes.length) {
      const frame = read(bytes, at)
      if (!frame) {
        at = bytes.length - at < 7 ? bytes.length : bytes.indexOf(0xff, at + 1)
        if (at < 0) at = bytes.length
        continue
      }
      if (at + frame.bytes > bytes.length) break
      const isOfThis = at >= rest.length
      const data = bytes.subarray(at + frame.head, at + frame.bytes)
      if (frames.length > 0 || (isOfThis && show !== null)) {
        frames.push({ ...frame, data, show: isOfThis ? show : null })
        if (frames.length > MAX_FRAMES) throw unreadable(`more than ${MAX_FRAMES} frames of sound`)
      }
      if (isOfThis) show = null
      at += frame.bytes
    }
    rest = bytes.subarray(Math.min(at, bytes.length))
    // No frame is longer.
    if (rest.length > 8_191) rest = Buffer.alloc(0)
  }
  return frames
}

function soundTrack(frames: readonly Frame[], startTicks: number): MediaTrack | null {
  const [first] = frames
  if (!first) return null
  const { rate, samples: usual } = first
  const same = frames.filter((frame) => frame.rate === rate && frame.samples === usual)
  const starts: number[] = []
  for (const { show } of same) {
    const expected = starts.length > 0 ? starts.at(-1)! + usual : 0
    const told =
      show === null ? expected : Math.round((ticksBetween(startTicks, show) * rate) / TICKS_PER_SECOND)
    // Rounded times are not followed, only what is missing or moved.
    const isGap = starts.length === 0 || told > expected + usual / 2
    starts.push(isGap ? told : expected)
  }
  const samples = same.map(({ data }, at): MediaSample => {
    const next = starts[at + 1]
    const duration = next === undefined ? usual : within(next - starts[at]!)
    return { data: [data], bytes: data.length, decode: starts[at]!, duration, delay: 0, isKey: true }
  })
  return {
    kind: 'audio',
    timescale: rate,
    entry: first.entry(),
    width: 0,
    height: 0,
    describesItself: false,
    samples,
  }
}

/** What an MP4 can say of a frame's time; what is beyond has lost its sense anyway. */
function within(ticks: number): number {
  return Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, ticks))
}
