import { BitReader } from '../../lib/bit-reader.ts'
import { type PictureSize, readAvcParameters, readHevcParameters } from '../parameter-sets.ts'
import { box, u8, u16, u32 } from './boxes.ts'

/** How pictures are described in an MP4. */
export interface PictureEntry extends PictureSize {
  readonly entry: Uint8Array
}

/** What has to be known of a codec of pictures to put its units into an MP4. */
export interface PictureCodec {
  /** Whether a unit only marks where a picture begins. */
  isDelimiter(unit: Uint8Array): boolean
  /** Whether its picture needs no other. */
  isKey(unit: Uint8Array): boolean
  /** How an MP4 describes pictures with the parameters that are among these units; null where they are not. */
  entryOf(units: readonly Uint8Array[]): PictureEntry | null
}

/** 72 points an inch. */
const RESOLUTION = 0x00480000
const MAX_SET_BYTES = 0xffff
const AVC = { idr: 5, sps: 7, pps: 8, delimiter: 9 } as const
const HEVC = { firstKey: 16, lastKey: 21, vps: 32, sps: 33, pps: 34, delimiter: 35 } as const
const HEVC_PROFILE_BYTES = 12

/** H.264. */
export const avc: PictureCodec = {
  isDelimiter: (unit) => avcType(unit) === AVC.delimiter,
  isKey: (unit) => avcType(unit) === AVC.idr,
  entryOf(units) {
    const [sps, pps] = setsOf(units, avcType, [AVC.sps, AVC.pps])
    const size = sps && readAvcParameters(sps)?.size
    if (!sps || !pps || !size) return null
    const config = box(
      'avcC',
      u8(1, sps[1]!, sps[2]!, sps[3]!, 0xff, 0xe1),
      ...[u16(sps.length), sps, u8(1), u16(pps.length), pps],
    )
    return { ...size, entry: visualEntry('avc1', size, config) }
  },
}

/** HEVC. */
export const hevc: PictureCodec = {
  isDelimiter: (unit) => hevcType(unit) === HEVC.delimiter,
  isKey: (unit) => hevcType(unit) >= HEVC.firstKey && hevcType(unit) <= HEVC.lastKey,
  entryOf(units) {
    const types = [HEVC.vps, HEVC.sps, HEVC.pps]
    const sets = setsOf(units, hevcType, types)
    const [, sps] = sets
    const size = sps && readHevcParameters(sps)?.size
    if (!sps || !size || sets.some((set) => set === undefined)) return null
    const plain = unescaped(sps)
    const { chroma, depths, layers } = hevcColours(plain)
    const config = box(
      'hvcC',
      u8(1),
      plain.subarray(3, 3 + HEVC_PROFILE_BYTES),
      u16(0xf000),
      u8(0xfc, 0xfc | chroma, 0xf8 | depths[0], 0xf8 | depths[1]),
      u16(0),
      u8(((layers + 1) << 3) | ((plain[2]! & 1) << 2) | 3, types.length),
      ...types.flatMap((type, at) => [u8(0x80 | type), u16(1, sets[at]!.length), sets[at]!]),
    )
    return { ...size, entry: visualEntry('hvc1', size, config) }
  },
}

function avcType(unit: Uint8Array): number {
  return unit[0]! & 0x1f
}

function hevcType(unit: Uint8Array): number {
  return (unit[0]! >> 1) & 0x3f
}

/** The first unit of each of these types. */
function setsOf(
  units: readonly Uint8Array[],
  typeOf: (unit: Uint8Array) => number,
  types: readonly number[],
): (Uint8Array | undefined)[] {
  return types.map((type) => units.find((unit) => typeOf(unit) === type && unit.length <= MAX_SET_BYTES))
}

/** What a sequence parameter set says of its colours: format of chroma, and bits beyond 8 of light and colour. */
function hevcColours(sps: Uint8Array): { chroma: number; depths: readonly [number, number]; layers: number } {
  const layers = (sps[2]! >> 1) & 7
  const reader = new BitReader(sps.subarray(3 + HEVC_PROFILE_BYTES))
  const present = Array.from({ length: layers }, () => [reader.flag(), reader.flag()] as const)
  if (layers > 0) reader.skip(2 * (8 - layers))
  for (const [hasProfile, hasLevel] of present) reader.skip((hasProfile ? 88 : 0) + (hasLevel ? 8 : 0))
  reader.golomb()
  const chroma = reader.golomb() & 3
  if (chroma === 3) reader.skip(1)
  reader.golomb()
  reader.golomb()
  if (reader.flag()) for (let side = 0; side < 4; side++) reader.golomb()
  return { chroma, depths: [reader.golomb() & 7, reader.golomb() & 7], layers }
}

/** The bytes of a unit without those that keep it from looking like a start. */
function unescaped(unit: Uint8Array): Uint8Array {
  const bytes: number[] = []
  let zeros = 0
  for (const byte of unit) {
    const isEscape = zeros >= 2 && byte === 3
    zeros = byte === 0 ? zeros + 1 : 0
    if (!isEscape) bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

/** The box of pictures, around that of their codec. */
function visualEntry(type: string, { height, width }: PictureSize, config: Uint8Array): Buffer {
  return box(
    type,
    ...[Buffer.alloc(6), u16(1), Buffer.alloc(16), u16(width, height)],
    ...[u32(RESOLUTION, RESOLUTION, 0), u16(1), Buffer.alloc(32), u16(0x18, 0xffff), config],
  )
}
