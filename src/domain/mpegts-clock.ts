/** The clock of MPEG-TS. */
export const TICKS_PER_SECOND = 90_000
export const TICKS_PER_MS = 90
/** Times are modulo 2^33. */
export const CLOCK_WRAP = 2 ** 33

/** How far a time is from another by a clock of 33 bits that may have begun anew: the nearest that it can be. */
export function ticksBetween(from: number, to: number): number {
  const ahead = onClock(to - from)
  return ahead >= CLOCK_WRAP / 2 ? ahead - CLOCK_WRAP : ahead
}

/** A time as the clock shows it. */
export function onClock(ticks: number): number {
  return ((ticks % CLOCK_WRAP) + CLOCK_WRAP) % CLOCK_WRAP
}

/** The time in the five bytes of an elementary stream's header that begin here. */
export function timeAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at]! >> 1) & 7) * 2 ** 30 +
    (bytes[at + 1]! << 22) +
    ((bytes[at + 2]! >> 1) << 15) +
    (bytes[at + 3]! << 7) +
    (bytes[at + 4]! >> 1)
  )
}
