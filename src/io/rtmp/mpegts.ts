import { type AacConfig, type AvcConfig, unitsOf } from './flv.ts'

/** One frame with its times in milliseconds. */
export interface Sample {
  readonly track: 'video' | 'audio'
  readonly decodeMs: number
  /** When it is shown; for sound the same. */
  readonly showMs: number
  readonly isKey: boolean
  /** Video: units with lengths before them. Sound: one frame without a header. */
  readonly data: Uint8Array
}

/** The tracks of a segment; null for one that it does not have. */
export interface Tracks {
  readonly video: AvcConfig | null
  readonly audio: { readonly codec: 'aac'; readonly config: AacConfig } | { readonly codec: 'mp3' } | null
}

const PACKET = 188
/** How much longer frames mostly are in packets. */
const ROOM = 1.05
const PMT_PID = 0x1000
const VIDEO_PID = 0x100
const AUDIO_PID = 0x101
const STREAM_TYPES = { avc: 0x1b, aac: 0x0f, mp3: 0x03 } as const
const VIDEO_STREAM = 0xe0
const AUDIO_STREAM = 0xc0
/** Times count from here, and decoders' clocks behind them, so that nothing is due before it has arrived. */
const FIRST_MS = 1_400
const CLOCK_BEHIND_TICKS = 63_000
const TICKS_PER_MS = 90
/** Sound frames share a packet of the elementary stream as long as they span no more than this. */
const AUDIO_SPAN_MS = 200
const MAX_AUDIO_PES_BYTES = 16_000
/** Sound that skips more than this does not share a packet, whose later frames have no times of their own. */
const AUDIO_GAP_MS = 100
const ADTS_BYTES = 7
const MAX_ADTS_FRAME = 8_191
const DELIMITER = Buffer.from([0, 0, 0, 1, 9, 0xf0])
const START_CODE = Buffer.from([0, 0, 0, 1])
const UNIT = { idr: 5, sps: 7, pps: 8, delimiter: 9 } as const

/** Writes segments of one stream in MPEG-TS, whose packets are counted from segment to segment. */
export class TsMuxer {
  readonly #counters = new Map<number, number>()
  /** The segment so far, with room for more. */
  #bytes = Buffer.alloc(0)
  #length = 0

  /** One segment that can be played by itself. Its samples are in the order in which they arrived. */
  mux(tracks: Tracks, samples: readonly Sample[]): Uint8Array {
    const sampleBytes = samples.reduce((sum, { data }) => sum + data.length, 0)
    this.#bytes = Buffer.allocUnsafe(PACKET * (2 + samples.length) + Math.ceil(sampleBytes * ROOM))
    this.#length = 0
    this.#writeTables(tracks)
    const clockTrack = tracks.video ? 'video' : 'audio'
    let waiting: Sample[] = []
    const flush = () => {
      if (waiting.length > 0 && tracks.audio) this.#writeAudio(tracks.audio, waiting, clockTrack === 'audio')
      waiting = []
    }
    for (const sample of samples) {
      const [first, last] = [waiting[0], waiting.at(-1)]
      if (first && last) {
        const bytes = waiting.reduce((sum, { data }) => sum + data.length + ADTS_BYTES, sample.data.length)
        const isGap = sample.track === 'audio' && sample.decodeMs - last.decodeMs > AUDIO_GAP_MS
        if (sample.decodeMs - first.decodeMs >= AUDIO_SPAN_MS || bytes > MAX_AUDIO_PES_BYTES || isGap) flush()
      }
      if (sample.track === 'audio') waiting.push(sample)
      else if (tracks.video) this.#writeVideo(tracks.video, sample)
    }
    flush()
    const bytes = Buffer.from(this.#bytes.subarray(0, this.#length))
    this.#bytes = Buffer.alloc(0)
    return bytes
  }

  #writeTables({ audio, video }: Tracks): void {
    const program = [0, 1, 0xe0 | (PMT_PID >> 8), PMT_PID & 0xff]
    this.#writeTable(0, table(0, [0, 1, 0xc1, 0, 0, ...program]))
    const clockPid = video ? VIDEO_PID : AUDIO_PID
    const entry = (type: number, pid: number) => [type, 0xe0 | (pid >> 8), pid & 0xff, 0xf0, 0]
    this.#writeTable(
      PMT_PID,
      table(2, [
        ...[0, 1, 0xc1, 0, 0, 0xe0 | (clockPid >> 8), clockPid & 0xff, 0xf0, 0],
        ...(video ? entry(STREAM_TYPES.avc, VIDEO_PID) : []),
        ...(audio ? entry(STREAM_TYPES[audio.codec], AUDIO_PID) : []),
      ]),
    )
  }

  #writeTable(pid: number, section: Uint8Array): void {
    const packet = this.#packet(pid, true, false)
    packet.fill(0xff, 4)
    packet[4] = 0
    packet.set(section, 5)
  }

  #writeVideo(config: AvcConfig, { data, decodeMs, isKey, showMs }: Sample): void {
    const units = unitsOf(data, config.lengthBytes).filter((unit) => typeOf(unit) !== UNIT.delimiter)
    const hasSets = units.some((unit) => typeOf(unit) === UNIT.sps)
    const all = isKey && !hasSets ? [...config.parameterSets, ...units] : units
    const payload = Buffer.concat([DELIMITER, ...all.flatMap((unit) => [START_CODE, unit])])
    const decode = ticksOf(decodeMs)
    const show = ticksOf(showMs)
    const times = show === decode ? [...time(2, show)] : [...time(3, show), ...time(1, decode)]
    this.#writePes(VIDEO_PID, VIDEO_STREAM, times, payload, { clock: decode, isKey })
  }

  #writeAudio(audio: NonNullable<Tracks['audio']>, frames: readonly Sample[], hasClock: boolean): void {
    const payload = Buffer.concat(
      frames.flatMap(({ data }) => (audio.codec === 'aac' ? withHeader(audio.config, data) : [data])),
    )
    const at = ticksOf(frames[0]!.decodeMs)
    this.#writePes(AUDIO_PID, AUDIO_STREAM, time(2, at), payload, {
      clock: hasClock ? at : null,
      isKey: hasClock,
    })
  }

  #writePes(
    pid: number,
    stream: number,
    times: readonly number[],
    payload: Uint8Array,
    { clock, isKey }: { clock: number | null; isKey: boolean },
  ): void {
    const length = 3 + times.length + payload.length
    const declared = length > 0xffff ? 0 : length
    const flags = times.length > 5 ? 0xc0 : 0x80
    const header = [0, 0, 1, stream, declared >> 8, declared & 0xff, 0x84, flags, times.length, ...times]
    const bytes = Buffer.concat([Buffer.from(header), payload])
    for (let at = 0, isFirst = true; at < bytes.length; isFirst = false) {
      const extra = isFirst && (clock !== null || isKey) ? adaptation(clock, isKey) : []
      const room = PACKET - 4 - (extra.length > 0 ? extra.length + 1 : 0)
      const part = Math.min(room, bytes.length - at)
      const stuffing = room - part
      const packet = this.#packet(pid, isFirst, extra.length > 0 || stuffing > 0)
      if (extra.length > 0 || stuffing > 0) writeAdaptation(packet, extra, PACKET - 4 - part - 1)
      packet.set(bytes.subarray(at, at + part), PACKET - part)
      at += part
    }
  }

  #packet(pid: number, isStart: boolean, hasAdaptation: boolean): Buffer {
    const counter = this.#counters.get(pid) ?? 0
    this.#counters.set(pid, (counter + 1) & 15)
    if (this.#length + PACKET > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2)
    }
    const packet = this.#bytes.subarray(this.#length, this.#length + PACKET)
    this.#length += PACKET
    packet[0] = 0x47
    packet[1] = (isStart ? 0x40 : 0) | (pid >> 8)
    packet[2] = pid & 0xff
    packet[3] = (hasAdaptation ? 0x30 : 0x10) | counter
    return packet
  }
}

/** Fills the adaptation field, whose length byte counts `length` bytes behind it. */
function writeAdaptation(packet: Buffer, content: readonly number[], length: number): void {
  packet[4] = length
  packet.fill(0xff, 5, 5 + length)
  if (length === 0) return
  packet[5] = 0
  packet.set(content, 5)
}

function adaptation(clock: number | null, isKey: boolean): readonly number[] {
  const flags = (isKey ? 0x40 : 0) | (clock === null ? 0 : 0x10)
  if (clock === null) return [flags]
  const base = (clock - CLOCK_BEHIND_TICKS + 2 ** 33) % 2 ** 33
  const low = base % 2 ** 25
  return [
    flags,
    Math.floor(base / 2 ** 25),
    low >> 17,
    (low >> 9) & 0xff,
    (low >> 1) & 0xff,
    ((low & 1) << 7) | 0x7e,
    0,
  ]
}

function time(prefix: number, ticks: number): readonly number[] {
  const high = Math.floor(ticks / 2 ** 30)
  const low = ticks % 2 ** 30
  return [
    ...[(prefix << 4) | (high << 1) | 1, (low >> 22) & 0xff, ((low >> 14) & 0xfe) | 1],
    ...[(low >> 7) & 0xff, ((low << 1) & 0xfe) | 1],
  ]
}

function ticksOf(ms: number): number {
  return (Math.round((ms + FIRST_MS) * TICKS_PER_MS) + 2 ** 33) % 2 ** 33
}

function withHeader(
  { channels, objectType, rateIndex }: AacConfig,
  frame: Uint8Array,
): readonly Uint8Array[] {
  const length = frame.length + ADTS_BYTES
  if (length > MAX_ADTS_FRAME) return []
  const header = Buffer.from([
    ...[0xff, 0xf1, ((objectType - 1) << 6) | (rateIndex << 2) | (channels >> 2)],
    ...[((channels & 3) << 6) | (length >> 11), (length >> 3) & 0xff, ((length & 7) << 5) | 0x1f, 0xfc],
  ])
  return [header, frame]
}

function typeOf(unit: Uint8Array): number {
  return unit[0]! & 0x1f
}

/** A section of program tables with its checksum. */
function table(id: number, content: readonly number[]): Uint8Array {
  const length = content.length + 4
  const section = Buffer.from([id, 0xb0 | (length >> 8), length & 0xff, ...content, 0, 0, 0, 0])
  section.writeUInt32BE(checksum(section.subarray(0, -4)), section.length - 4)
  return section
}

/** CRC-32 as MPEG-2 has it. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte << 24
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1
  }
  return crc >>> 0
}
