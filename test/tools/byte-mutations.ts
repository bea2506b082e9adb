import fc from 'fast-check'

/** A change of a message: where (as a share of its length), which and how much. */
export interface Mutation {
  readonly kind: 'flip' | 'set' | 'cut' | 'drop' | 'insert' | 'repeat' | 'long'
  readonly at: number
  readonly size: number
  readonly bytes: Uint8Array
}

/** The message with one change. */
export function mutate(message: Uint8Array, { kind, at, size, bytes }: Mutation): Uint8Array {
  const place = Math.floor(at * message.length)
  const before = message.subarray(0, place)
  const rest = message.subarray(place)
  switch (kind) {
    case 'flip':
    case 'set': {
      const copy = message.slice()
      if (copy.length > 0) copy[place] = kind === 'set' ? bytes[0]! : copy[place]! ^ (1 << (size % 8))
      return copy
    }
    case 'cut':
      return before.slice()
    case 'drop':
      return Buffer.concat([before, rest.subarray(size)])
    case 'insert':
      return Buffer.concat([before, bytes, rest])
    case 'repeat':
      return Buffer.concat([before, ...Array(size).fill(rest.subarray(0, size)), rest])
    case 'long':
      // The longest varint over what is there: lengths, tags and numbers at their limits.
      return Buffer.concat([before, Buffer.alloc(9, 0xff), Buffer.of(0x01), rest])
  }
}

/** Any change. */
export const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('flip', 'set', 'cut', 'drop', 'insert', 'repeat', 'long'),
  // Evenly: doubles of fast-check are mostly next to 0.
  at: fc.nat({ max: 2 ** 20 - 1 }).map((part) => part / 2 ** 20),
  size: fc.integer({ min: 1, max: 40 }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
})
