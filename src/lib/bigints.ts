/** The larger of two. */
export function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

/** The smaller of two. */
export function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

/** Sort order with the smallest first. */
export function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** For `JSON.stringify`: bigints become texts of their digits. */
export function bigintsAsTexts(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
