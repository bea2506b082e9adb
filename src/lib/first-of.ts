/** The first `count` items in the order of `compare`, without sorting all of them. */
export function firstOf<T>(items: Iterable<T>, count: number, compare: (a: T, b: T) => number): T[] {
  let kept: T[] = []
  /** The last of the kept items once there are `count`: items after it are skipped. */
  let last: { readonly item: T } | null = null
  for (const item of items) {
    if (last && compare(item, last.item) >= 0) continue
    kept.push(item)
    if (kept.length < 2 * count) continue
    kept = kept.sort(compare).slice(0, count)
    last = { item: kept.at(-1)! }
  }
  return kept.sort(compare).slice(0, count)
}
