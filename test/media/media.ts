import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_VIDEO } from 'node-av/constants'
import { type Frame, Packet } from 'node-av/lib'
import { cloned, MemoryInput } from '../../src/io/media/worker/ffmpeg.ts'
import { bestStreams } from '../../src/io/media/worker/probe.ts'
import { SegmentReader } from '../../src/io/media/worker/segment-reader.ts'
import { SyntheticStream } from '../../src/io/media/worker/synthetic.ts'
import { ascending } from '../../src/lib/bigints.ts'

/** What a synthetic segment looks like; everything has a default. */
export interface SegmentSettings {
  readonly width?: number
  readonly height?: number
  readonly fps?: number
  readonly fpsDen?: number
  readonly durationMs?: number
  /** Frames in a segment, instead of `durationMs`. */
  readonly frames?: number
  /** Time of the first frame. */
  readonly startMs?: number
  readonly audio?: boolean
  /** Frames between key frames; default one key frame per segment. */
  readonly gop?: number
  readonly bFrames?: number
  readonly encoder?: 'libx264' | 'mpeg4'
  readonly encoderOptions?: Readonly<Record<string, string>>
  readonly pixelFormat?: string
  readonly format?: 'mpegts' | 'mp4'
}

/** Makes one small segment of a moving picture and a tone: 256x144, 30 fps, 2 s, H.264 and AAC unless said. */
export async function makeSegment(settings: SegmentSettings = {}): Promise<Uint8Array> {
  return (await makeSegments(1, settings))[0]!
}

/** Makes consecutive segments of one stream. */
export async function makeSegments(count: number, settings: SegmentSettings = {}): Promise<Uint8Array[]> {
  const fps = { num: settings.fps ?? 30, den: settings.fpsDen ?? 1 }
  const framesPerSegment =
    settings.frames ?? Math.round(((settings.durationMs ?? 2000) * fps.num) / (1000 * fps.den))
  const encoder = settings.encoder ?? 'libx264'
  const bFrames = settings.bFrames ?? 0
  using stream = new SyntheticStream({
    width: settings.width ?? 256,
    height: settings.height ?? 144,
    fps,
    framesPerSegment,
    startPts: BigInt(Math.round((settings.startMs ?? 10_000) * 90)),
    hasAudio: settings.audio ?? true,
    gopFrames: settings.gop ?? framesPerSegment,
    bFrames,
    encoder,
    encoderOptions: {
      ...(encoder === 'libx264' ? { preset: 'ultrafast', sc_threshold: '0', 'forced-idr': '1' } : {}),
      ...(encoder === 'libx264' && bFrames === 0 ? { tune: 'zerolatency' } : {}),
      ...settings.encoderOptions,
    },
    pixelFormat: settings.pixelFormat ?? 'yuv420p',
    bitrate: 300_000,
    format: settings.format ?? 'mpegts',
  })
  const segments: Uint8Array[] = []
  for (let made = 1; made <= count; made++) segments.push(await stream.next(made === count))
  return segments
}

/** A packet as it lies in a container. */
export interface SeenPacket {
  readonly pts: bigint
  readonly dts: bigint
  readonly isKey: boolean
  readonly digest: string
}

/** What lies in a container, packet by packet. */
export interface SeenContainer {
  readonly video: readonly SeenPacket[]
  readonly audio: readonly SeenPacket[]
  readonly width: number
  readonly height: number
  readonly frameRate: { readonly num: number; readonly den: number }
  readonly videoUnit: { readonly num: number; readonly den: number }
  readonly metadata: Readonly<Record<string, string>>
  readonly profile: number
  readonly startMs: number
}

/** Reads a container's packets without decoding them. */
export async function look(bytes: Uint8Array): Promise<SeenContainer> {
  await using input = await MemoryInput.open(bytes)
  const video: SeenPacket[] = []
  const audio: SeenPacket[] = []
  const packet = new Packet()
  packet.alloc()
  const videoIndex = input.format.findBestStream(AVMEDIA_TYPE_VIDEO, -1, -1)
  const audioIndex = input.format.findBestStream(AVMEDIA_TYPE_AUDIO, -1, -1)
  while (input.format.readFrameSync(packet) >= 0) {
    const list = packet.streamIndex === videoIndex ? video : packet.streamIndex === audioIndex ? audio : null
    const digest = createHash('sha256')
      .update(packet.data ?? new Uint8Array(0))
      .digest('hex')
    list?.push({ pts: packet.pts, dts: packet.dts, isKey: packet.isKeyframe, digest })
    packet.unref()
  }
  packet.free()
  const stream = input.format.streams[videoIndex]
  const { num, den } = stream?.rFrameRate ?? { num: 0, den: 1 }
  return {
    video,
    audio,
    width: stream?.codecpar.width ?? 0,
    height: stream?.codecpar.height ?? 0,
    frameRate: { num, den },
    videoUnit: { num: stream?.timeBase.num ?? 0, den: stream?.timeBase.den ?? 1 },
    metadata: input.format.metadata?.getAll() ?? {},
    profile: stream?.codecpar.profile ?? 0,
    startMs: Number(input.format.startTime) / 1000,
  }
}

/** Presentation times in the order of showing. */
export function ptsOf(packets: readonly SeenPacket[]): bigint[] {
  return packets.map((packet) => packet.pts).sort(ascending)
}

/** The frames of a segment, decoded as the engine does; each is gone when the next is asked for. */
export async function* framesOf(source: Uint8Array): AsyncGenerator<Frame> {
  await using input = await MemoryInput.open(source)
  using reader = new SegmentReader(input, { video: bestStreams(input).video!, audio: null })
  for await (const part of reader.parts(AbortSignal.timeout(30_000)))
    if (part.kind === 'frame') yield part.frame
}

/** The last frame of a segment, to be freed by the caller. */
export async function lastFrameOf(source: Uint8Array): Promise<Frame> {
  let last: Frame | null = null
  for await (const frame of framesOf(source)) {
    last?.free()
    last = cloned(frame)
  }
  if (!last) throw new Error('no frame')
  return last
}

/** The samples of one plane of an 8-bit 4:2:0 frame, line by line without the padding. */
export function planeOf(frame: Frame, plane: number): Buffer {
  const half = plane === 0 ? 1 : 2
  const [width, height] = [frame.width / half, frame.height / half]
  const stride = frame.linesize[plane]!
  // Every look at the data costs a call of native code.
  const samples = frame.data![plane]!
  const lines = Array.from({ length: Math.ceil(height) }, (_, line) =>
    samples.subarray(line * stride, line * stride + width),
  )
  return Buffer.concat(lines)
}

/** The folder of real recordings that LIVEPEER_TEST_MEDIA names; null where it names none. */
export const RECORDINGS = process.env.LIVEPEER_TEST_MEDIA || null

/** A real recording, or null where it is not there. */
export function recording(name: string): Uint8Array | null {
  const file = RECORDINGS && join(RECORDINGS, name)
  return file && existsSync(file) ? new Uint8Array(readFileSync(file)) : null
}
