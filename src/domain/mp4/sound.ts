import { box, fullBox, u8, u16, u32 } from './boxes.ts'

/** A frame of sound in a stream. */
export interface SoundFrame {
  /** The whole frame, and how much of its head an MP4 leaves out. */
  readonly bytes: number
  readonly head: number
  readonly rate: number
  /** Samples of each channel. */
  readonly samples: number
  readonly entry: () => Uint8Array
}

const AAC_RATES = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
]
const AAC_SAMPLES = 1_024
const MP3_RATES = [44_100, 48_000, 32_000]
/** Kilobits per second of layer III, of MPEG-1 and of MPEG-2. */
const MP3_KILOBITS = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
]
const OBJECT = { aac: 0x40, mp3: 0x6b, mp3Low: 0x69 }

/** The AAC frame that begins here; null where none does (ADTS). */
export function aacFrame(bytes: Uint8Array, at: number): SoundFrame | null {
  if (at + 7 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1]! & 0xf6) !== 0xf0) return null
  const third = bytes[at + 2]!
  const fourth = bytes[at + 3]!
  const rate = AAC_RATES[(third >> 2) & 15]
  const length = ((fourth & 3) << 11) | (bytes[at + 4]! << 3) | (bytes[at + 5]! >> 5)
  const head = (bytes[at + 1]! & 1) === 1 ? 7 : 9
  if (rate === undefined || length <= head) return null
  const channels = ((third & 1) << 2) | (fourth >> 6)
  const config = u16((((third >> 6) + 1) << 11) | (((third >> 2) & 15) << 7) | (channels << 3))
  return {
    ...{ bytes: length, head, rate, samples: AAC_SAMPLES },
    entry: () => soundEntry(OBJECT.aac, { channels: channels === 7 ? 8 : channels, rate, config }),
  }
}

/** The MP3 frame that begins here; null where none does. */
export function mp3Frame(bytes: Uint8Array, at: number): SoundFrame | null {
  if (at + 4 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1]! & 0xe6) !== 0xe2) return null
  const version = (bytes[at + 1]! >> 3) & 3
  const third = bytes[at + 2]!
  const base = MP3_RATES[(third >> 2) & 3]
  const isFull = version === 3
  const kilobits = MP3_KILOBITS[isFull ? 0 : 1]![third >> 4]
  if (version === 1 || base === undefined || !kilobits) return null
  const rate = base / (isFull ? 1 : version === 2 ? 2 : 4)
  const length = Math.floor((isFull ? 144_000 : 72_000) * (kilobits / rate)) + ((third >> 1) & 1)
  const channels = bytes[at + 3]! >> 6 === 3 ? 1 : 2
  return {
    ...{ bytes: length, head: 0, rate, samples: isFull ? 1_152 : 576 },
    entry: () =>
      soundEntry(isFull ? OBJECT.mp3 : OBJECT.mp3Low, { channels, rate, config: new Uint8Array(0) }),
  }
}

function soundEntry(
  object: number,
  { channels, config, rate }: { channels: number; rate: number; config: Uint8Array },
): Uint8Array {
  const specific = config.length === 0 ? [] : [descriptor(5, config)]
  const decoder = descriptor(4, u8(object, 0x15, 0, 0, 0), u32(0, 0), ...specific)
  const stream = descriptor(3, u16(0), u8(0), decoder, descriptor(6, u8(2)))
  return box(
    'mp4a',
    ...[Buffer.alloc(6), u16(1), Buffer.alloc(8), u16(channels, 16, 0, 0)],
    ...[u32(rate * 65_536), fullBox('esds', 0, 0, stream)],
  )
}

function descriptor(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([u8(tag, body.length), body])
}
