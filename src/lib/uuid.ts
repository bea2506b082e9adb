import { formatHex } from './bytes.ts'
import type { Dice } from './dice.ts'

const BYTES = 16

/** A random UUID (version 4). */
export function uuidOf(dice: Dice): string {
  const bytes = dice.bytes(BYTES)
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = formatHex(bytes).slice(2)
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
