import { type DescMessage, fromBinary } from '@bufbuild/protobuf'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

/** The message with its map entries sorted by their bytes, because peers write maps in random order. */
export function withOrderedMaps(schema: DescMessage, bytes: Uint8Array): Uint8Array {
  const reader = new BinaryReader(bytes)
  const parts: { number: number; bytes: Uint8Array }[] = []
  while (reader.pos < reader.len) {
    const start = reader.pos
    const [number, wireType] = reader.tag()
    const field = schema.fields.find((candidate) => candidate.number === number)
    const inner = field?.fieldKind === 'map' ? field.message : field?.message
    const isMap = field?.fieldKind === 'map'
    if (wireType === WireType.LengthDelimited && inner) {
      const content = isMap ? mapEntry(inner, reader.bytes()) : withOrderedMaps(inner, reader.bytes())
      parts.push({ number, bytes: new BinaryWriter().tag(number, wireType).bytes(content).finish() })
    } else {
      reader.skip(wireType, number)
      parts.push({ number, bytes: bytes.slice(start, reader.pos) })
    }
  }
  for (const field of schema.fields.filter(({ fieldKind }) => fieldKind === 'map')) {
    const places = parts.flatMap((part, index) => (part.number === field.number ? [index] : []))
    const entries = places.map((index) => parts[index]!).sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    places.forEach((place, index) => {
      parts[place] = entries[index]!
    })
  }
  return Buffer.concat(parts.map((part) => part.bytes))
}

function mapEntry(value: DescMessage, bytes: Uint8Array): Uint8Array {
  const reader = new BinaryReader(bytes)
  const writer = new BinaryWriter()
  while (reader.pos < reader.len) {
    const start = reader.pos
    const [number, wireType] = reader.tag()
    if (number === 2) writer.tag(2, wireType).bytes(withOrderedMaps(value, reader.bytes()))
    else {
      reader.skip(wireType, number)
      writer.raw(bytes.slice(start, reader.pos))
    }
  }
  return writer.finish()
}

/** The paths of fields unknown to the schema; none if it describes the whole message. */
export function unknownFields(schema: DescMessage, bytes: Uint8Array): string[] {
  const found: string[] = []
  const visit = (value: unknown, path: string) => {
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return
    for (const [key, item] of Object.entries(value)) {
      if (key === '$unknown') found.push(...(item as { no: number }[]).map(({ no }) => `${path}/${no}`))
      else visit(item, `${path}/${key}`)
    }
  }
  visit(fromBinary(schema, bytes), schema.typeName)
  return found
}
