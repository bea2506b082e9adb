import { BitReader } from '../lib/bit-reader.ts'

/** What a sequence parameter set says of its video. */
export interface VideoParameters {
  /** As playlists name it (RFC 6381). */
  readonly codec: string
  /** As it is shown; null where it cannot be read. */
  readonly size: PictureSize | null
}

/** In pixels. */
export interface PictureSize {
  readonly width: number
  readonly height: number
}

/** Parameter sets are read up to here; their sizes come long before. */
const MAX_SET_BYTES = 1024
/** The longest side of any level of H.264 and HEVC. */
const MAX_SIDE = 16_384
/** Profiles of H.264 whose sets have a chroma format and scaling lists. */
const WITH_CHROMA: ReadonlySet<number> = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134])
const MAX_FRAMES_IN_CYCLE = 255

/** Reads a sequence parameter set of H.264, with its header; null if it is too short. */
export function readAvcParameters(unit: Uint8Array): VideoParameters | null {
  const set = unescaped(unit)
  if (set.length < 5) return null
  const reader = new BitReader(set.subarray(4))
  return { codec: `avc1.${hexOf(set.subarray(1, 4))}`, size: avcSize(reader, set[1]!) }
}

/** Reads a sequence parameter set of HEVC, with its header; null if it is too short. */
export function readHevcParameters(unit: Uint8Array): VideoParameters | null {
  const set = unescaped(unit)
  if (set.length < 16) return null
  const layers = (set[2]! >> 1) & 7
  const reader = new BitReader(set.subarray(15))
  return { codec: hevcCodec(set.subarray(3, 15)), size: hevcSize(reader, layers) }
}

/** The name of HEVC by the twelve bytes of its general profile, tier and level. */
export function hevcCodec(profile: Uint8Array): string {
  const first = profile[0]!
  const space = ['', 'A', 'B', 'C'][first >> 6]!
  const tier = (first & 0x20) === 0 ? 'L' : 'H'
  // The flags of compatibility are written from the last to the first.
  let compatibility = 0
  const flags = new BitReader(profile.subarray(1, 5))
  for (let bit = 0; bit < 32; bit++) if (flags.flag()) compatibility += 2 ** bit
  let constraints = ''
  for (const byte of profile.subarray(5, 11)) constraints += `.${byte.toString(16).toUpperCase()}`
  const shown = constraints.replace(/(\.0)+$/, '')
  const compatible = compatibility.toString(16).toUpperCase()
  return `hvc1.${space}${first & 0x1f}.${compatible}.${tier}${profile[11]!}${shown}`
}

function avcSize(reader: BitReader, profile: number): PictureSize | null {
  reader.golomb()
  let chroma = 1
  if (WITH_CHROMA.has(profile)) {
    chroma = reader.golomb()
    if (chroma === 3) reader.skip(1)
    reader.golomb()
    reader.golomb()
    reader.skip(1)
    if (reader.flag()) {
      for (let list = 0; list < (chroma === 3 ? 12 : 8); list++)
        if (reader.flag()) skipScalingList(reader, list < 6 ? 16 : 64)
    }
  }
  reader.golomb()
  if (!skipPictureOrder(reader)) return null
  reader.golomb()
  reader.skip(1)
  const columns = reader.golomb() + 1
  const rows = reader.golomb() + 1
  const fields = reader.flag() ? 1 : 2
  if (fields === 2) reader.skip(1)
  reader.skip(1)
  const [left, right, top, bottom] = cropOf(reader)
  const across = chroma === 1 || chroma === 2 ? 2 : 1
  const down = (chroma === 1 ? 2 : 1) * fields
  const width = columns * 16 - (left + right) * across
  return plausible(reader, width, rows * 16 * fields - (top + bottom) * down)
}

function hevcSize(reader: BitReader, layers: number): PictureSize | null {
  const present = Array.from({ length: layers }, () => [reader.flag(), reader.flag()] as const)
  if (layers > 0) reader.skip(2 * (8 - layers))
  for (const [hasProfile, hasLevel] of present) reader.skip((hasProfile ? 88 : 0) + (hasLevel ? 8 : 0))
  reader.golomb()
  const chroma = reader.golomb()
  if (chroma === 3) reader.skip(1)
  const width = reader.golomb()
  const height = reader.golomb()
  const [left, right, top, bottom] = cropOf(reader)
  const across = chroma === 1 || chroma === 2 ? 2 : 1
  const down = chroma === 1 ? 2 : 1
  return plausible(reader, width - (left + right) * across, height - (top + bottom) * down)
}

/** What is cut off at each side, in units of the chroma format. */
function cropOf(reader: BitReader): readonly [left: number, right: number, top: number, bottom: number] {
  if (!reader.flag()) return [0, 0, 0, 0]
  return [reader.golomb(), reader.golomb(), reader.golomb(), reader.golomb()]
}

function plausible(reader: BitReader, width: number, height: number): PictureSize | null {
  const isPlausible = width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE
  return isPlausible && !reader.isPastEnd ? { width, height } : null
}

function skipPictureOrder(reader: BitReader): boolean {
  const type = reader.golomb()
  if (type === 0) reader.golomb()
  if (type !== 1) return true
  reader.skip(1)
  reader.signedGolomb()
  reader.signedGolomb()
  const frames = reader.golomb()
  if (frames > MAX_FRAMES_IN_CYCLE) return false
  for (let i = 0; i < frames; i++) reader.signedGolomb()
  return true
}

function skipScalingList(reader: BitReader, length: number): void {
  let last = 8
  for (let i = 0; i < length; i++) {
    const next = (last + reader.signedGolomb() + 256) % 256
    // The rest of the list repeats the last value.
    if (next === 0) return
    last = next
  }
}

/** The first bytes of a unit without those that keep start codes out of it. */
function unescaped(unit: Uint8Array): Uint8Array {
  const plain = new Uint8Array(Math.min(unit.length, MAX_SET_BYTES))
  let length = 0
  let zeros = 0
  for (const byte of unit.subarray(0, MAX_SET_BYTES)) {
    const isEscape = zeros >= 2 && byte === 3
    zeros = byte === 0 ? zeros + 1 : 0
    if (!isEscape) plain[length++] = byte
  }
  return plain.subarray(0, length)
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
