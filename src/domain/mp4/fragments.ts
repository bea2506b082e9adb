import { TICKS_PER_SECOND } from '../mpegts-clock.ts'
import { box, fullBox, u8, u16, u32, u64 } from './boxes.ts'
import type { MediaSample, MediaSegment, MediaTrack } from './media-segment.ts'

/** A fragment has the size of its segment and this: a box that fills the rest has eight bytes at least. */
const ROOM_BYTES = 16
/** An MP4 says less of each sample than a fragment: so much more for the head, and for each millisecond. */
const MP4_ROOM_BYTES = 4_096
const MP4_BYTES_PER_MS = 2

/** The bytes of the fragment that is made of a segment of so many. */
export function fragmentBytes(
  bytes: number,
  { durationMs, isMp4 }: { durationMs: number; isMp4: boolean },
): number {
  return bytes + (isMp4 ? MP4_ROOM_BYTES + MP4_BYTES_PER_MS * durationMs : ROOM_BYTES)
}

/** What an index of fragments can hold. */
export const MAX_FRAGMENTS = 65_535

const FULL_BOX = 12
const STARTS_WITH_KEY = 0x90000000
const MATRIX = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000]
const MOVIE_SCALE = 1_000
/** A frame that others need or that needs none, and one that needs others. */
const KEY_FLAGS = 0x02000000
const OTHER_FLAGS = 0x01010000
const TRACK_FRAGMENT = { isBaseAtMoof: 0x020000, hasFlags: 0x20 }
const RUN = { offset: 1, duration: 0x100, size: 0x200, flags: 0x400, delay: 0x800 }

/** A track of a file, as its head describes it. */
export type FileTrack = Omit<MediaTrack, 'samples'>

/** Where a fragment lies in a file, and how long it lasts. */
export interface FragmentPlace {
  readonly bytes: number
  readonly durationMs: number
}

/** The head of a fragmented MP4 with an index of its fragments, so that a player finds any time at once. */
export function writeHead(tracks: readonly FileTrack[], fragments: readonly FragmentPlace[]): Uint8Array {
  const durationMs = fragments.reduce((sum, fragment) => sum + fragment.durationMs, 0)
  const nextId = tracks.length + 1
  const movie = box(
    'moov',
    fullBox(
      'mvhd',
      0,
      0,
      u32(0, 0, MOVIE_SCALE, 0, 0x10000),
      u16(0x100, 0),
      u32(0, 0, ...MATRIX, 0, 0, 0, 0, 0, 0, nextId),
    ),
    ...tracks.map((track, at) => trackBox(track, at + 1)),
    box(
      'mvex',
      fullBox('mehd', 1, 0, u64(Math.round(durationMs))),
      ...tracks.map((_, at) => fullBox('trex', 0, 0, u32(at + 1, 1, 0, 0, 0))),
    ),
  )
  const type = box('ftyp', Buffer.from('iso6', 'latin1'), u32(512), Buffer.from('iso6mp41', 'latin1'))
  return Buffer.concat([type, movie, indexBox(tracks[0]?.timescale ?? MOVIE_SCALE, fragments)])
}

/**
 * An index box; a file of more fragments than it holds has none. Its times are those of the first track, as FFmpeg and
 * browsers take them to be.
 */
function indexBox(timescale: number, fragments: readonly FragmentPlace[]): Uint8Array {
  if (fragments.length > MAX_FRAGMENTS) return new Uint8Array(0)
  const entries = Buffer.alloc(fragments.length * 12)
  for (const [at, { bytes, durationMs }] of fragments.entries()) {
    entries.writeUInt32BE(bytes, at * 12)
    entries.writeUInt32BE(Math.round((durationMs * timescale) / 1000), at * 12 + 4)
    entries.writeUInt32BE(STARTS_WITH_KEY, at * 12 + 8)
  }
  const times = [u32(1, timescale), u64(0), u64(0), u16(0, fragments.length)]
  return fullBox('sidx', 1, 0, ...times, entries)
}

function trackBox({ entry, height, kind, timescale, width }: FileTrack, id: number): Uint8Array {
  const isVideo = kind === 'video'
  const tables = box(
    'stbl',
    fullBox('stsd', 0, 0, u32(1), entry),
    fullBox('stts', 0, 0, u32(0)),
    fullBox('stsc', 0, 0, u32(0)),
    fullBox('stsz', 0, 0, u32(0, 0)),
    fullBox('stco', 0, 0, u32(0)),
  )
  const media = isVideo ? fullBox('vmhd', 0, 1, u16(0, 0, 0, 0)) : fullBox('smhd', 0, 0, u16(0, 0))
  const handler = Buffer.from(isVideo ? 'vide' : 'soun', 'latin1')
  return box(
    'trak',
    fullBox(
      ...(['tkhd', 0, 3] as const),
      u32(0, 0, id, 0, 0, 0, 0),
      u16(0, 0, isVideo ? 0 : 0x100, 0),
      u32(...MATRIX, width * 0x10000, height * 0x10000),
    ),
    box(
      'mdia',
      fullBox('mdhd', 0, 0, u32(0, 0, timescale, 0), u16(0x55c4, 0)),
      fullBox('hdlr', 0, 0, u32(0), handler, u32(0, 0, 0), u8(0)),
      box('minf', media, box('dinf', fullBox('dref', 0, 0, u32(1), fullBox('url ', 0, 1))), tables),
    ),
  )
}

/** Whether samples of one track can go on in another. */
export function areAlike(a: FileTrack, b: FileTrack): boolean {
  if (a.kind !== b.kind || a.timescale !== b.timescale) return false
  const codec = ({ entry }: FileTrack) => Buffer.from(entry.subarray(4, 8)).toString('latin1')
  return b.describesItself ? codec(a) === codec(b) : Buffer.compare(a.entry, b.entry) === 0
}

/**
 * One segment as a fragment of exactly `bytes`, of a file with these tracks. What does not go on in one of them is left
 * out. `startMs` is where it begins in the file. Null where it does not fit.
 */
export function writeFragment(
  segment: MediaSegment,
  tracks: readonly FileTrack[],
  { bytes, number, startMs }: { readonly bytes: number; readonly number: number; readonly startMs: number },
): Uint8Array | null {
  const runs = tracks.flatMap((track, at) => {
    const found = segment.tracks.find((one) => areAlike(track, one))
    return found && found.samples.length > 0 ? [{ id: at + 1, track: found }] : []
  })
  const headBytes = runs.reduce((sum, { track }) => sum + trackFragmentBytes(track), 8 + 16)
  const dataBytes = runs.reduce((sum, { track }) => sum + sizeOf(track.samples), 8)
  const rest = bytes - headBytes - dataBytes
  if (runs.length === 0 || rest < 8) return null
  let offset = headBytes + 8
  const fragments = runs.map(({ id, track }) => {
    const written = trackFragment(id, track, { offset, startMs })
    offset += sizeOf(track.samples)
    return written
  })
  const file = Buffer.alloc(bytes)
  let at = box('moof', fullBox('mfhd', 0, 0, u32(number)), ...fragments).copy(file)
  at = file.writeUInt32BE(dataBytes, at)
  at += file.write('mdat', at, 'latin1')
  for (const { track } of runs) {
    for (const { data } of track.samples) {
      for (const piece of data) {
        file.set(piece, at)
        at += piece.length
      }
    }
  }
  fillWith(file, at)
  return file
}

/** A gap of `bytes`, where a segment cannot be had. */
export function writeGap(bytes: number): Uint8Array {
  const file = Buffer.alloc(bytes)
  fillWith(file, 0)
  return file
}

function fillWith(file: Buffer, at: number): void {
  file.writeUInt32BE(file.length - at, at)
  file.write('free', at + 4, 'latin1')
}

function trackFragmentBytes({ kind, samples }: MediaTrack): number {
  return 8 + (FULL_BOX + 8) + (FULL_BOX + 8) + (FULL_BOX + 8) + samples.length * (kind === 'video' ? 16 : 8)
}

function trackFragment(
  id: number,
  { kind, samples, timescale }: MediaTrack,
  { offset, startMs }: { offset: number; startMs: number },
): Uint8Array {
  const isVideo = kind === 'video'
  const start = Math.max(0, Math.round((startMs * timescale) / 1000) + samples[0]!.decode)
  const entry = isVideo ? 16 : 8
  const table = Buffer.alloc(samples.length * entry)
  for (const [index, { bytes, delay, duration, isKey }] of samples.entries()) {
    table.writeUInt32BE(duration, index * entry)
    table.writeUInt32BE(bytes, index * entry + 4)
    if (!isVideo) continue
    table.writeUInt32BE(isKey ? KEY_FLAGS : OTHER_FLAGS, index * entry + 8)
    table.writeInt32BE(delay, index * entry + 12)
  }
  const flags = RUN.offset | RUN.duration | RUN.size | (isVideo ? RUN.flags | RUN.delay : 0)
  return box(
    'traf',
    fullBox('tfhd', 0, TRACK_FRAGMENT.isBaseAtMoof | TRACK_FRAGMENT.hasFlags, u32(id, KEY_FLAGS)),
    fullBox('tfdt', 1, 0, u64(start)),
    fullBox('trun', 1, flags, u32(samples.length, offset), table),
  )
}

function sizeOf(samples: readonly MediaSample[]): number {
  return samples.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Milliseconds of ticks of the stream's clock. */
export function msOfTicks(ticks: number): number {
  return (ticks * 1000) / TICKS_PER_SECOND
}
