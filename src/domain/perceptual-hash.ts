import { NodeError } from '../lib/errors.ts'

/** Bits before the number of frames, from there to the number of coarse parts, of one coarse part and of one frame. */
const FRAMES_AT = 129
const PARTS_AT = 242
const HEAD_BITS = 274
const PART_BITS = 1344
const FRAME_BITS = 689
/** Of a frame, what comes before its values: a flag, its time, a confidence and five words. */
const FRAME_HEAD_BITS = 81
/** The 380 values of a frame, each 0, 1 or 2, five to a byte. */
const FRAME_BYTES = 76
/** A byte holds at most five twos. */
const MAX_PACKED = 242
const PACKED = MAX_PACKED + 1

/** Frames of the longest segment at a thousand a second. */
const MAX_FRAMES = 300_000
/** Two frames show the same if their values differ by at most this in sum (transcoding.md §8). */
const MAX_DISTANCE = 150
/** This part of the frames must show the same: peers take a match of a part (transcoding.md §8). */
const MIN_MATCHING = 0.5
/** Decoders lose pictures at the start: the frames of one may be this many later than those of the other. */
const MAX_SHIFT = 15
/** Of longer segments, frames at even distances are compared, so that a comparison takes milliseconds. */
const MAX_COMPARED = 2_000

/** What a rendition shows, frame by frame: the values of an MPEG-7 signature. */
export interface Pictures {
  readonly count: number
  /** 76 bytes for each frame. */
  readonly values: Uint8Array
}

/** Reads an MPEG-7 signature in FFmpeg's binary form (transcoding.md §8). Throws NodeError `bad-signature`. */
export function readSignature(bytes: Uint8Array): Pictures {
  if (bytes.length * 8 < HEAD_BITS) throw bad(`${bytes.length} bytes`)
  const count = uint32At(bytes, FRAMES_AT)
  const parts = uint32At(bytes, PARTS_AT)
  const needed = HEAD_BITS + parts * PART_BITS + 1 + count * FRAME_BITS
  if (count === 0 || count > MAX_FRAMES || Math.ceil(needed / 8) !== bytes.length) {
    throw bad(`${bytes.length} bytes for ${count} frames in ${parts} parts`)
  }
  const values = new Uint8Array(count * FRAME_BYTES)
  const first = HEAD_BITS + parts * PART_BITS + 1
  for (let frame = 0; frame < count; frame++) {
    const from = first + frame * FRAME_BITS + FRAME_HEAD_BITS
    for (let byte = 0; byte < FRAME_BYTES; byte++) {
      const value = byteAt(bytes, from + byte * 8)
      if (value > MAX_PACKED) throw bad(`a value of ${value} in frame ${frame}`)
      values[frame * FRAME_BYTES + byte] = value
    }
  }
  return { count, values }
}

/**
 * Whether two signatures are of the same pictures: at least half of the frames of the longer one show what the opposite
 * frames of the other show, perhaps some frames later (transcoding.md §8).
 */
export function showSame(one: Pictures, other: Pictures): boolean {
  const longer = Math.max(one.count, other.count)
  const step = Math.ceil(longer / MAX_COMPARED)
  const needed = Math.ceil(Math.ceil(longer / step) * MIN_MATCHING)
  for (const shift of SHIFTS) {
    let matching = 0
    for (let frame = 0; frame < one.count; frame += step) {
      const opposite = frame + shift
      if (opposite < 0 || opposite >= other.count) continue
      if (areClose(one, frame, other, opposite) && ++matching >= needed) return true
    }
  }
  return false
}

/** No shift first, then small ones before large ones. */
const SHIFTS = [0, ...Array.from({ length: MAX_SHIFT }, (_, index) => [index + 1, -index - 1]).flat()]

function areClose(one: Pictures, frame: number, other: Pictures, opposite: number): boolean {
  let sum = 0
  for (let byte = 0; byte < FRAME_BYTES; byte++) {
    sum += differenceAt(one, frame, other, opposite, byte)
    if (sum > MAX_DISTANCE) return false
  }
  return true
}

function differenceAt(one: Pictures, frame: number, other: Pictures, opposite: number, byte: number): number {
  const a = one.values[frame * FRAME_BYTES + byte]!
  const b = other.values[opposite * FRAME_BYTES + byte]!
  return DIFFERENCES[a * PACKED + b]!
}

/** By how much the values in two bytes differ in sum. */
const DIFFERENCES = differences()

function differences(): Uint8Array {
  const all = new Uint8Array(PACKED * PACKED)
  for (let a = 0; a < PACKED; a++) {
    for (let b = 0; b < PACKED; b++) {
      let sum = 0
      for (let place = 1; place < PACKED; place *= 3) sum += Math.abs(digitOf(a, place) - digitOf(b, place))
      all[a * PACKED + b] = sum
    }
  }
  return all
}

function digitOf(packed: number, place: number): number {
  return Math.floor(packed / place) % 3
}

function byteAt(bytes: Uint8Array, bit: number): number {
  const at = bit >> 3
  const pair = ((bytes[at]! << 8) | (bytes[at + 1] ?? 0)) >> (8 - (bit & 7))
  return pair & 0xff
}

function uint32At(bytes: Uint8Array, bit: number): number {
  let value = 0
  for (let byte = 0; byte < 4; byte++) value = value * 256 + byteAt(bytes, bit + byte * 8)
  return value
}

function bad(why: string): NodeError<'bad-signature'> {
  return new NodeError<'bad-signature'>('bad-signature', `InvalidSignData: ${why}`)
}
