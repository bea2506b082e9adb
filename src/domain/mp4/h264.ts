import { box, u8, u16, u32 } from './boxes.ts'
import { unreadable } from './media-segment.ts'

/** The kinds of units that matter. */
export const UNIT = { idr: 5, sps: 7, pps: 8, delimiter: 9 } as const

/** Profiles whose sequence parameter set tells the colours. */
const WITH_COLOURS: ReadonlySet<number> = new Set([
  100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135,
])
const MAX_SIDE = 16_384
const RESOLUTION = 0x00480000

/** The kind of a unit. */
export function unitType(unit: Uint8Array): number {
  return unit[0]! & 0x1f
}

/** What an MP4 says of pictures with these parameter sets. Throws NodeError `unreadable-media`. */
export function avcEntry(
  sps: Uint8Array,
  pps: Uint8Array,
): { entry: Uint8Array; width: number; height: number } {
  if (sps.length < 4 || sps.length > 0xffff || pps.length > 0xffff)
    throw unreadable('parameter sets of no use')
  const { height, width } = sizeOf(sps)
  const config = box(
    'avcC',
    u8(1, sps[1]!, sps[2]!, sps[3]!, 0xff, 0xe1),
    ...[u16(sps.length), sps, u8(1), u16(pps.length), pps],
  )
  return { entry: visualEntry('avc1', width, height, config), width, height }
}

/** The box of pictures, around that of their codec. */
function visualEntry(type: string, width: number, height: number, config: Uint8Array): Buffer {
  return box(
    type,
    ...[Buffer.alloc(6), u16(1), Buffer.alloc(16), u16(width, height)],
    ...[u32(RESOLUTION, RESOLUTION, 0), u16(1), Buffer.alloc(32), u16(0x18, 0xffff), config],
  )
}

/** The size of the pictures, without what is cropped. */
function sizeOf(sps: Uint8Array): { width: number; height: number } {
  const bits = new Bits(withoutEscapes(sps.subarray(1)))
  const profile = bits.take(8)
  bits.take(16)
  bits.unsigned()
  let chroma = 1
  if (WITH_COLOURS.has(profile)) {
    chroma = bits.unsigned()
    if (chroma === 3) bits.take(1)
    bits.unsigned()
    bits.unsigned()
    bits.take(1)
    if (bits.take(1) === 1)
      for (let i = 0; i < (chroma === 3 ? 12 : 8); i++) skipScaling(bits, i < 6 ? 16 : 64)
  }
  bits.unsigned()
  const order = bits.unsigned()
  if (order === 0) bits.unsigned()
  else if (order === 1) {
    bits.take(1)
    bits.signed()
    bits.signed()
    const cycle = bits.unsigned()
    if (cycle > 255) throw unreadable('a cycle of more than 255 pictures')
    for (let i = 0; i < cycle; i++) bits.signed()
  }
  bits.unsigned()
  bits.take(1)
  const blocksWide = bits.unsigned() + 1
  const blocksHigh = bits.unsigned() + 1
  const isProgressive = bits.take(1) === 1
  if (!isProgressive) bits.take(1)
  bits.take(1)
  const [left, right, top, bottom] =
    bits.take(1) === 1 ? [0, 0, 0, 0].map(() => bits.unsigned()) : [0, 0, 0, 0]
  const fields = isProgressive ? 1 : 2
  const unitX = chroma === 1 || chroma === 2 ? 2 : 1
  const unitY = (chroma === 1 ? 2 : 1) * fields
  const width = blocksWide * 16 - (left! + right!) * unitX
  const height = blocksHigh * 16 * fields - (top! + bottom!) * unitY
  if (!(width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE))
    throw unreadable('pictures of no size')
  return { width, height }
}

function skipScaling(bits: Bits, size: number): void {
  if (bits.take(1) === 0) return
  let last = 8
  let next = 8
  for (let i = 0; i < size; i++) {
    if (next !== 0) next = (last + bits.signed() + 256) & 255
    if (next !== 0) last = next
  }
}

/** The bytes of a unit without those that keep it from looking like a start. */
function withoutEscapes(unit: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(unit.length)
  let length = 0
  let zeros = 0
  for (const byte of unit) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0
      continue
    }
    bytes[length++] = byte
    zeros = byte === 0 ? zeros + 1 : 0
  }
  return bytes.subarray(0, length)
}

/** Reads bits from the highest. Throws NodeError `unreadable-media` at the end. */
class Bits {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  take(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++, this.#at++) {
      const byte = this.#bytes[this.#at >> 3]
      if (byte === undefined) throw unreadable('a parameter set that is cut off')
      value = value * 2 + ((byte >> (7 - (this.#at & 7))) & 1)
    }
    return value
  }

  unsigned(): number {
    let zeros = 0
    while (this.take(1) === 0) if (++zeros > 31) throw unreadable('a parameter set with no number')
    return 2 ** zeros - 1 + this.take(zeros)
  }

  signed(): number {
    const value = this.unsigned()
    return value % 2 === 1 ? (value + 1) / 2 : -value / 2
  }
}
