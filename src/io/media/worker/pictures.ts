import { AV_FRAME_FLAG_INTERLACED, AVCHROMA_LOC_UNSPECIFIED } from 'node-av/constants'
import type { Frame } from 'node-av/lib'
import type { Profile } from '../../../domain/rendition.ts'
import { takeCaptions } from './captions.ts'
import type { Device } from './device.ts'
import { cloned } from './ffmpeg.ts'
import { isSameSize, outputSize, type Size } from './output-size.ts'
import type { Scaler } from './scaler.ts'

/** A frame of the source for one rendition. Its receiver disposes of it once. */
export interface RenditionPicture extends Disposable {
  readonly size: Size
  /** The frame's captions, which scaled frames do not have; null if there are none. */
  readonly captions: Uint8Array | null
  /** A new frame, to be freed by the caller. */
  scaled(): Promise<Frame>
}

/** A rendition's size, and the rendition its pictures are scaled from; null for the source. */
export interface ScaleStep {
  readonly size: Size
  readonly from: number | null
}

/**
 * How a source is scaled to its renditions: each from the source, or, which costs a fraction, each from the next larger
 * rendition that shows the same frames.
 */
export function scaleSteps(
  profiles: readonly Profile[],
  source: Size,
  { inSteps }: { inSteps: boolean },
): ScaleStep[] {
  const sizes = profiles.map((profile) => outputSize(profile.encoder, profile, source))
  return sizes.map((size, index) => {
    let from: number | null = null
    for (const [other, larger] of sizes.entries()) {
      if (!inSteps || !showSameFrames(profiles[index]!, profiles[other]!)) continue
      if (longer(larger) > longer(source)) continue
      const serves = isSameSize(larger, size) ? other < index : isStepAbove(larger, size)
      if (serves && (from === null || longer(larger) < longer(sizes[from]!))) from = other
    }
    return { size, from }
  })
}

/** The frames of one segment in the sizes of its renditions, each scaled once on first use. */
export class Pictures implements Disposable {
  readonly #profiles: readonly Profile[]
  readonly #scalers: readonly OrderedScaler[]
  readonly #inSteps: boolean
  #known: { readonly source: Size; readonly steps: readonly ScaleStep[] } | null = null

  constructor(profiles: readonly Profile[], device: Device, { inSteps }: { inSteps: boolean }) {
    this.#profiles = profiles
    this.#scalers = profiles.map((profile) => new OrderedScaler(device.scalerFor(profile)))
    this.#inSteps = inSteps
  }

  /** The caller keeps the frame. */
  of(frame: Frame): Picture {
    if (!this.#known || !isSameSize(this.#known.source, frame)) {
      const source = { width: frame.width, height: frame.height }
      this.#known = { source, steps: scaleSteps(this.#profiles, source, { inSteps: this.#inSteps }) }
    }
    return new Picture(cloned(frame), this.#known.steps, this.#scalers)
  }

  /** All pictures must have been disposed of before. */
  [Symbol.dispose](): void {
    for (const scaler of this.#scalers) scaler[Symbol.dispose]()
  }
}

/** One frame of the source, kept until its holder and those of all renditions have disposed of it. */
export class Picture implements Disposable {
  readonly #frame: Frame
  readonly #steps: readonly ScaleStep[]
  readonly #scalers: readonly OrderedScaler[]
  readonly #scaled: (Promise<Frame> | undefined)[]
  readonly #made: Frame[] = []
  readonly #captions: Uint8Array | null
  #holders = 1

  constructor(frame: Frame, steps: readonly ScaleStep[], scalers: readonly OrderedScaler[]) {
    this.#frame = frame
    this.#steps = steps
    this.#scalers = scalers
    this.#scaled = steps.map(() => undefined)
    // Renditions are progressive. Chroma location is cleared because peers' scalers ignore it and assume the centre.
    frame.clearFlags(AV_FRAME_FLAG_INTERLACED)
    frame.chromaLocation = AVCHROMA_LOC_UNSPECIFIED
    // A frame may be shown twice or never, so its captions are read only once.
    this.#captions = takeCaptions(frame)
  }

  forRendition(index: number): RenditionPicture {
    this.#holders++
    return {
      size: this.#steps[index]!.size,
      captions: this.#captions,
      scaled: async () => cloned(await this.#scaledTo(index)),
      [Symbol.dispose]: () => this[Symbol.dispose](),
    }
  }

  [Symbol.dispose](): void {
    if (--this.#holders > 0) return
    this.#frame.free()
    for (const frame of this.#made.splice(0)) frame.free()
  }

  #scaledTo(index: number): Promise<Frame> {
    this.#scaled[index] ??= this.#scale(index)
    return this.#scaled[index]
  }

  async #scale(index: number): Promise<Frame> {
    const { size, from } = this.#steps[index]!
    const source = from === null ? this.#frame : await this.#scaledTo(from)
    const scaled = await this.#scalers[index]!.scale(source, size)
    this.#made.push(scaled)
    return scaled
  }
}

/** A scaler shared by several callers, which processes one frame at a time. */
class OrderedScaler implements Disposable {
  readonly #scaler: Scaler
  #last: Promise<unknown> = Promise.resolve()

  constructor(scaler: Scaler) {
    this.#scaler = scaler
  }

  scale(source: Frame, size: Size): Promise<Frame> {
    const scaled = this.#last.then(() => this.#scaler.scale(source, size))
    this.#last = scaled.catch(() => {})
    return scaled
  }

  [Symbol.dispose](): void {
    this.#scaler[Symbol.dispose]()
  }
}

function showSameFrames(one: Profile, other: Profile): boolean {
  return one.fps === other.fps && Math.max(1, one.fpsDen) === Math.max(1, other.fpsDen)
}

/** Scaling down by less than a factor of 1.5 in a second step would cost sharpness and save little. */
function isStepAbove(larger: Size, size: Size): boolean {
  return 2 * longer(larger) >= 3 * longer(size)
}

function longer({ width, height }: Size): number {
  return Math.max(width, height)
}
