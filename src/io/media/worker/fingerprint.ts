import { createHash } from 'node:crypto'
import { avGetPixFmtName } from 'node-av/lib'
import { type Fingerprint, SOUND_HASH_BYTES } from '../../../domain/result-comparison.ts'
import { MediaError } from '../engine/media-error.ts'
import { MemoryInput } from './ffmpeg.ts'
import { PerceptualHash } from './perceptual-hash.ts'
import { bestStreams } from './probe.ts'
import { SegmentReader } from './segment-reader.ts'

/** Packets of sound in the longest segment, at several hundred a second; further ones do not count. */
const MAX_SOUNDS = 100_000

/**
 * Decodes a rendition and describes what it shows and sounds like, to compare it with another's (transcoding.md §8).
 * Pictures of another size or format than the first count as missing. Throws MediaError with FFmpeg's text if it cannot
 * be decoded.
 */
export async function fingerprint(bytes: Uint8Array, signal: AbortSignal): Promise<Fingerprint> {
  await using input = await MemoryInput.open(bytes)
  const { audio, video } = bestStreams(input)
  if (!video) throw new MediaError('TranscoderInvalidVideo')
  using reader = new SegmentReader(input, { video, audio }, { ignoreContainerSize: true })
  const sounds: Uint8Array[] = []
  let pictures: PerceptualHash | null = null
  let format = -1
  try {
    for await (const part of reader.parts(signal)) {
      if (part.kind === 'audio') {
        if (sounds.length < MAX_SOUNDS) sounds.push(hashOf(part.packet.data))
        continue
      }
      const { frame, pts } = part
      const { height, width } = frame
      if (!pictures) {
        format = frame.format
        pictures = new PerceptualHash(
          { width, height },
          reader.timeBase,
          avGetPixFmtName(format as never) ?? '',
        )
      }
      const { size } = pictures
      if (width === size.width && height === size.height && frame.format === format) pictures.add(frame, pts)
    }
    if (!pictures) throw new MediaError('TranscoderInvalidVideo')
    const signature = pictures.finish()
    return { ...pictures.size, signature, sound: new Uint8Array(Buffer.concat(sounds)) }
  } finally {
    pictures?.[Symbol.dispose]()
  }
}

function hashOf(packet: Uint8Array | null): Uint8Array {
  const whole = createHash('sha256')
    .update(packet ?? new Uint8Array(0))
    .digest()
  return new Uint8Array(whole.subarray(0, SOUND_HASH_BYTES))
}
