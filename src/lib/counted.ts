/** A number with its noun: `3 tickets`, `1 ticket`. */
export function counted(count: number | bigint, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 || count === 1n ? noun : plural}`
}
