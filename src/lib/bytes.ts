import { NodeError } from './errors.ts'

/** Hexadecimal text with the 0x prefix. */
export type Hex = `0x${string}`

const HEX = /^(0x)?([0-9a-fA-F]{2})*$/

/** Parses hexadecimal text, with or without 0x. Throws NodeError `bad-hex` on anything else. */
export function parseHex(text: string): Uint8Array {
  if (!HEX.test(text)) throw new NodeError('bad-hex', `not hexadecimal: ${text.slice(0, 80)}`)
  return new Uint8Array(Buffer.from(text.startsWith('0x') ? text.slice(2) : text, 'hex'))
}

/** Formats bytes as lower-case hexadecimal with 0x. */
export function formatHex(bytes: Uint8Array): Hex {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`
}

/** Reads an unsigned big-endian integer; no bytes mean zero (wire.md §6). */
export function bytesToInt(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n
  if (bytes.length !== 32) return BigInt(formatHex(bytes))
  // Hashes are what is read most often: four words cost half of what hexadecimal text costs.
  const view = new DataView(bytes.buffer, bytes.byteOffset, 32)
  const high = (view.getBigUint64(0) << 64n) | view.getBigUint64(8)
  return (high << 128n) | (view.getBigUint64(16) << 64n) | view.getBigUint64(24)
}

/** Writes an unsigned integer big-endian without leading zeros; zero is no bytes at all (wire.md §6). */
export function intToBytes(value: bigint): Uint8Array {
  if (value < 0n) throw new NodeError('negative-integer', `cannot encode the negative integer ${value}`)
  if (value === 0n) return new Uint8Array(0)
  const digits = value.toString(16)
  return parseHex(digits.length % 2 === 0 ? digits : `0${digits}`)
}

/** Writes an unsigned integer big-endian in exactly `width` bytes. Throws when it does not fit. */
export function intToFixedBytes(value: bigint, width: number): Uint8Array {
  const bytes = new Uint8Array(width)
  writeInt(bytes, 0, value, width)
  return bytes
}

/**
 * Writes an unsigned integer big-endian into the `width` bytes of `target` at `offset`, all of them.
 * Throws `negative-integer` or `integer-too-wide` before anything is written.
 */
export function writeInt(target: Uint8Array, offset: number, value: bigint, width: number): void {
  if (value < 0n) throw new NodeError('negative-integer', `cannot encode the negative integer ${value}`)
  if (value >> BigInt(8 * width) !== 0n) {
    throw new NodeError('integer-too-wide', `${value} does not fit into ${width} bytes`)
  }
  const view = new DataView(target.buffer, target.byteOffset + offset, width)
  let end = width
  for (let rest = value; end >= 8; end -= 8, rest >>= 64n) view.setBigUint64(end - 8, rest)
  for (let rest = value >> BigInt(8 * (width - end)); end > 0; end--, rest >>= 8n) {
    view.setUint8(end - 1, Number(rest & 0xffn))
  }
}

/** Pads on the left with zeros, or keeps the last bytes of what is too long (wire.md §6, addresses and hashes). */
export function leftPad(bytes: Uint8Array, width: number): Uint8Array {
  const result = new Uint8Array(width)
  const kept = bytes.subarray(Math.max(0, bytes.length - width))
  result.set(kept, width - kept.length)
  return result
}

/** Joins byte strings. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    result.set(part, offset)
    offset += part.length
  }
  return result
}

/** Whether two byte strings are equal. Not constant-time: for secrets use `node:crypto`. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
