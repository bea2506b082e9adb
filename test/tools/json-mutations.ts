import fc from 'fast-check'

/** A change of a JSON value: at which of its places, and what is there instead; `undefined` removes it. */
export interface JsonMutation {
  readonly at: number
  readonly value: unknown
}

/** Values at which readers of JSON err. */
const ODD: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 0.5, -0, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, undefined],
  ...[
    '',
    ' ',
    '.',
    '..',
    '../x',
    'a/b',
    '\0',
    '\r\n#EXT',
    '\ud800',
    '%',
    '0x',
    '-1',
    '1e9',
    'x'.repeat(2_000),
  ],
  ...[[], {}, [null], [[]], { length: 5 }, [1, 'a', {}], Array(70).fill({}), { toString: null }],
  JSON.parse('{"__proto__":{"score":9},"constructor":1,"hasOwnProperty":2}'),
]

/** Any change. */
export const jsonMutation: fc.Arbitrary<JsonMutation> = fc.record({
  // Evenly: doubles of fast-check are mostly next to 0.
  at: fc.nat({ max: 2 ** 20 - 1 }).map((part) => part / 2 ** 20),
  value: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...ODD) },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  ),
})

/** The value with one change, as JSON gives it back. */
export function mutateJson(json: unknown, { at, value }: JsonMutation): unknown {
  const places: { holder: Record<string, unknown>; key: string }[] = []
  const root = { json: structuredClone(json) as unknown }
  const visit = (holder: Record<string, unknown>, key: string) => {
    places.push({ holder, key })
    const inner = holder[key]
    if (typeof inner !== 'object' || inner === null) return
    for (const name of Object.keys(inner)) visit(inner as Record<string, unknown>, name)
  }
  visit(root, 'json')
  const { holder, key } = places[Math.floor(at * places.length)]!
  if (value === undefined) delete holder[key]
  else holder[key] = value
  return JSON.parse(JSON.stringify(root.json ?? null))
}
