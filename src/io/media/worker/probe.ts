import { AV_NOPTS_VALUE, AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_VIDEO } from 'node-av/constants'
import { avGetCodecName, avGetPixFmtName, type Stream } from 'node-av/lib'
import type { Inspection } from '../../../domain/sound-state.ts'
import { MediaError } from '../engine/media-error.ts'
import type { Probe } from '../engine/worker-answers.ts'
import { MemoryInput } from './ffmpeg.ts'
import { SegmentReader } from './segment-reader.ts'
import { SoundCheck } from './sound-check.ts'

/** The best video and audio stream of an opened container. */
export function bestStreams(input: MemoryInput): { video: Stream | null; audio: Stream | null } {
  const streams = input.format.streams
  const best = (type: typeof AVMEDIA_TYPE_VIDEO | typeof AVMEDIA_TYPE_AUDIO) => {
    const index = input.format.findBestStream(type, -1, -1)
    return index < 0 ? null : (streams[index] ?? null)
  }
  return { video: best(AVMEDIA_TYPE_VIDEO), audio: best(AVMEDIA_TYPE_AUDIO) }
}

/** Describes an opened container. */
export function describe(input: MemoryInput): Probe {
  const { video, audio } = bestStreams(input)
  const parameters = video?.codecpar
  const pixelFormat = parameters ? (avGetPixFmtName(parameters.format as never) ?? '') : ''
  const duration = input.format.duration
  return {
    container: input.container,
    videoCodec: parameters ? (avGetCodecName(parameters.codecId) ?? '') : '',
    audioCodec: audio ? (avGetCodecName(audio.codecpar.codecId) ?? '') : '',
    pixelFormat,
    width: parameters?.width ?? 0,
    height: parameters?.height ?? 0,
    zeroFrame: audio !== null && video !== null && pixelFormat === '' && parameters?.height === 0,
    durationMs: duration === AV_NOPTS_VALUE || duration < 0n ? 0 : Number(duration / 1000n),
  }
}

/** Describes a segment (transcoding.md §3.1). Throws MediaError with FFmpeg's text if it is not a container. */
export async function probe(bytes: Uint8Array): Promise<Probe> {
  await using input = await MemoryInput.open(bytes)
  return describe(input)
}

/**
 * Decodes a rendition and adds up width × height of its frames, which is what may be charged for it (transcoding.md
 * §8). Throws MediaError with FFmpeg's text if it cannot be decoded.
 */
export async function countPixels(bytes: Uint8Array, signal: AbortSignal): Promise<bigint> {
  await using input = await MemoryInput.open(bytes)
  return await pixelsOf(input, bestStreams(input), { signal, sound: null })
}

/** The same, and whether its sound can be decoded. */
export async function inspect(bytes: Uint8Array, signal: AbortSignal): Promise<Inspection> {
  await using input = await MemoryInput.open(bytes)
  const streams = bestStreams(input)
  if (!streams.audio)
    return { pixels: await pixelsOf(input, streams, { signal, sound: null }), sound: 'none' }
  using sound = new SoundCheck(streams.audio)
  const pixels = await pixelsOf(input, streams, { signal, sound })
  return { pixels, sound: await sound.end() }
}

async function pixelsOf(
  input: MemoryInput,
  { audio, video }: { video: Stream | null; audio: Stream | null },
  { signal, sound }: { signal: AbortSignal; sound: SoundCheck | null },
): Promise<bigint> {
  if (!video) throw new MediaError('TranscoderInvalidVideo')
  // The loop filter does not affect sizes, and skipping it saves a quarter of the time. The encoder's input size
  // counts, even if it changes by a few lines and the container has only the first one.
  const options = { skipLoopFilter: true, ignoreContainerSize: true }
  using reader = new SegmentReader(input, { video, audio: sound && audio }, options)
  let pixels = 0n
  for await (const part of reader.parts(signal)) {
    if (part.kind === 'frame') pixels += BigInt(part.frame.width * part.frame.height)
    else await sound?.take(part.packet)
  }
  return pixels
}
