/** What decoding the sound of a segment finds: `damaged` where some of it or all cannot be decoded, `unknown` without a decoder. */
export const SOUND_STATES = ['none', 'whole', 'damaged', 'unknown'] as const

/** One of them. */
export type SoundState = (typeof SOUND_STATES)[number]

/** What decoding a rendition finds. */
export interface Inspection {
  /** Width × height of its pictures, added up. */
  readonly pixels: bigint
  readonly sound: SoundState
}

/**
 * Whether an orchestrator lost sound: what of the source can be decoded is not in the rendition, or cannot be decoded
 * there. Sound is copied, so that damage of the source is found in the rendition too, and blamed on nobody.
 */
export function isSoundLost(rendition: SoundState, source: SoundState): boolean {
  return source === 'whole' && (rendition === 'none' || rendition === 'damaged')
}
