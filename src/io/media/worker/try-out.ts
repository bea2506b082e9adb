import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AVFMT_GLOBALHEADER,
  type FFEncoderCodec,
} from 'node-av/constants'
import { avGetPixFmtFromName, Codec, CodecContext, Frame, Packet, Rational } from 'node-av/lib'
import { capability } from '../../../domain/capabilities.ts'
import type { MediaAbilities } from '../../../domain/media-abilities.ts'
import type { Profile, VideoCodec } from '../../../domain/rendition.ts'
import { messageOf } from '../../../lib/errors.ts'
import { MediaError } from '../engine/media-error.ts'
import { CudaDevice, cpu, type Device } from './device.ts'
import { check, isDrained, MemoryOutput } from './ffmpeg.ts'
import { transcode } from './transcode.ts'

interface Sample {
  /** FFmpeg's name of the decoder. */
  readonly codec: string
  /** Null for what every node must support. */
  readonly bit: number | null
  readonly encoder: string
  readonly pixelFormat: string
  readonly container: string
}

/** The pixel format of nearly all streams. */
const ORDINARY = 'yuv420p'

const h264 = { codec: 'h264', encoder: 'libx264', container: 'mpegts' }

/** What is tested (transcoding.md §5.2), the required ones first. */
const samples: readonly Sample[] = [
  { ...h264, bit: null, pixelFormat: ORDINARY },
  {
    codec: 'hevc',
    bit: capability.hevcDecode,
    encoder: 'libx265',
    pixelFormat: ORDINARY,
    container: 'mpegts',
  },
  { codec: 'vp8', bit: capability.vp8Decode, encoder: 'libvpx', pixelFormat: ORDINARY, container: 'webm' },
  {
    codec: 'vp9',
    bit: capability.vp9Decode,
    encoder: 'libvpx-vp9',
    pixelFormat: ORDINARY,
    container: 'webm',
  },
  { ...h264, bit: capability.h264Decode444, pixelFormat: 'yuv444p' },
  { ...h264, bit: capability.h264Decode422, pixelFormat: 'yuv422p' },
  { ...h264, bit: capability.h264Decode444Deep, pixelFormat: 'yuv444p10le' },
  { ...h264, bit: capability.h264Decode422Deep, pixelFormat: 'yuv422p10le' },
  { ...h264, bit: capability.h264Decode420Deep, pixelFormat: 'yuv420p10le' },
]

const SIDE = 146
const FRAMES = 5
/** As many renditions as the network's nodes make in their own test (transcoding.md §5.2): drivers of GPUs bound them. */
const RENDITIONS = 4
/** On the cores one shows as much as several. */
const RENDITIONS_ON_CORES = 1
const DEADLINE_MS = 10_000

/**
 * Transcodes a few frames of each kind, on the CPU or on the GPU visible to this process, and returns what succeeded.
 * Throws MediaError: `No such device`, or `required capability "H.264" is not supported on hardware` (transcoding.md
 * §5.2) if even H.264 fails.
 */
export async function tryOut(device: string | null): Promise<MediaAbilities> {
  const capabilities: number[] = []
  const decodes: string[] = []
  using gpu =
    device === null ? null : new CudaDevice({ decodes: samples.map(({ codec }) => codec), encodes: [] })
  for (const sample of samples) {
    const { bit, codec, pixelFormat } = sample
    const made = await makeSample(sample).catch(() => null)
    // The CPU may do what the GPU cannot.
    const trial = made && ((gpu && (await tryDecoding(made, gpu))) ?? (await tryDecoding(made, cpu)))
    if (trial?.isOnDevice && pixelFormat === ORDINARY) decodes.push(codec)
    if (trial && bit !== null) capabilities.push(bit)
    if (!trial && bit === null)
      throw new MediaError('required capability "H.264" is not supported on hardware')
  }
  const source = await makeSample(samples[0]!)
  const encodes: VideoCodec[] = []
  let encoderFault: string | null = null
  if (gpu) {
    for (const codec of ['h264', 'h265'] as const) {
      using encoding = new CudaDevice({ decodes, encodes: [codec] })
      try {
        await makeRenditions(source, encoding, codec)
        encodes.push(codec)
      } catch (error) {
        if (codec === 'h264') encoderFault = messageOf(error)
      }
    }
  }
  if (await makeRenditions(source, cpu, 'h265', RENDITIONS_ON_CORES).then(Boolean, () => false))
    capabilities.push(capability.hevcEncode)
  return { device, capabilities: capabilities.sort((a, b) => a - b), decodes, encodes, encoderFault }
}

/** Runs a little of everything, so that the code is compiled before a stream's first segment. */
export async function warmUp(device: Device): Promise<void> {
  await makeRenditions(await makeSample(samples[0]!), device, 'h264')
}

/** Null if it fails. */
async function tryDecoding(source: Uint8Array, device: Device): Promise<{ isOnDevice: boolean } | null> {
  let isOnDevice = false
  const watched: Device = {
    attach: (decoder, codec) => device.attach(decoder, codec),
    scalesInSteps: device.scalesInSteps,
    encoderFor: (profile) => device.encoderFor(profile),
    scalerFor: (profile) => {
      const scaler = device.scalerFor(profile)
      return {
        scale: (frame, size) => {
          isOnDevice ||= frame.isHwFrame()
          return scaler.scale(frame, size)
        },
        [Symbol.dispose]: () => scaler[Symbol.dispose](),
      }
    },
  }
  const count = device === cpu ? RENDITIONS_ON_CORES : RENDITIONS
  return await makeRenditions(source, watched, 'h264', count).then(
    () => ({ isOnDevice }),
    () => null,
  )
}

/** Throws unless every frame is in every rendition. */
async function makeRenditions(
  source: Uint8Array,
  device: Device,
  encoder: VideoCodec,
  count = RENDITIONS,
): Promise<true> {
  const profile: Profile = {
    ...{ name: 'trial', width: SIDE, height: SIDE, bitrate: 1_000_000, fps: 0, fpsDen: 0, encoder },
    ...{ format: 'mpegts', profile: 'none', gopMs: 0, quality: 0, colorDepth: 0, chromaFormat: '420' },
  }
  const request = {
    ...{ source, profiles: Array.from({ length: count }, () => profile), provider: 'trial' },
    ...{ clip: null, calcPerceptualHash: false },
  }
  const { decodedPixels, renditions } = await transcode(request, AbortSignal.timeout(DEADLINE_MS), device)
  const expected = BigInt(SIDE * SIDE * FRAMES)
  if (decodedPixels !== expected || renditions.some(({ pixels }) => pixels !== expected))
    throw new MediaError(`of ${FRAMES} frames not all came out`)
  return true
}

/** Some grey frames. */
async function makeSample({ container, encoder, pixelFormat }: Sample): Promise<Uint8Array> {
  const codec = Codec.findEncoderByName(encoder as FFEncoderCodec)
  if (!codec) throw new MediaError('Encoder not found')
  using output = new MemoryOutput(container)
  const context = new CodecContext()
  using frame = new Frame()
  using packet = new Packet()
  frame.alloc()
  packet.alloc()
  try {
    context.allocContext3(codec)
    context.width = SIDE
    context.height = SIDE
    context.pixelFormat = avGetPixFmtFromName(pixelFormat)
    context.timeBase = new Rational(1, 30)
    context.framerate = new Rational(30, 1)
    context.threadCount = 1
    context.maxBFrames = 0
    context.setOption('preset', 'ultrafast')
    context.setOption('deadline', 'realtime')
    context.setOption('x265-params', 'log-level=none:pools=none:frame-threads=1')
    if (output.format.oformat?.hasFlags(AVFMT_GLOBALHEADER)) context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER)
    check(context.open2Sync(codec, null))
    const stream = output.format.newStream()
    check(stream.codecpar.fromContext(context))
    stream.timeBase = new Rational(1, 30)
    check(output.format.writeHeaderSync(null))
    for (let index = 0; index <= FRAMES; index++) {
      const isLast = index === FRAMES
      if (!isLast) fillGrey(frame, { pixelFormat: context.pixelFormat, index })
      check(await context.sendFrame(isLast ? null : frame))
      while (!isDrained(context.receivePacketSync(packet))) {
        packet.rescaleTs(context.timeBase, stream.timeBase)
        packet.streamIndex = 0
        if (packet.duration <= 0n) packet.duration = 1n
        check(output.format.interleavedWriteFrameSync(packet))
      }
    }
    return output.finish()
  } finally {
    context.freeContext()
  }
}

function fillGrey(frame: Frame, { index, pixelFormat }: { index: number; pixelFormat: number }): void {
  frame.unref()
  frame.width = SIDE
  frame.height = SIDE
  frame.format = pixelFormat as never
  check(frame.getBuffer(0))
  for (const plane of frame.data ?? []) plane?.fill(0x40 + index)
  frame.pts = BigInt(index)
  frame.pictType = index === 0 ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE
}
