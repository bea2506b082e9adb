import assert from 'node:assert/strict'
import type { Profile } from '../../src/domain/rendition.ts'
import { countPixels } from '../../src/io/media/worker/probe.ts'
import { type TranscodeRequest, transcode } from '../../src/io/media/worker/transcode.ts'
import { profileOf } from '../fakes/profile.ts'
import { look, ptsOf, type SeenContainer } from './media.ts'

/** The encoder that renditions name. */
export const PROVIDER = 'Livepeer Transcoder 1.2.3 (offchain)'

/** A rendition, looked at. */
export interface Made extends SeenContainer {
  readonly bytes: Uint8Array
  readonly pixels: bigint
}

/** Transcodes and looks at every rendition; checks what must hold for each, whatever the profile. */
export async function make(
  source: Uint8Array,
  profiles: readonly Partial<Profile>[],
  options: Partial<TranscodeRequest> = {},
): Promise<{ decodedPixels: bigint; renditions: Made[] }> {
  const output = await transcode(
    {
      source,
      profiles: profiles.map(profileOf),
      provider: PROVIDER,
      clip: null,
      calcPerceptualHash: false,
      ...options,
    },
    AbortSignal.timeout(60_000),
  )
  const renditions: Made[] = []
  for (const { bytes, pixels } of output.renditions) {
    const seen = await look(bytes)
    assert.equal(seen.video[0]?.isKey, true, 'every rendition begins with a key frame')
    assert.equal(
      await countPixels(bytes, AbortSignal.timeout(60_000)),
      pixels,
      'decoding a rendition finds the pixels that are charged',
    )
    renditions.push({ ...seen, bytes, pixels })
  }
  return { decodedPixels: output.decodedPixels, renditions }
}

/** How many frames each rendition has. */
export async function frames(source: Uint8Array, profiles: readonly Partial<Profile>[]): Promise<number[]> {
  return (await make(source, profiles)).renditions.map((rendition) => rendition.video.length)
}

/** When the key frames of a rendition are shown. */
export function keyFrames(rendition: SeenContainer): bigint[] {
  return ptsOf(rendition.video.filter((packet) => packet.isKey))
}

/** The segment is refused with exactly this text. */
export function fails(
  source: Uint8Array,
  profiles: readonly Partial<Profile>[],
  message: string,
): Promise<void> {
  return assert.rejects(make(source, profiles), { name: 'MediaError', code: 'media', message })
}
