import { createHash, randomBytes } from 'node:crypto'

/** A source of randomness that tests can replace. */
export interface Dice {
  /** `length` random bytes. */
  bytes(length: number): Uint8Array
  /** A number in [0, 1). Not for money. */
  fraction(): number
}

/** The operating system's random source. */
export const systemDice: Dice = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
}

/** A deterministic source: the SHA-256 of seed and counter, block by block. */
export function seededDice(seed: string): Dice {
  let counter = 0
  let pool = Buffer.alloc(0)
  const take = (length: number) => {
    while (pool.length < length) {
      pool = Buffer.concat([pool, createHash('sha256').update(`${seed}/${counter++}`).digest()])
    }
    const taken = pool.subarray(0, length)
    pool = pool.subarray(length)
    return new Uint8Array(taken)
  }
  return { bytes: take, fraction: () => Buffer.from(take(6)).readUIntBE(0, 6) / 2 ** 48 }
}
