import { boxesIn, inside } from './box-reader.ts'
import { type MediaSample, type MediaSegment, type MediaTrack, unreadable } from './media-segment.ts'

/** Five minutes of sound. */
const MAX_SAMPLES = 100_000
/** Ticks in a second, so that five minutes fit into the 32 bits of an index of fragments. */
const MAX_TIMESCALE = 10_000_000
/** How far tracks are moved against one another, so that times stay whole numbers. */
const MAX_SHIFT = 2 ** 32
/** Where a box that describes pictures has their size. */
const SIZE_AT = 32
/** The descriptor of a decoder. */
const DECODER = 4

/**
 * Takes apart a segment that is an MP4 with an index, whatever its bytes are. Its samples are taken as they are, of any
 * codec; such a segment begins at no time of a stream. Throws NodeError `unreadable-media`.
 */
export function readMp4(input: Uint8Array): MediaSegment {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  try {
    const movie = inside(bytes, 'moov')
    const scale = movie && inside(movie, 'mvhd')?.readUInt32BE(12)
    if (!movie || !scale) throw unreadable('an MP4 without an index')
    const all = boxesIn(movie).filter(({ type }) => type === 'trak')
    const tracks = ['video', 'audio'].flatMap((kind) => {
      const found = all.find(({ body }) => kindOf(body) === kind)
      const track = found && trackOf(found.body, bytes, { kind: kind as MediaTrack['kind'], scale })
      return track ? [track] : []
    })
    if (tracks.length === 0) throw unreadable('an MP4 without pictures and sound, or in fragments')
    return { startTicks: null, tracks: together(tracks) }
  } catch (error) {
    if (error instanceof RangeError) throw unreadable('an MP4 that is cut off')
    throw error
  }
}

function kindOf(track: Buffer): 'video' | 'audio' | null {
  const handler = inside(track, 'mdia', 'hdlr')?.toString('latin1', 8, 12)
  return handler === 'vide' ? 'video' : handler === 'soun' ? 'audio' : null
}

interface Unplaced extends MediaTrack {
  /** When it begins to be shown, in seconds. */
  readonly shiftSeconds: number
}

function trackOf(
  track: Buffer,
  file: Buffer,
  { kind, scale }: { kind: MediaTrack['kind']; scale: number },
): Unplaced | null {
  const header = inside(track, 'mdia', 'mdhd')
  const tables = inside(track, 'mdia', 'minf', 'stbl')
  const described = tables && inside(tables, 'stsd')
  if (!header || !tables || !described) return null
  const timescale = header.readUInt32BE(header[0] === 1 ? 20 : 12)
  const entry = withoutRates(described.subarray(8, 8 + described.readUInt32BE(8)))
  if (timescale === 0 || timescale > MAX_TIMESCALE || entry.length < SIZE_AT)
    throw unreadable('an MP4 whose tracks say nothing of themselves')
  const isVideo = kind === 'video'
  const [width, height] = isVideo ? [entry.readUInt16BE(SIZE_AT), entry.readUInt16BE(SIZE_AT + 2)] : [0, 0]
  const samples = samplesOf(tables, file)
  const shiftSeconds = shiftOf(track, { timescale, scale })
  return { kind, entry, timescale, width, height, samples, describesItself: false, shiftSeconds }
}

/** A description without its bit rates, which differ from segment to segment of the same stream. */
function withoutRates(described: Buffer): Buffer {
  const entry = Buffer.from(described)
  const rates = entry.indexOf('btrt', 0, 'latin1')
  if (rates > 0) entry.fill(0, rates + 4, rates + 16)
  const sound = entry.indexOf('esds', 0, 'latin1')
  if (sound < 0) return entry
  // Descriptors in one another, each with its length in up to four bytes: of the stream, then of its decoder.
  let at = behindLength(entry, sound + 8) + 3
  if (entry[at] === DECODER) {
    at = behindLength(entry, at) + 2
    entry.fill(0, at, at + 11)
  }
  return entry
}

/** Where the content of a descriptor begins. */
function behindLength(bytes: Buffer, tagAt: number): number {
  let at = tagAt + 1
  while (((bytes[at] ?? 0) & 0x80) !== 0) at++
  return at + 1
}

/** How much later than its first sample says a track is shown. */
function shiftOf(track: Buffer, { scale, timescale }: { scale: number; timescale: number }): number {
  const list = inside(track, 'edts', 'elst')
  if (!list) return 0
  const isLong = list[0] === 1
  const entry = isLong ? 20 : 12
  let waitsSeconds = 0
  for (let at = 8; at + entry <= list.length; at += entry) {
    const duration = isLong ? Number(list.readBigUInt64BE(at)) : list.readUInt32BE(at)
    const start = isLong ? Number(list.readBigInt64BE(at + 8)) : list.readInt32BE(at + 4)
    if (start >= 0) return waitsSeconds - start / timescale
    waitsSeconds += duration / scale
  }
  return 0
}

/** Tracks with the times that they have to one another, from the first picture: sound begins a little before or behind it. */
function together(tracks: readonly Unplaced[]): MediaTrack[] {
  const first = tracks[0]!.shiftSeconds
  return tracks.map(({ shiftSeconds, ...track }) => {
    const shift = within(Math.round((shiftSeconds - first) * track.timescale))
    return {
      ...track,
      samples: track.samples.map((sample) => ({ ...sample, decode: sample.decode + shift })),
    }
  })
}

function within(ticks: number): number {
  return Math.max(-MAX_SHIFT, Math.min(MAX_SHIFT, ticks))
}

function samplesOf(tables: Buffer, file: Buffer): MediaSample[] {
  const sizes = sizesOf(tableIn(tables, 'stsz'))
  const durations = runsOf(tableIn(tables, 'stts'), sizes.length, (table, at) => table.readUInt32BE(at))
  const shown = inside(tables, 'ctts')
  const delays = shown ? runsOf(shown, sizes.length, (table, at) => table.readInt32BE(at)) : null
  const keys = keysOf(inside(tables, 'stss'))
  const places = placesOf(tables, sizes)
  let decode = 0
  return sizes.map((bytes, at): MediaSample => {
    const place = places[at]!
    if (place + bytes > file.length) throw unreadable('an MP4 that is cut off')
    const duration = durations[at] ?? 0
    const sample = { bytes, decode, duration, delay: delays?.[at] ?? 0, isKey: keys?.has(at + 1) ?? true }
    decode += duration
    return { ...sample, data: [file.subarray(place, place + bytes)] }
  })
}

function sizesOf(table: Buffer): number[] {
  const [same, count] = [table.readUInt32BE(4), table.readUInt32BE(8)]
  if (count > MAX_SAMPLES) throw unreadable(`more than ${MAX_SAMPLES} samples`)
  return Array.from({ length: count }, (_, at) => (same === 0 ? table.readUInt32BE(12 + at * 4) : same))
}

/** A table of how often each value comes. */
function runsOf(table: Buffer, count: number, read: (table: Buffer, at: number) => number): number[] {
  const values: number[] = []
  for (let run = 0; run < table.readUInt32BE(4) && values.length < count; run++) {
    const times = Math.min(table.readUInt32BE(8 + run * 8), count - values.length)
    const value = read(table, 12 + run * 8)
    for (let i = 0; i < times; i++) values.push(value)
  }
  return values
}

/** The numbers of key frames; null where every frame is one. */
function keysOf(table: Buffer | null): ReadonlySet<number> | null {
  if (!table) return null
  const count = Math.min(table.readUInt32BE(4), MAX_SAMPLES)
  return new Set(Array.from({ length: count }, (_, at) => table.readUInt32BE(8 + at * 4)))
}

/** Where each sample begins in the file. */
function placesOf(tables: Buffer, sizes: readonly number[]): number[] {
  const long = inside(tables, 'co64')
  const chunks = long ?? tableIn(tables, 'stco')
  const groups = tableIn(tables, 'stsc')
  const [chunkCount, groupCount] = [chunks.readUInt32BE(4), groups.readUInt32BE(4)]
  const places: number[] = []
  let group = 0
  for (let chunk = 1; chunk <= chunkCount && places.length < sizes.length; chunk++) {
    while (group + 1 < groupCount && groups.readUInt32BE(8 + (group + 1) * 12) <= chunk) group++
    const at = 8 + (chunk - 1) * (long ? 8 : 4)
    let place = long ? Number(chunks.readBigUInt64BE(at)) : chunks.readUInt32BE(at)
    const samples = groups.readUInt32BE(12 + group * 12)
    for (let i = 0; i < samples && places.length < sizes.length; i++) {
      places.push(place)
      place += sizes[places.length - 1]!
    }
  }
  if (places.length < sizes.length) throw unreadable('an MP4 with samples that lie nowhere')
  return places
}

function tableIn(tables: Buffer, type: string): Buffer {
  const table = inside(tables, type)
  if (!table) throw unreadable(`an MP4 without ${type}`)
  return table
}
