import { beyondDeclared, type WorkDone } from '../../../domain/failed-work.ts'
import { MediaError } from '../engine/media-error.ts'

/** Counts the work on one segment over all its renditions, and stops it at a limit. */
export class WorkMeter {
  readonly #maxPixels: bigint | null
  #decoded = 0n
  #encoded = 0n

  /** `maxPixels` limits the encoded pixels; null for no limit. */
  constructor(maxPixels: bigint | null) {
    this.#maxPixels = maxPixels
  }

  get decodedPixels(): bigint {
    return this.#decoded
  }

  countDecoded(pixels: number): void {
    this.#decoded += BigInt(pixels)
  }

  /** Counts a frame before it is encoded. Throws MediaError if it exceeds the limit. */
  countEncoded(pixels: bigint): void {
    if (this.#maxPixels !== null && this.#encoded + pixels > this.#maxPixels) {
      throw new MediaError(beyondDeclared(this.#maxPixels).message)
    }
    this.#encoded += pixels
  }

  /** The error with the work done before it, for the worker's answer. */
  withWorkDone(error: unknown): unknown {
    if (!(error instanceof MediaError)) return error
    const workDone: WorkDone = { decodedPixels: this.#decoded, encodedPixels: this.#encoded }
    const { cause, code, message } = error
    return new MediaError(message, { code, cause, details: { ...error.details, workDone } })
  }
}
