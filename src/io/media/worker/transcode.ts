import type { Packet } from 'node-av/lib'
import { MAX_RENDITIONS, type Profile } from '../../../domain/rendition.ts'
import { type Clip, MAX_DURATION_MS } from '../../../domain/segment.ts'
import type { TranscodeOutput } from '../../../services/transcoding/transcoder.ts'
import { MediaError } from '../engine/media-error.ts'
import type { Probe } from '../engine/worker-answers.ts'
import { BoundedQueue } from './bounded-queue.ts'
import { cpu, type Device } from './device.ts'
import { cloned, MemoryInput } from './ffmpeg.ts'
import { moveLateSei } from './late-sei.ts'
import { Pictures, type RenditionPicture } from './pictures.ts'
import { bestStreams, describe } from './probe.ts'
import { type RenditionBytes, RenditionWriter } from './rendition-writer.ts'
import { SegmentReader } from './segment-reader.ts'
import { decoderThreads, encoderThreads } from './threads.ts'
import { WorkMeter } from './work-meter.ts'

/** One segment and its requested renditions. */
export interface TranscodeRequest {
  readonly source: Uint8Array
  readonly profiles: readonly Profile[]
  /** Named in every rendition: `Livepeer Transcoder <version> (<recipient>)` (transcoding.md §3.7). */
  readonly provider: string
  readonly clip: Clip | null
  readonly calcPerceptualHash: boolean
  /** Number of cores that the segment may use; default one. */
  readonly cores?: number
  /**
   * Limit of the encoded pixels of all renditions together, at which the work is stopped; absent or null for no limit.
   */
  readonly maxPixels?: bigint | null
}

/** Decoded frames that may wait for one rendition: enough to even out its speed, few enough to keep in memory. */
const QUEUED_PARTS = 12

type Part =
  | {
      readonly kind: 'frame'
      readonly picture: RenditionPicture
      readonly pts: bigint
      readonly duration: bigint
    }
  | { readonly kind: 'audio'; readonly packet: Packet }

/**
 * Makes all renditions of one segment and decodes it once (transcoding.md §3). Keeps nothing after the call. Throws
 * MediaError with the exact texts that peers compare.
 */
export async function transcode(
  request: TranscodeRequest,
  signal: AbortSignal,
  device: Device = cpu,
): Promise<TranscodeOutput> {
  const meter = new WorkMeter(request.maxPixels ?? null)
  try {
    return await transcodeMetered(request, signal, { device, meter })
  } catch (error) {
    throw meter.withWorkDone(error)
  }
}

async function transcodeMetered(
  request: TranscodeRequest,
  signal: AbortSignal,
  { device, meter }: { device: Device; meter: WorkMeter },
): Promise<TranscodeOutput> {
  await using input = await openSegment(request.source)
  assertClip(request.clip)
  for (const profile of request.profiles) assertProfile(profile)
  if (request.profiles.length > MAX_RENDITIONS) throw new MediaError('Too many outputs')
  const { video, audio } = bestStreams(input)
  if (!video) throw new MediaError('TranscoderInvalidVideo')
  const cores = request.cores ?? 1
  using reader = new SegmentReader(input, { video, audio }, { device, threads: decoderThreads(cores) })
  const source = {
    timeBase: reader.timeBase,
    isMpegts: reader.isMpegts,
    frameRate: () => reader.frameRate,
    audio,
    device,
    provider: request.provider,
    clip: request.clip,
    calcPerceptualHash: request.calcPerceptualHash,
    meter,
    signal,
  }
  // Peers that compare signatures scale every rendition from the source.
  const inSteps = device.scalesInSteps && !request.calcPerceptualHash
  using pictures = new Pictures(request.profiles, device, { inSteps })
  const threads = encoderThreads(request.profiles, cores)
  const pipelines = request.profiles.map(
    (profile, index) =>
      new RenditionPipeline(new RenditionWriter(profile, { ...source, threads: threads[index]! })),
  )
  try {
    await feed(reader, { pictures, pipelines, meter }, signal)
    const results = await Promise.all(pipelines.map((pipeline) => pipeline.result))
    return {
      decodedPixels: meter.decodedPixels,
      renditions: results.map((result) => {
        if (!result) throw new MediaError('TranscoderInvalidVideo')
        return result
      }),
    }
  } catch (error) {
    for (const pipeline of pipelines) pipeline.fail(error)
    throw error
  } finally {
    await Promise.allSettled(pipelines.map((pipeline) => pipeline.result))
  }
}

/** Makes one rendition in parallel with others, a limited number of parts behind the decoder. */
class RenditionPipeline {
  readonly result: Promise<RenditionBytes | null>
  readonly #queue = new BoundedQueue<Part>(QUEUED_PARTS, discard)

  constructor(writer: RenditionWriter) {
    this.result = this.#run(writer)
    this.result.catch(() => {})
  }

  push(part: Part): Promise<void> {
    return this.#queue.push(part)
  }

  end(): void {
    this.#queue.end()
  }

  fail(error: unknown): void {
    this.#queue.fail(error)
  }

  async #run(owned: RenditionWriter): Promise<RenditionBytes | null> {
    using writer = owned
    try {
      for (let part = await this.#queue.take(); part; part = await this.#queue.take()) {
        if (part.kind === 'frame') await writer.frame(part)
        else writer.audio(part.packet)
      }
      return await writer.finish()
    } catch (error) {
      this.#queue.fail(error)
      throw error
    }
  }
}

/** Decodes the segment and gives every pipeline its own reference to each frame and audio packet. */
async function feed(
  reader: SegmentReader,
  {
    pictures,
    pipelines,
    meter,
  }: { pictures: Pictures; pipelines: readonly RenditionPipeline[]; meter: WorkMeter },
  signal: AbortSignal,
): Promise<void> {
  for await (const part of reader.parts(signal)) {
    if (part.kind === 'audio') {
      for (const pipeline of pipelines) await pipeline.push({ kind: 'audio', packet: cloned(part.packet) })
      continue
    }
    const { duration, frame, pts } = part
    meter.countDecoded(frame.width * frame.height)
    using picture = pictures.of(frame)
    for (const [index, pipeline] of pipelines.entries())
      await pipeline.push({ kind: 'frame', picture: picture.forRendition(index), pts, duration })
  }
  for (const pipeline of pipelines) pipeline.end()
}

/** Opens a segment that can be transcoded, with its SEIs in order (transcoding.md §3.1). */
async function openSegment(bytes: Uint8Array): Promise<MemoryInput> {
  const input = await openContainer(bytes)
  try {
    const probed = describe(input)
    assertTranscodable(probed)
    if (probed.container !== 'mpegts' || probed.videoCodec !== 'h264') return input
    const ordered = moveLateSei(bytes, bestStreams(input).video!.id)
    if (ordered === bytes) return input
    await input[Symbol.asyncDispose]()
    return await openContainer(ordered)
  } catch (error) {
    await input[Symbol.asyncDispose]()
    throw error
  }
}

async function openContainer(bytes: Uint8Array): Promise<MemoryInput> {
  try {
    return await MemoryInput.open(bytes)
  } catch (cause) {
    // Peers know only this name for bytes that are not a container (transcoding.md §9).
    throw new MediaError('TranscoderInvalidVideo', { cause })
  }
}

/** Checks in the same order as peers, which compare the first failure (transcoding.md §3.1). */
function assertTranscodable(probe: Probe): void {
  if (probe.durationMs >= MAX_DURATION_MS + 1000) throw new MediaError('TranscoderInvalidDuration')
  if (probe.videoCodec === '' || probe.zeroFrame) throw new MediaError('TranscoderInvalidVideo')
}

function assertClip(clip: Clip | null): void {
  if (!clip) return
  if (clip.fromMs < 0n || (clip.fromMs > 0n && clip.toMs > 0n && clip.toMs < clip.fromMs)) {
    throw new MediaError('TranscoderInvalidClipConfig')
  }
}

function assertProfile(profile: Profile): void {
  const isSide = (side: number) => Number.isSafeInteger(side) && side >= 0
  if (!isSide(profile.width) || !isSide(profile.height)) throw new MediaError('TranscoderInvalidResolution')
  if (!FORMATS.has(profile.format)) throw new MediaError('TranscoderUnrecognizedFormat')
  if (!ENCODER_PROFILES.has(profile.profile)) throw new MediaError('TranscoderUnrecognizedProfile')
  if (profile.gopMs < -1) throw new MediaError('TranscoderInvalidGOP')
}

const FORMATS: ReadonlySet<string> = new Set<Profile['format']>(['none', 'mpegts', 'mp4'])
const ENCODER_PROFILES: ReadonlySet<string> = new Set<Profile['profile']>([
  'none',
  'baseline',
  'main',
  'high',
  'constrained-high',
])

function discard(part: Part): void {
  if (part.kind === 'frame') part.picture[Symbol.dispose]()
  else part.packet.free()
}
