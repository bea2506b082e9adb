import type { ByteReader } from './byte-reader.ts'
import { RtmpError } from './rtmp-error.ts'

/** A value of a command or of metadata; `undefined`, references and unsupported values are null. */
export type AmfValue = null | boolean | number | string | readonly AmfValue[] | AmfObject

/** An object or associative array. */
export type AmfObject = ReadonlyMap<string, AmfValue>

/** Values within one message, and objects within objects: more than any publisher sends. */
const MAX_VALUES = 4_000
const MAX_DEPTH = 8

const AMF0 = {
  ...{ number: 0, boolean: 1, string: 2, object: 3, null: 5, undefined: 6, reference: 7, ecmaArray: 8 },
  ...{ objectEnd: 9, strictArray: 10, date: 11, longString: 12, unsupported: 13, xml: 15, typedObject: 16 },
  amf3: 17,
} as const

/** What is left of the bounds on one message. */
interface Bounds {
  values: number
}

/**
 * Reads all values of a message in AMF0, some of which may switch to AMF3 as clients with `objectEncoding` 3 do. Throws
 * RtmpError.
 */
export function readAmf(reader: ByteReader): readonly AmfValue[] {
  const bounds = { values: MAX_VALUES }
  const values: AmfValue[] = []
  while (reader.left > 0) values.push(readValue(reader, bounds, 0))
  return values
}

function readValue(reader: ByteReader, bounds: Bounds, depth: number): AmfValue {
  spend(bounds, depth)
  const marker = reader.uint8()
  switch (marker) {
    case AMF0.number:
      return reader.double()
    case AMF0.boolean:
      return reader.uint8() !== 0
    case AMF0.string:
      return reader.text(reader.uint16())
    case AMF0.object:
      return readProperties(reader, bounds, depth)
    case AMF0.null:
    case AMF0.undefined:
    case AMF0.unsupported:
      return null
    case AMF0.reference:
      reader.uint16()
      return null
    case AMF0.ecmaArray:
      // The count is a hint that encoders leave at 0; the end marker counts.
      reader.uint32()
      return readProperties(reader, bounds, depth)
    case AMF0.strictArray:
      return readList(reader.uint32(), () => readValue(reader, bounds, depth + 1), bounds)
    case AMF0.date: {
      const date = reader.double()
      reader.uint16()
      return date
    }
    case AMF0.longString:
    case AMF0.xml:
      return reader.text(reader.uint32())
    case AMF0.typedObject:
      reader.text(reader.uint16())
      return readProperties(reader, bounds, depth)
    case AMF0.amf3:
      return readAmf3(reader, bounds, { strings: [], traits: [] }, depth)
    default:
      throw new RtmpError('protocol', `a command has a value of the unknown kind ${marker}`)
  }
}

function readProperties(reader: ByteReader, bounds: Bounds, depth: number): AmfObject {
  const properties = new Map<string, AmfValue>()
  // Some encoders leave out the end marker of the last object of a message.
  while (reader.left > 0) {
    const name = reader.text(reader.uint16())
    if (name === '' && reader.left > 0) {
      const end = reader.uint8()
      if (end === AMF0.objectEnd) break
      throw new RtmpError('protocol', 'a property of a command has no name')
    }
    if (reader.left > 0) properties.set(name, readValue(reader, bounds, depth + 1))
  }
  return properties
}

const AMF3 = {
  ...{ undefined: 0, null: 1, false: 2, true: 3, integer: 4, double: 5, string: 6, xmlDocument: 7 },
  ...{ date: 8, array: 9, object: 10, xml: 11, byteArray: 12 },
} as const

interface Traits {
  readonly dynamic: boolean
  readonly names: readonly string[]
}

/** What later values of the same AMF3 value may refer to; references to whole objects are read as null. */
interface Tables {
  readonly strings: string[]
  readonly traits: Traits[]
}

function readAmf3(reader: ByteReader, bounds: Bounds, tables: Tables, depth: number): AmfValue {
  spend(bounds, depth)
  const marker = reader.uint8()
  switch (marker) {
    case AMF3.undefined:
    case AMF3.null:
      return null
    case AMF3.false:
      return false
    case AMF3.true:
      return true
    case AMF3.integer:
      return (readUint29(reader) << 3) >> 3
    case AMF3.double:
      return reader.double()
    case AMF3.string:
      return readString3(reader, tables)
    case AMF3.date:
      return isReference(readUint29(reader)) ? null : reader.double()
    case AMF3.array:
      return readArray3(reader, bounds, tables, depth)
    case AMF3.object:
      return readObject3(reader, bounds, tables, depth)
    case AMF3.xml:
    case AMF3.xmlDocument:
    case AMF3.byteArray: {
      const header = readUint29(reader)
      if (!isReference(header)) reader.bytes(header >>> 1)
      return null
    }
    default:
      throw new RtmpError('protocol', `a command has an AMF3 value of the unknown kind ${marker}`)
  }
}

function readArray3(reader: ByteReader, bounds: Bounds, tables: Tables, depth: number): AmfValue {
  const header = readUint29(reader)
  if (isReference(header)) return null
  while (readString3(reader, tables) !== '') readAmf3(reader, bounds, tables, depth + 1)
  return readList(header >>> 1, () => readAmf3(reader, bounds, tables, depth + 1), bounds)
}

function readObject3(reader: ByteReader, bounds: Bounds, tables: Tables, depth: number): AmfValue {
  const header = readUint29(reader)
  if (isReference(header)) return null
  const { dynamic, names } = readTraits(reader, header, bounds, tables)
  const properties = new Map<string, AmfValue>()
  for (const name of names) properties.set(name, readAmf3(reader, bounds, tables, depth + 1))
  while (dynamic) {
    const name = readString3(reader, tables)
    if (name === '') break
    properties.set(name, readAmf3(reader, bounds, tables, depth + 1))
  }
  return properties
}

function readTraits(reader: ByteReader, header: number, bounds: Bounds, tables: Tables): Traits {
  if ((header & 2) === 0) {
    const known = tables.traits[header >>> 2]
    if (known) return known
    throw new RtmpError('protocol', 'a command refers to an AMF3 class that it does not describe')
  }
  if ((header & 4) !== 0) throw new RtmpError('protocol', 'a command has an externalizable AMF3 object')
  readString3(reader, tables)
  const names = readList(header >>> 4, () => readString3(reader, tables), bounds)
  const traits = { dynamic: (header & 8) !== 0, names }
  tables.traits.push(traits)
  return traits
}

function readString3(reader: ByteReader, { strings }: Tables): string {
  const header = readUint29(reader)
  if (isReference(header)) return strings[header >>> 1] ?? ''
  const text = reader.text(header >>> 1)
  if (text !== '') strings.push(text)
  return text
}

/** The variable-length integer of AMF3: three bytes of seven bits and one of eight. */
function readUint29(reader: ByteReader): number {
  let value = 0
  for (let i = 0; i < 3; i++) {
    const byte = reader.uint8()
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) return value
  }
  return value * 256 + reader.uint8()
}

function isReference(header: number): boolean {
  return (header & 1) === 0
}

function readList<T>(length: number, read: () => T, bounds: Bounds): readonly T[] {
  if (length > bounds.values) throw tooMany()
  return Array.from({ length }, () => {
    spend(bounds, 0)
    return read()
  })
}

function spend(bounds: Bounds, depth: number): void {
  if (--bounds.values < 0) throw tooMany()
  if (depth > MAX_DEPTH) throw new RtmpError('limit', `a command has more than ${MAX_DEPTH} levels`)
}

function tooMany(): RtmpError {
  return new RtmpError('limit', `a command has more than ${MAX_VALUES} values`)
}

/** What this side writes: commands and metadata need no more. */
export type WrittenValue = null | boolean | number | string | { readonly [name: string]: WrittenValue }

/** Writes values in AMF0; texts that would not fit are cut. */
export function writeAmf(...values: readonly WrittenValue[]): Uint8Array {
  const bytes = Buffer.alloc(values.reduce<number>((sum, value) => sum + lengthOf(value), 0))
  let at = 0
  for (const value of values) at = writeValue(bytes, at, value)
  return bytes.subarray(0, at)
}

/** The most bytes that a value takes. */
function lengthOf(value: WrittenValue): number {
  if (value === null) return 1
  if (typeof value === 'boolean') return 2
  if (typeof value === 'number') return 9
  if (typeof value === 'string') return 1 + textLengthOf(value)
  const properties = Object.entries(value)
  return properties.reduce((sum, [name, part]) => sum + textLengthOf(name) + lengthOf(part), 4)
}

function textLengthOf(text: string): number {
  return 2 + Math.min(Buffer.byteLength(text), 0xffff)
}

/** Writes a value at a place, and gives the place behind it. */
function writeValue(bytes: Buffer, at: number, value: WrittenValue): number {
  if (value === null) return bytes.writeUInt8(AMF0.null, at)
  if (typeof value === 'boolean') return bytes.writeUInt8(value ? 1 : 0, bytes.writeUInt8(AMF0.boolean, at))
  if (typeof value === 'number') return bytes.writeDoubleBE(value, bytes.writeUInt8(AMF0.number, at))
  if (typeof value === 'string') return writeText(bytes, bytes.writeUInt8(AMF0.string, at), value)
  let end = bytes.writeUInt8(AMF0.object, at)
  for (const [name, part] of Object.entries(value)) end = writeValue(bytes, writeText(bytes, end, name), part)
  return bytes.writeUIntBE(AMF0.objectEnd, end, 3)
}

/** Text with a length of two bytes. */
function writeText(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 2, Math.min(0xffff, bytes.length - at - 2), 'utf8')
  bytes.writeUInt16BE(length, at)
  return at + 2 + length
}
