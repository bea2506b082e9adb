import type { Profile } from '../../../domain/rendition.ts'

/** An encoder with more threads looks further ahead for little gain, and its pictures suffer. */
const MAX_ENCODER_THREADS = 6
/** Each decoder thread holds pictures of its own, and the encoders have more to do than all of them. */
const MAX_DECODER_THREADS = 4
/** An encoder's threads wait for each other: with one for each core, cores stand idle meanwhile. */
const THREADS_PER_CORE = 2
/** What a profile that keeps the source's frame rate is taken for. */
const USUAL_FPS = 30

/**
 * How many threads each rendition's encoder gets of the cores that a segment may take up: by its share of the work, so
 * that all renditions end at about the same time. An encoder with one thread needs some percent less CPU time, so where
 * segments enough run at once to fill the machine, each gets one.
 */
export function encoderThreads(profiles: readonly Profile[], cores: number): number[] {
  if (cores <= 1) return profiles.map(() => 1)
  const work = profiles.map(
    ({ width, height, fps, fpsDen }) =>
      Math.max(1, width * height) * ((fps || USUAL_FPS) / Math.max(1, fpsDen)),
  )
  const total = work.reduce((sum, part) => sum + part, 0)
  const threads = cores * THREADS_PER_CORE
  return work.map((part) => Math.min(MAX_ENCODER_THREADS, Math.max(1, Math.ceil((threads * part) / total))))
}

/** How many threads the decoder gets: as long as the encoders have not seen enough, they wait for it. */
export function decoderThreads(cores: number): number {
  return Math.min(MAX_DECODER_THREADS, Math.max(1, cores))
}
