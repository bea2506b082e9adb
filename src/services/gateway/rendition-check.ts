import { segmentFacts } from '../../domain/segment-facts.ts'
import { type Inspection, isSoundLost, type SoundState } from '../../domain/sound-state.ts'
import { NodeError } from '../../lib/errors.ts'

/** Decodes pictures and sound. */
export interface RenditionDecoder {
  /** Throws NodeError `media-busy` if no worker was free in time, and others if the bytes cannot be decoded. */
  inspect(bytes: Uint8Array, signal: AbortSignal): Promise<Inspection>
}

/** What is decoded, so that it counts as nothing: its number of pixels is that of no orchestrator. */
const UNUSABLE = -1n

/**
 * The pixels of each rendition: null where this node's engine was too busy to count, which is not the orchestrator's
 * fault; a number below zero where it cannot be decoded, or lacks the source's sound (gateway.md §12).
 */
export async function countedPixels(
  source: Uint8Array,
  renditions: readonly Uint8Array[],
  { decoder, signal }: { readonly decoder: RenditionDecoder; readonly signal: AbortSignal },
): Promise<readonly (bigint | null)[]> {
  const found = await Promise.all(renditions.map((bytes) => inspected(decoder, bytes, signal)))
  const isDoubtful = found.some((one) => one !== null && isSoundLost(one.sound, 'whole'))
  const sound = isDoubtful ? await soundOf(decoder, source, signal) : 'unknown'
  return found.map((one) => {
    if (one === null) return null
    return isSoundLost(one.sound, sound) ? UNUSABLE : one.pixels
  })
}

/** Sources without sound, and those of which this node cannot tell, blame nobody. */
async function soundOf(
  decoder: RenditionDecoder,
  source: Uint8Array,
  signal: AbortSignal,
): Promise<SoundState> {
  const facts = segmentFacts(source, 'mpegts')
  if (facts && facts.audio === null && !facts.hasOtherCodecs) return 'none'
  return (await inspected(decoder, source, signal))?.sound ?? 'unknown'
}

async function inspected(
  decoder: RenditionDecoder,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<Inspection | null> {
  try {
    return await decoder.inspect(bytes, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof NodeError && error.code === 'media-busy') return null
    return { pixels: UNUSABLE, sound: 'unknown' }
  }
}
