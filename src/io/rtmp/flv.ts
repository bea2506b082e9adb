import { ByteReader } from './byte-reader.ts'
import { RtmpError } from './rtmp-error.ts'

/** The parameters of an H.264 track: parameter sets, and how many bytes the length before each unit has. */
export interface AvcConfig {
  readonly parameterSets: readonly Uint8Array[]
  readonly lengthBytes: number
}

/** The parameters of an AAC track, as a header before each frame repeats them. */
export interface AacConfig {
  /** 1 to 4. */
  readonly objectType: number
  /** The index of the sample rate in the table of AAC. */
  readonly rateIndex: number
  readonly channels: number
}

/** One message of a publisher's video. */
export type VideoTag =
  | { readonly kind: 'config'; readonly config: AvcConfig }
  | { readonly kind: 'frame'; readonly isKey: boolean; readonly delayMs: number; readonly units: Uint8Array }

/** One message of a publisher's sound. */
export type AudioTag =
  | { readonly kind: 'config'; readonly config: AacConfig }
  | { readonly kind: 'frame'; readonly codec: 'aac' | 'mp3'; readonly frame: Uint8Array }

const AVC = 7
/** Video that is not H.264, by its number and by its four characters. */
const otherVideo: Readonly<Record<number | string, string>> = {
  ...{ 2: 'H.263', 3: 'screen video', 4: 'VP6', 5: 'VP6', 6: 'screen video', 8: 'VP8', 9: 'VP9' },
  ...{ 12: 'HEVC', 13: 'AV1', hvc1: 'HEVC', av01: 'AV1', vp08: 'VP8', vp09: 'VP9', vvc1: 'VVC' },
}
const AAC = 10
const MP3: readonly number[] = [2, 14]
const ENHANCED_AUDIO = 9
const otherAudio: Readonly<Record<number | string, string>> = {
  ...{ 0: 'PCM', 1: 'ADPCM', 3: 'PCM', 4: 'Nellymoser', 5: 'Nellymoser', 6: 'Nellymoser', 7: 'G.711' },
  ...{ 8: 'G.711', 11: 'Speex', Opus: 'Opus', 'ac-3': 'AC-3', 'ec-3': 'E-AC-3', fLaC: 'FLAC' },
}
const KEY = 1
const CONFIG = 0
const FRAME = 1
/** A coded frame of enhanced RTMP whose picture is shown when it is decoded. */
const FRAME_WITHOUT_DELAY = 3
const MAX_PARAMETER_SETS = 32
/** Parameters of a track: encoders send some dozen bytes. They are kept, and repeated in each segment. */
const MAX_PARAMETER_BYTES = 16_384
/** A picture in units of one network packet each has fewer in 8 MB. */
const MAX_UNITS = 8_000

/** Reads a video message; null for one without pictures. Throws RtmpError `media` with the name of another codec. */
export function readVideoTag(payload: Uint8Array): VideoTag | null {
  const reader = new ByteReader(payload)
  const first = reader.uint8()
  const isEnhanced = first >= 0x80
  const frameType = (first >> 4) & 7
  if (isEnhanced) {
    const codec = fourCharacters(reader)
    if (codec !== 'avc1') throw refusal('video', otherVideo[codec], codec)
  } else if ((first & 15) !== AVC) {
    throw refusal('video', otherVideo[first & 15], `codec ${first & 15}`)
  }
  const type = isEnhanced ? first & 15 : reader.uint8()
  const hasDelay = !isEnhanced || type === FRAME
  const delayMs = hasDelay ? (reader.uint24() << 8) >> 8 : 0
  if (type === CONFIG) {
    checkParameters(reader)
    return { kind: 'config', config: readAvcConfig(reader) }
  }
  if (type !== FRAME && !(isEnhanced && type === FRAME_WITHOUT_DELAY)) return null
  return { kind: 'frame', isKey: frameType === KEY, delayMs, units: reader.bytes(reader.left) }
}

/** Reads a sound message; null for one without sound. Throws RtmpError `media` with the name of another codec. */
export function readAudioTag(payload: Uint8Array): AudioTag | null {
  const reader = new ByteReader(payload)
  const first = reader.uint8()
  const format = first >> 4
  const isEnhanced = format === ENHANCED_AUDIO
  const name = isEnhanced ? fourCharacters(reader) : ''
  if (MP3.includes(format) || (name === '.mp3' && (first & 15) === FRAME)) {
    return reader.left === 0 ? null : { kind: 'frame', codec: 'mp3', frame: reader.bytes(reader.left) }
  }
  if (name === '.mp3') return null
  if (isEnhanced ? name !== 'mp4a' : format !== AAC) {
    throw refusal('audio', otherAudio[isEnhanced ? name : format], isEnhanced ? name : `format ${format}`)
  }
  // A message of silence has no bytes behind its header.
  if (!isEnhanced && reader.left === 0) return null
  const type = isEnhanced ? first & 15 : reader.uint8()
  if (type === CONFIG) {
    checkParameters(reader)
    return { kind: 'config', config: readAacConfig(reader) }
  }
  if (type !== FRAME || reader.left === 0) return null
  return { kind: 'frame', codec: 'aac', frame: reader.bytes(reader.left) }
}

function checkParameters({ left }: ByteReader): void {
  if (left > MAX_PARAMETER_BYTES) {
    throw new RtmpError('limit', `parameters of ${left} bytes, more than ${MAX_PARAMETER_BYTES}`)
  }
}

/**
 * The units of a frame without the lengths before them; what is cut off is left out. Throws RtmpError `limit` for more
 * than an encoder makes of one picture.
 */
export function unitsOf(frame: Uint8Array, lengthBytes: number): readonly Uint8Array[] {
  const units: Uint8Array[] = []
  for (let at = 0; at + lengthBytes < frame.length; ) {
    let length = 0
    for (let i = 0; i < lengthBytes; i++) length = length * 256 + frame[at++]!
    if (length > frame.length - at) break
    if (length > 0) units.push(frame.subarray(at, at + length))
    if (units.length > MAX_UNITS) throw new RtmpError('limit', `a picture has more than ${MAX_UNITS} units`)
    at += length
  }
  return units
}

function readAvcConfig(reader: ByteReader): AvcConfig {
  reader.bytes(4)
  const lengthBytes = (reader.uint8() & 3) + 1
  const sets: Uint8Array[] = []
  for (const mask of [0x1f, 0xff]) {
    const count = reader.uint8() & mask
    if (count > MAX_PARAMETER_SETS) throw new RtmpError('limit', `H.264 with ${count} parameter sets`)
    // A copy, so that it does not keep the message.
    for (let i = 0; i < count; i++) sets.push(reader.bytes(reader.uint16()).slice())
  }
  return { parameterSets: sets.filter(({ length }) => length > 0), lengthBytes }
}

const ESCAPED_TYPE = 31
const ESCAPED_RATE = 15
/** Object types that only announce an extension of the one that follows: SBR and PS. */
const EXTENSIONS: readonly number[] = [5, 29]

function readAacConfig(reader: ByteReader): AacConfig {
  const bits = bitsOf(reader.bytes(Math.min(reader.left, 8)))
  const typeOf = () => {
    const type = bits(5)
    return type === ESCAPED_TYPE ? 32 + bits(6) : type
  }
  const rateOf = () => {
    const index = bits(4)
    if (index === ESCAPED_RATE) bits(24)
    return index
  }
  let objectType = typeOf()
  const rateIndex = rateOf()
  const channels = bits(4)
  if (EXTENSIONS.includes(objectType)) {
    rateOf()
    objectType = typeOf()
  }
  if (objectType < 1 || objectType > 4 || rateIndex > 12 || channels < 1 || channels > 7) {
    throw new RtmpError(
      'media',
      `AAC of object type ${objectType} with rate ${rateIndex} and channel layout ${channels} cannot be served: send AAC-LC`,
    )
  }
  return { objectType, rateIndex, channels }
}

/** Reads bits from the highest; zeros past the end. */
function bitsOf(bytes: Uint8Array): (count: number) => number {
  let at = 0
  return (count) => {
    let value = 0
    for (let i = 0; i < count; i++, at++) value = value * 2 + (((bytes[at >> 3] ?? 0) >> (7 - (at & 7))) & 1)
    return value
  }
}

function fourCharacters(reader: ByteReader): string {
  return Buffer.from(reader.bytes(4))
    .toString('latin1')
    .replace(/[^ -~]/g, '?')
}

function refusal(track: 'video' | 'audio', name: string | undefined, spelled: string): RtmpError {
  const wanted = track === 'video' ? 'H.264' : 'AAC or MP3'
  return new RtmpError('media', `${name ?? spelled} ${track} cannot be served: send ${wanted}`)
}
