import type { Profile } from '../../../domain/rendition.ts'

/** With more threads an encoder looks further ahead for little gain, and quality suffers. */
const MAX_ENCODER_THREADS = 6
/** Each decoder thread holds its own pictures, and most of the work is in the encoders. */
const MAX_DECODER_THREADS = 4
/** An encoder's threads wait for each other, so one per core would leave cores idle. */
const THREADS_PER_CORE = 2
/** Frame rate assumed for a profile that keeps the source's. */
const USUAL_FPS = 30

/**
 * The threads of each rendition's encoder, out of the cores that a segment may use, by its share of the work, so that
 * all renditions end at about the same time. With one thread an encoder uses a few percent less CPU time, so each gets
 * one if enough segments run at once to fill the machine.
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

/** The threads of the decoder, for which the encoders wait at first. */
export function decoderThreads(cores: number): number {
  return Math.min(MAX_DECODER_THREADS, Math.max(1, cores))
}
