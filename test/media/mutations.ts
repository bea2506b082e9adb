import type { Dice } from '../../src/lib/dice.ts'

/** A small segment to be damaged. */
export interface Specimen {
  readonly name: string
  readonly bytes: Uint8Array
}

type Mutation = (source: Buffer, others: readonly Specimen[], random: (below: number) => number) => Buffer

const TS_PACKET = 188
const EXTREMES = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]

/** Ways in which a segment may come damaged, or made to do damage. */
const mutations: Readonly<Record<string, Mutation>> = {
  'cut off': (source, _, random) => source.subarray(0, random(source.length)),
  'bits flipped': (source, _, random) => {
    for (let count = 1 + random(60); count > 0; count--) source[random(source.length)]! ^= 1 << random(8)
    return source
  },
  // The headers come first: damage there reaches further.
  'head damaged': (source, _, random) => {
    for (let count = 1 + random(8); count > 0; count--)
      source[random(Math.min(1500, source.length))] = random(256)
    return source
  },
  'a part missing': (source, _, random) => {
    const from = random(source.length)
    return Buffer.concat([source.subarray(0, from), source.subarray(from + 1 + random(2000))])
  },
  'a part twice': (source, _, random) => {
    const from = random(source.length)
    return Buffer.concat([source.subarray(0, from), source.subarray(Math.max(0, from - random(4000)))])
  },
  'zeros inside': (source, _, random) => {
    const from = random(source.length)
    return source.fill(random(2) * 255, from, Math.min(source.length, from + 1 + random(3000)))
  },
  'spliced with another': (source, others, random) => {
    const other = others[random(others.length)]!.bytes
    return Buffer.concat([source.subarray(0, random(source.length)), other.subarray(random(other.length))])
  },
  'after another of the same kind': (source, others, random) =>
    Buffer.concat([source, others[random(others.length)]!.bytes]),
  'inside out': (source, _, random) => {
    const at = random(source.length)
    return Buffer.concat([source.subarray(at), source.subarray(0, at)])
  },
  'packets out of order': (source, _, random) => {
    const packets = Math.max(1, Math.floor(source.length / TS_PACKET))
    for (let count = 1 + random(20); count > 0; count--) {
      const [from, to] = [random(packets) * TS_PACKET, random(packets) * TS_PACKET]
      const held = Buffer.from(source.subarray(from, from + TS_PACKET))
      source.copyWithin(from, to, to + TS_PACKET)
      held.copy(source, to)
    }
    return source
  },
  'packets lost': (source, _, random) => {
    const kept: Buffer[] = []
    const lossy = 1 + random(20)
    for (let at = 0; at < source.length; at += TS_PACKET)
      if (random(lossy) > 0 || at < 3 * TS_PACKET) kept.push(source.subarray(at, at + TS_PACKET))
    return Buffer.concat(kept)
  },
  'one stream taken out': (source, _, random) => {
    const pid = [0, 0x100, 0x101, 0x1000][random(4)]
    const kept: Buffer[] = []
    for (let at = 0; at + TS_PACKET <= source.length; at += TS_PACKET)
      if ((source.readUInt16BE(at + 1) & 0x1fff) !== pid) kept.push(source.subarray(at, at + TS_PACKET))
    return Buffer.concat(kept)
  },
  'absurd times': (source, _, random) => {
    for (let at = 0; at + TS_PACKET <= source.length; at += TS_PACKET) {
      const begins = (source[at + 1]! & 0x40) !== 0
      const pes = at + 4 + (source[at + 3]! & 0x20 ? 1 + source[at + 4]! : 0)
      if (!begins || pes + 19 > at + TS_PACKET || random(3) > 0) continue
      for (let byte = pes + 9; byte < pes + 9 + Math.min(10, source[pes + 8]!); byte++)
        if (random(2) === 0) source[byte] = random(256)
    }
    return source
  },
  // Sizes, counts, offsets and times of MP4 are words of 32 bits; in other containers this is just damage.
  'absurd numbers': (source, _, random) => {
    for (let count = 1 + random(6); count > 0; count--) {
      const at = random(Math.max(1, source.length - 4))
      source.writeUInt32BE(EXTREMES[random(EXTREMES.length)]!, Math.min(at, source.length - 4))
    }
    return source
  },
  'absurd numbers in the index': (source, _, random) => {
    const index = source.indexOf(['moov', 'stts', 'stsz', 'stsc', 'stco', 'elst', 'avc1', 'mdhd'][random(8)]!)
    if (index < 0) return source.fill(0xff, random(source.length))
    const at = Math.min(index + 4 + random(60), source.length - 4)
    source.writeUInt32BE(EXTREMES[random(EXTREMES.length)]!, at)
    return source
  },
  // What the decoder reads first: sizes, depths, numbers of reference pictures.
  'parameter sets damaged': (source, _, random) => {
    const marks = [0x67, 0x68, 0x42, 0x44, 0x40, 0x26].map((type) => Buffer.from([0, 0, 1, type]))
    const at = source.indexOf(marks[random(marks.length)]!)
    const from = at < 0 ? Math.max(0, source.indexOf('avcC')) : at
    for (let count = 1 + random(4); count > 0; count--) {
      const byte = Math.min(from + 4 + random(24), source.length - 1)
      source[byte]! ^= 1 << random(8)
    }
    return source
  },
  'announced as another container': (source, others, random) => {
    const other = others[random(others.length)]!.bytes
    return Buffer.concat([other.subarray(0, 1 + random(Math.min(800, other.length))), source])
  },
}

const kinds = Object.entries(mutations)

/** One damaged segment, perhaps with parts of `others`; the same for the same dice. */
export function mutated(
  specimens: readonly Specimen[],
  others: readonly Specimen[],
  dice: Dice,
): { readonly name: string; readonly bytes: Uint8Array } {
  const random = (below: number) => Math.floor(dice.fraction() * below)
  const specimen = specimens[random(specimens.length)]!
  let bytes = Buffer.from(specimen.bytes)
  const names: string[] = []
  // Most often one kind of damage, so that what lies behind it is reached.
  for (let count = random(4) === 0 ? 2 : 1; count > 0 && bytes.length > 8; count--) {
    const [name, mutation] = kinds[random(kinds.length)]!
    names.push(name)
    bytes = Buffer.from(mutation(bytes, others, random))
  }
  return { name: `${specimen.name}, ${names.join(', ')}`, bytes }
}
