import { beyondDeclared, type WorkDone } from '../../../domain/failed-work.ts'
import { MediaError } from '../engine/media-error.ts'

/** Counts what is done of one segment, for all its renditions together, and ends the work where it goes too far. */
export class WorkMeter {
  readonly #maxPixels: bigint | null
  #decoded = 0n
  #encoded = 0n

  /** `maxPixels` bounds the encoded pixels; null for no bound. */
  constructor(maxPixels: bigint | null) {
    this.#maxPixels = maxPixels
  }

  get decodedPixels(): bigint {
    return this.#decoded
  }

  countDecoded(pixels: number): void {
    this.#decoded += BigInt(pixels)
  }

  /** Counts a frame that is about to be encoded. Throws MediaError when it goes beyond the bound. */
  countEncoded(pixels: bigint): void {
    if (this.#maxPixels !== null && this.#encoded + pixels > this.#maxPixels) {
      throw new MediaError(beyondDeclared(this.#maxPixels).message)
    }
    this.#encoded += pixels
  }

  /** The error with what was done before it, for the worker's answer. */
  withWorkDone(error: unknown): unknown {
    if (!(error instanceof MediaError)) return error
    const workDone: WorkDone = { decodedPixels: this.#decoded, encodedPixels: this.#encoded }
    const { cause, code, message } = error
    return new MediaError(message, { code, cause, details: { ...error.details, workDone } })
  }
}
