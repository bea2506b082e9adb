/** JSON as peers write it, in which no character ends an HTML script. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[&<>\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Deeper values than any answer has are left out, so that none exhausts the stack. */
const MAX_DEPTH = 100

/** A parsed JSON value whose objects have their keys in lower case, since peers read keys in any case. */
export function inLowerCase(json: unknown, depth = 0): unknown {
  if (typeof json !== 'object' || json === null) return json
  if (depth >= MAX_DEPTH) return null
  if (Array.isArray(json)) return json.map((one) => inLowerCase(one, depth + 1))
  return Object.fromEntries(
    Object.entries(json).map(([key, value]) => [key.toLowerCase(), inLowerCase(value, depth + 1)]),
  )
}
