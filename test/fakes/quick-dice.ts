import { createHash } from 'node:crypto'
import type { Dice } from '../../src/lib/dice.ts'

/** Fast deterministic random numbers for simulations; not for secrets. */
export function quickDice(seed: string): Dice {
  let state = createHash('sha256').update(seed).digest().readUInt32LE()
  /** Mulberry32: 32 bits at a time. */
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return {
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
    fraction: () => next() / 2 ** 32,
  }
}
