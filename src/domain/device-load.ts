import type { Profile } from './rendition.ts'

/** Frame rate assumed for a profile that keeps the source's. */
const USUAL_FPS = 30

/**
 * The load of a session on its device: pixels per second of all renditions, in whole frames per second (transcoding.md
 * §3.10).
 */
export function sessionCost(profiles: readonly Profile[]): number {
  return profiles.reduce((sum, { fps, fpsDen, height, width }) => {
    const perSecond = fps === 0 ? USUAL_FPS : Math.floor(fps / Math.max(1, fpsDen))
    return sum + width * height * perSecond
  }, 0)
}

/** The device with the least load; among equals the first from `start` on (transcoding.md §5.1). */
export function leastLoaded(loads: readonly number[], start: number): number {
  let best = start % loads.length
  for (let step = 1; step < loads.length; step++) {
    const index = (start + step) % loads.length
    if (loads[index]! < loads[best]!) best = index
  }
  return best
}
