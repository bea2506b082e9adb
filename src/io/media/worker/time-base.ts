/** The unit of a timestamp in seconds, as a fraction. */
export interface TimeBase {
  readonly num: number
  readonly den: number
}

/** Unit of MPEG-TS times. */
export const MPEGTS_TIME_BASE: TimeBase = { num: 1, den: 90_000 }

/** MPEG-TS times wrap around here. */
export const MPEGTS_WRAP = 1n << 33n

/** Unit of this project's interfaces. */
export const MILLISECONDS: TimeBase = { num: 1, den: 1000 }

/** Expresses a timestamp in another unit, rounded to nearest, halves away from zero. */
export function rescale(value: bigint, from: TimeBase, to: TimeBase): bigint {
  const num = value * BigInt(from.num) * BigInt(to.den)
  const den = BigInt(from.den) * BigInt(to.num)
  const magnitude = ((num < 0n ? -num : num) * 2n + den) / (den * 2n)
  return num < 0n ? -magnitude : magnitude
}
