import { type Box, boxesIn, inside } from './mp4/box-reader.ts'
import { hevcCodec, type PictureSize } from './parameter-sets.ts'
import type { SegmentFacts } from './segment-facts.ts'

/** What a track of a file is. */
interface Track {
  readonly isVideo: boolean
  readonly codec: string | null
  readonly size: PictureSize | null
  readonly samples: number
  /** From the first sample to the last one. */
  readonly samplesMs: number
  readonly beginsWithKey: boolean
}

/** Bytes of a sample entry before the boxes in it. */
const VIDEO_ENTRY_BYTES = 78
const AUDIO_ENTRY_BYTES = 28
const MAX_RUNS = 300_000

/** Reads a whole MP4 file; null where it is none. Fragments of a file say nothing by themselves. */
export function mp4Facts(bytes: Uint8Array): SegmentFacts | null {
  const movie = inside(bytes, 'moov')
  if (!movie) return null
  const tracks = boxesIn(movie).flatMap(({ body, type }) => (type === 'trak' ? (trackOf(body) ?? []) : []))
  const video = tracks.find(({ isVideo }) => isVideo)
  const audio = tracks.find(({ isVideo }) => !isVideo)
  if (!video && !audio) return null
  return {
    video: video?.codec ?? null,
    audio: audio?.codec ?? null,
    hasOtherCodecs: [video, audio].some((track) => track !== undefined && track.codec === null),
    size: video?.size ?? null,
    pictures: video?.samples ?? 0,
    picturesMs: video?.samplesMs ?? 0,
    // Each file counts from its own beginning.
    span: null,
    isIndependent: video?.beginsWithKey ?? true,
  }
}

function trackOf(bytes: Uint8Array): Track | null {
  const media = inside(bytes, 'mdia') ?? bytes.subarray(0, 0)
  const handler = inside(media, 'hdlr')
  const table = inside(media, 'minf', 'stbl') ?? bytes.subarray(0, 0)
  const entry = inside(table, 'stsd')
  const kind = handler && handler.length >= 12 ? lettersAt(handler, 8) : ''
  if ((kind !== 'vide' && kind !== 'soun') || !entry || entry.length < 16) return null
  const isVideo = kind === 'vide'
  const [sample] = boxesIn(entry.subarray(8))
  if (!sample) return null
  return {
    isVideo,
    codec: isVideo ? videoCodec(sample) : audioCodec(sample),
    size: isVideo ? sizeOf(sample.body) : null,
    ...timesOf(inside(table, 'stts'), timescaleOf(inside(media, 'mdhd'))),
    beginsWithKey: beginsWithKey(inside(table, 'stss')),
  }
}

function sizeOf(entry: Uint8Array): PictureSize | null {
  if (entry.length < VIDEO_ENTRY_BYTES) return null
  const view = viewOf(entry)
  const [width, height] = [view.getUint16(24), view.getUint16(26)]
  return width > 0 && height > 0 ? { width, height } : null
}

function videoCodec({ body, type }: Box): string | null {
  const described = body.subarray(VIDEO_ENTRY_BYTES)
  if (type === 'avc1' || type === 'avc3') {
    const config = inside(described, 'avcC')
    return config && config.length >= 4 ? `avc1.${hexOf(config.subarray(1, 4))}` : null
  }
  if (type === 'hvc1' || type === 'hev1') {
    const config = inside(described, 'hvcC')
    return config && config.length >= 13 ? hevcCodec(config.subarray(1, 13)) : null
  }
  if (type === 'vp08') return 'vp08'
  const config = type === 'vp09' ? inside(described, 'vpcC') : null
  if (!config || config.length < 7) return null
  return `vp09.${[config[4]!, config[5]!, config[6]! >> 4].map((n) => String(n).padStart(2, '0')).join('.')}`
}

function audioCodec({ body, type }: Box): string | null {
  if (type === 'ac-3' || type === 'ec-3') return type
  if (type === 'Opus') return 'opus'
  if (type === '.mp3') return 'mp4a.40.34'
  const stream = type === 'mp4a' ? inside(body.subarray(AUDIO_ENTRY_BYTES), 'esds') : null
  return stream === null ? null : streamCodec(stream.subarray(4))
}

/** The codec of an elementary stream by its descriptors, which lie in each other. */
function streamCodec(bytes: Uint8Array): string | null {
  let at = 0
  /** Passes over the tag and the length of a descriptor. */
  const enter = (tag: number): boolean => {
    if (bytes[at++] !== tag) return false
    for (let i = 0; i < 4 && ((bytes[at++] ?? 0) & 0x80) !== 0; i++);
    return true
  }
  if (!enter(3)) return null
  const flags = bytes[at + 2] ?? 0
  at += 3
  if ((flags & 0x80) !== 0) at += 2
  if ((flags & 0x40) !== 0) at += 1 + (bytes[at] ?? 0)
  if ((flags & 0x20) !== 0) at += 2
  if (!enter(4)) return null
  const kind = bytes[at] ?? 0
  at += 13
  if (kind === 0x69 || kind === 0x6b) return 'mp4a.40.34'
  if (kind !== 0x40 || !enter(5)) return null
  const first = bytes[at] ?? 0
  const object = first >> 3
  return `mp4a.40.${object === 31 ? 32 + (((first & 7) << 3) | ((bytes[at + 1] ?? 0) >> 5)) : object}`
}

function timescaleOf(header: Uint8Array | null): number {
  if (!header || header.length < 24) return 0
  return viewOf(header).getUint32(header[0] === 1 ? 20 : 12)
}

function timesOf(
  table: Uint8Array | null,
  timescale: number,
): { readonly samples: number; readonly samplesMs: number } {
  let [samples, ticks, last] = [0, 0, 0]
  const view = viewOf(table ?? new Uint8Array(0))
  for (let at = 8, runs = 0; at + 8 <= view.byteLength && runs < MAX_RUNS; at += 8, runs++) {
    const count = view.getUint32(at)
    last = view.getUint32(at + 4)
    samples += count
    ticks += count * last
  }
  return { samples, samplesMs: timescale > 0 && samples > 1 ? (1000 * (ticks - last)) / timescale : 0 }
}

/** Without a table of key frames every sample is one. */
function beginsWithKey(table: Uint8Array | null): boolean {
  return table === null || (table.length >= 12 && viewOf(table).getUint32(8) === 1)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function lettersAt(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4))
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
