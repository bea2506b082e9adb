import type { Profile } from '../../domain/rendition.ts'

/** An encoder with more threads looks further ahead for little gain, and its pictures suffer. */
const MAX_THREADS = 6
/** What a profile that keeps the source's frame rate is taken for. */
const USUAL_FPS = 30

/**
 * How many threads each rendition's encoder gets of the cores that a segment may take up: by its share of the work, so
 * that all renditions end at about the same time. An encoder with one thread needs some percent less CPU time, so where
 * segments enough run at once to fill the machine, each gets one.
 */
export function encoderThreads(profiles: readonly Profile[], cores: number): number[] {
  const work = profiles.map(
    ({ width, height, fps, fpsDen }) =>
      Math.max(1, width * height) * ((fps || USUAL_FPS) / Math.max(1, fpsDen)),
  )
  const total = work.reduce((sum, part) => sum + part, 0)
  return work.map((part) => Math.min(MAX_THREADS, Math.max(1, Math.ceil((cores * part) / total))))
}
