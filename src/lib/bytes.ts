import { NodeError } from './errors.ts'

/** Why bytes cannot be read or written. */
export type BytesFault = 'bad-hex' | 'integer-too-wide' | 'negative-integer'

/** Hexadecimal text with the 0x prefix. */
export type Hex = `0x${string}`

const HEX = /^(0x)?([0-9a-fA-F]{2})*$/

/** Parses hexadecimal text, with or without 0x. Throws NodeError `bad-hex` on anything else. */
export function parseHex(text: string): Uint8Array {
  if (!HEX.test(text)) throw new NodeError<BytesFault>('bad-hex', `not hexadecimal: ${text.slice(0, 80)}`)
  return new Uint8Array(Buffer.from(text.startsWith('0x') ? text.slice(2) : text, 'hex'))
}

/** Formats bytes as lower-case hexadecimal with 0x. */
export function formatHex(bytes: Uint8Array): Hex {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`
}

/** Buffer for converting integers as four 64-bit words, which is faster than going through hexadecimal text. */
const scratch = new Uint8Array(32)
const words = new DataView(scratch.buffer)
const WORD = 2n ** 64n

/** Reads an unsigned big-endian integer; an empty input is zero (wire.md §6). */
export function bytesToInt(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n
  if (bytes.length !== 32) return BigInt(formatHex(bytes))
  scratch.set(bytes)
  const high = (words.getBigUint64(0) << 64n) | words.getBigUint64(8)
  return (high << 128n) | (words.getBigUint64(16) << 64n) | words.getBigUint64(24)
}

/** Writes an unsigned integer big-endian without leading zeros; zero becomes an empty array (wire.md §6). */
export function intToBytes(value: bigint): Uint8Array {
  if (value < 0n)
    throw new NodeError<BytesFault>('negative-integer', `cannot encode the negative integer ${value}`)
  if (value === 0n) return new Uint8Array(0)
  const digits = value.toString(16)
  return parseHex(digits.length % 2 === 0 ? digits : `0${digits}`)
}

/** Writes an unsigned integer big-endian in exactly `width` bytes. Throws `negative-integer` or `integer-too-wide`. */
export function intToFixedBytes(value: bigint, width: number): Uint8Array {
  if (width === 32) {
    fillScratch(value)
    return scratch.slice()
  }
  const bytes = intToBytes(value)
  if (bytes.length > width) throw tooWide(value, width)
  return leftPad(bytes, width)
}

/**
 * Writes an unsigned integer big-endian into all 32 bytes of `target` at `offset`. Throws `negative-integer` or
 * `integer-too-wide`.
 */
export function writeUint256(target: Uint8Array, offset: number, value: bigint): void {
  fillScratch(value)
  target.set(scratch, offset)
}

function fillScratch(value: bigint): void {
  if (value < 0n)
    throw new NodeError<BytesFault>('negative-integer', `cannot encode the negative integer ${value}`)
  words.setBigUint64(24, value)
  let rest = value < WORD ? 0n : value >> 64n
  for (let word = 16; word >= 0; word -= 8) {
    words.setBigUint64(word, rest)
    if (rest !== 0n) rest >>= 64n
  }
  if (rest !== 0n) throw tooWide(value, 32)
}

function tooWide(value: bigint, width: number): NodeError {
  return new NodeError<BytesFault>('integer-too-wide', `${value} does not fit into ${width} bytes`)
}

/**
 * Pads with zeros on the left, or keeps the last `width` bytes of a longer input (wire.md §6, addresses and hashes).
 */
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

/** A loop is faster than a native call up to this length. */
const SHORT = 64

/** Whether two byte strings are equal. Not constant-time: for secrets use `node:crypto`. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  if (a.length > SHORT) return Buffer.compare(a, b) === 0
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Compares byte strings: negative, zero or positive. Strings of equal length compare as integers do. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length, SHORT)
  for (let i = 0; i < common; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return Buffer.compare(a, b)
}
