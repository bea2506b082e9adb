import { AV_CODEC_FLAG_GLOBAL_HEADER, AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_VIDEO } from 'node-av/constants'
import { avGetPixFmtFromName, Codec, CodecContext, FilterGraph, Frame, Packet, Rational } from 'node-av/lib'
import { check, isDrained, MemoryInput, MemoryOutput } from '../../src/io/media/worker/ffmpeg.ts'

/** A container's packet on its way into another one. Times may be set; data may be replaced. */
export interface MovedPacket {
  /** Counts the packets of its stream. */
  readonly index: number
  readonly isVideo: boolean
  data: Buffer
  pts: bigint
  dts: bigint
}

/** Copies a container packet by packet into another; what `edit` answers false to is left out. `only` leaves the other stream out. */
export async function remade(
  bytes: Uint8Array,
  edit: (packet: MovedPacket) => boolean | undefined,
  options: { readonly container?: string; readonly only?: 'audio' } = {},
): Promise<Uint8Array> {
  const { container = 'mpegts', only } = options
  await using input = await MemoryInput.open(bytes)
  using output = new MemoryOutput(container)
  const places = new Map<number, number>()
  for (const source of input.format.streams) {
    if (only === 'audio' && source.codecpar.codecType !== AVMEDIA_TYPE_AUDIO) continue
    places.set(source.index, places.size)
    const stream = output.format.newStream()
    check(source.codecpar.copy(stream.codecpar))
    stream.codecpar.codecTag = 0
    stream.timeBase = source.timeBase
  }
  if (container === 'mpegts') check(output.format.setOption('mpegts_copyts', '1'))
  check(output.format.writeHeaderSync(null))
  const counts = new Map<number, number>()
  using packet = new Packet()
  packet.alloc()
  for (; input.format.readFrameSync(packet) >= 0; packet.unref()) {
    const { streamIndex } = packet
    const place = places.get(streamIndex)
    if (place === undefined) continue
    const index = counts.get(streamIndex) ?? 0
    counts.set(streamIndex, index + 1)
    const { pts, dts } = packet
    const moved = {
      index,
      isVideo: input.format.streams[streamIndex]!.codecpar.codecType === AVMEDIA_TYPE_VIDEO,
      data: Buffer.from(packet.data!),
      pts,
      dts,
    }
    if (edit(moved) === false) continue
    if (!moved.data.equals(packet.data!)) packet.data = moved.data
    packet.pts = moved.pts
    packet.dts = moved.dts
    packet.rescaleTs(input.format.streams[streamIndex]!.timeBase, output.format.streams[place]!.timeBase)
    packet.streamIndex = place
    check(output.format.interleavedWriteFrameSync(packet))
  }
  return output.finish()
}

/** Pictures shown at times of one's choosing. */
export interface ChosenPictures {
  /** When each picture is shown, in `unit`s. */
  readonly times: readonly bigint[]
  readonly unit: { readonly num: number; readonly den: number }
  readonly width?: number
  readonly height?: number
  readonly encoder?: string
  readonly encoderOptions?: Readonly<Record<string, string>>
  readonly bFrames?: number
  /** Pictures between key frames. */
  readonly gop?: number
  readonly pixelFormat?: string
  /** Name of a muxer. */
  readonly container?: string
  /** FFmpeg's source of the pictures, without size and rate. */
  readonly source?: string
  readonly sampleAspect?: { readonly num: number; readonly den: number }
  /** Changes each picture before it is encoded. */
  readonly edit?: (frame: Frame, index: number) => void
}

/** Encodes pictures of one of FFmpeg's sources: 256x144, H.264 in MPEG-TS unless said. */
export function makePictures(settings: ChosenPictures): Uint8Array {
  const { times, unit, width = 256, height = 144, pixelFormat = 'yuv420p', container = 'mpegts' } = settings
  const name = settings.encoder ?? 'libx264'
  const codec = Codec.findEncoderByName(name as never)!
  using graph = new FilterGraph()
  graph.alloc()
  const source = `${settings.source ?? 'testsrc2'}=size=${width}x${height}:rate=30`
  check(graph.parsePtr(`${source},format=${pixelFormat},buffersink@video`, null, null))
  check(graph.configSync())
  const sink = graph.getFilter('buffersink@video')!
  using output = new MemoryOutput(container)
  const context = new CodecContext()
  using frame = new Frame()
  using packet = new Packet()
  frame.alloc()
  packet.alloc()
  context.allocContext3(codec)
  try {
    context.width = width
    context.height = height
    context.pixelFormat = avGetPixFmtFromName(pixelFormat)
    context.timeBase = new Rational(unit.num, unit.den)
    context.framerate = new Rational(unit.den, unit.num)
    context.bitRate = 300_000n
    context.gopSize = settings.gop ?? times.length
    context.maxBFrames = settings.bFrames ?? 0
    context.threadCount = 1
    if (container !== 'mpegts') context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER)
    const { sampleAspect } = settings
    if (sampleAspect) context.sampleAspectRatio = new Rational(sampleAspect.num, sampleAspect.den)
    const quick =
      name === 'libx264'
        ? { preset: 'ultrafast', sc_threshold: '0', 'forced-idr': '1' }
        : name.startsWith('libvpx')
          ? { deadline: 'realtime', 'cpu-used': '8' }
          : name === 'libx265'
            ? { preset: 'ultrafast', 'x265-params': 'log-level=none' }
            : {}
    for (const [option, value] of Object.entries({ ...quick, ...settings.encoderOptions }))
      check(context.setOption(option, value))
    check(context.open2Sync(codec, null))
    const stream = output.format.newStream()
    check(stream.codecpar.fromContext(context))
    stream.timeBase = context.timeBase
    if (container === 'mpegts') check(output.format.setOption('mpegts_copyts', '1'))
    check(output.format.writeHeaderSync(null))
    const write = () => {
      while (!isDrained(context.receivePacketSync(packet))) {
        packet.rescaleTs(context.timeBase, stream.timeBase)
        packet.streamIndex = 0
        check(output.format.interleavedWriteFrameSync(packet))
        packet.unref()
      }
    }
    for (const [index, at] of times.entries()) {
      frame.unref()
      check(sink.buffersinkGetFrameSync(frame))
      frame.pts = at
      frame.pictType = 0 as never
      if (sampleAspect) frame.sampleAspectRatio = new Rational(sampleAspect.num, sampleAspect.den)
      settings.edit?.(frame, index)
      check(context.sendFrameSync(frame))
      write()
    }
    check(context.sendFrameSync(null))
    write()
    return output.finish()
  } finally {
    context.freeContext()
  }
}

/** The times of `count` pictures, evenly spaced. */
export function evenly(count: number, step = 1n, start = 0n): bigint[] {
  return Array.from({ length: count }, (_, index) => start + BigInt(index) * step)
}

/** Seconds at one picture a second. */
export function lasting(seconds: number): Uint8Array {
  return makePictures({ times: evenly(seconds), unit: { num: 1, den: 1 } })
}

/** The packets of an MPEG-TS. */
export function packetsOf(ts: Uint8Array): Uint8Array[] {
  return Array.from({ length: ts.length / 188 }, (_, index) => ts.subarray(index * 188, (index + 1) * 188))
}

/** The number of the stream that a packet of an MPEG-TS belongs to. */
export function pidOf(packet: Uint8Array): number {
  return ((packet[1]! & 0x1f) << 8) | packet[2]!
}
