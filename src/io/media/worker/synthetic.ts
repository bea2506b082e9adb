import {
  AV_CHANNEL_ORDER_NATIVE,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_SAMPLE_FMT_FLTP,
} from 'node-av/constants'
import { avGetPixFmtFromName, Codec, CodecContext, FilterGraph, Frame, Packet, Rational } from 'node-av/lib'
import { MediaError } from '../engine/media-error.ts'
import { check, isDrained, MemoryOutput } from './ffmpeg.ts'
import { MPEGTS_TIME_BASE, rescale, type TimeBase } from './time-base.ts'

/** Settings of a synthetic stream: a moving picture with a running clock, and a tone. */
export interface SyntheticSettings {
  readonly width: number
  readonly height: number
  readonly fps: TimeBase
  readonly framesPerSegment: number
  /** Timestamp of the first frame, in 1/90000 s. */
  readonly startPts: bigint
  readonly hasAudio: boolean
  /** Frames between key frames; every segment starts with one anyway. */
  readonly gopFrames: number
  readonly bFrames: number
  /** FFmpeg's name of the encoder. */
  readonly encoder: 'libx264' | 'mpeg4'
  /** Options of the encoder by FFmpeg's names. */
  readonly encoderOptions: Readonly<Record<string, string>>
  readonly pixelFormat: string
  readonly bitrate: number
  readonly format: 'mpegts' | 'mp4'
}

const SAMPLE_RATE = 48_000
const SAMPLES_PER_FRAME = 1024
const AUDIO_BITRATE = 64_000n
/** Front left and front right channels. */
const STEREO = 3n
/** The encoder returns a packet this many frames after its sound. */
const AUDIO_DELAY_FRAMES = 3
const AUDIO_UNIT: TimeBase = { num: 1, den: SAMPLE_RATE }

/** Produces consecutive segments of a synthetic stream with continuous timestamps. */
export class SyntheticStream implements Disposable {
  readonly #settings: SyntheticSettings
  readonly #videoUnit: TimeBase
  readonly #graph = new FilterGraph()
  readonly #video: CodecContext
  readonly #audio: CodecContext | null
  readonly #frame = new Frame()
  readonly #packet = new Packet()
  /** Packets by segment, without those of returned segments. */
  readonly #packets = new Map<number, { video: Packet[]; audio: Packet[] }>()
  #framesMade = 0
  #samplesMade = 0
  #nextSegment = 0

  constructor(settings: SyntheticSettings) {
    this.#settings = settings
    this.#videoUnit = { num: settings.fps.den, den: settings.fps.num }
    const { width, height, fps, pixelFormat, hasAudio } = settings
    this.#graph.alloc()
    this.#frame.alloc()
    this.#packet.alloc()
    const picture = `testsrc2=size=${width}x${height}:rate=${fps.num}/${fps.den},format=${pixelFormat},buffersink@video`
    const tone = `sine=frequency=440:sample_rate=${SAMPLE_RATE}:samples_per_frame=${SAMPLES_PER_FRAME},aformat=sample_fmts=fltp:channel_layouts=stereo,abuffersink@audio`
    check(this.#graph.parsePtr(hasAudio ? `${picture};${tone}` : picture, null, null))
    check(this.#graph.configSync())
    this.#video = this.#openVideo()
    this.#audio = hasAudio ? this.#openAudio() : null
  }

  /** Duration of a segment in milliseconds. */
  get segmentMs(): number {
    return (this.#settings.framesPerSegment * 1000 * this.#videoUnit.num) / this.#videoUnit.den
  }

  /** The next segment. With `isLast` nothing is held back for another one. */
  async next(isLast = false): Promise<Uint8Array> {
    const segment = this.#nextSegment++
    const { framesPerSegment } = this.#settings
    while (!this.#isComplete(segment)) {
      if (isLast && this.#framesMade === (segment + 1) * framesPerSegment) {
        await this.#encodeVideo(null)
        break
      }
      await this.#makeFrame()
    }
    const held = this.#packets.get(segment) ?? { video: [], audio: [] }
    this.#packets.delete(segment)
    return this.#mux(held)
  }

  [Symbol.dispose](): void {
    for (const held of this.#packets.values())
      for (const packet of [...held.video, ...held.audio]) packet.free()
    this.#packets.clear()
    this.#video.freeContext()
    this.#audio?.freeContext()
    this.#graph.free()
    this.#frame.free()
    this.#packet.free()
  }

  #isComplete(segment: number): boolean {
    return this.#packets.get(segment)?.video.length === this.#settings.framesPerSegment
  }

  async #makeFrame(): Promise<void> {
    const sink = this.#graph.getFilter('buffersink@video')!
    this.#frame.unref()
    check(sink.buffersinkGetFrameSync(this.#frame))
    const index = this.#framesMade++
    const isFirst = index % this.#settings.framesPerSegment === 0
    this.#frame.pts = BigInt(index)
    this.#frame.pictType = isFirst ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE
    await this.#encodeVideo(this.#frame)
    await this.#makeTone()
  }

  /** Produces sound up to the end of the last picture, so that a segment has all of its sound. */
  async #makeTone(): Promise<void> {
    if (!this.#audio) return
    const sink = this.#graph.getFilter('abuffersink@audio')!
    const until =
      rescale(BigInt(this.#framesMade), this.#videoUnit, AUDIO_UNIT) +
      BigInt(AUDIO_DELAY_FRAMES * SAMPLES_PER_FRAME)
    while (this.#samplesMade < until) {
      this.#frame.unref()
      check(sink.buffersinkGetFrameSync(this.#frame))
      this.#frame.pts = BigInt(this.#samplesMade)
      this.#samplesMade += this.#frame.nbSamples
      check(await this.#audio.sendFrame(this.#frame))
      while (!isDrained(this.#audio.receivePacketSync(this.#packet))) this.#keep('audio', AUDIO_UNIT)
    }
  }

  async #encodeVideo(frame: Frame | null): Promise<void> {
    check(await this.#video.sendFrame(frame))
    while (!isDrained(this.#video.receivePacketSync(this.#packet))) this.#keep('video', this.#videoUnit)
  }

  #keep(kind: 'video' | 'audio', unit: TimeBase): void {
    const { framesPerSegment, startPts } = this.#settings
    const frame = rescale(this.#packet.pts, unit, this.#videoUnit)
    const segment = Math.max(0, Math.floor(Number(frame) / framesPerSegment))
    const packet = this.#packet.clone()
    this.#packet.unref()
    if (!packet) throw new MediaError('Cannot allocate memory')
    packet.rescaleTs(unit, MPEGTS_TIME_BASE)
    packet.pts += startPts
    packet.dts += startPts
    const held = this.#packets.get(segment) ?? { video: [], audio: [] }
    this.#packets.set(segment, held)
    held[kind].push(packet)
  }

  #mux(held: { video: Packet[]; audio: Packet[] }): Uint8Array {
    using output = new MemoryOutput(this.#settings.format)
    const { format } = output
    const video = format.newStream()
    check(video.codecpar.fromContext(this.#video))
    video.timeBase = new Rational(1, MPEGTS_TIME_BASE.den)
    video.avgFrameRate = new Rational(this.#settings.fps.num, this.#settings.fps.den)
    const streams = [video]
    if (this.#audio) {
      const audio = format.newStream()
      check(audio.codecpar.fromContext(this.#audio))
      audio.timeBase = new Rational(1, SAMPLE_RATE)
      streams.push(audio)
    }
    if (this.#settings.format === 'mpegts') check(format.setOption('mpegts_copyts', '1'))
    check(format.writeHeaderSync(null))
    for (const [index, packets] of [held.video, held.audio].entries()) {
      for (const packet of packets) {
        packet.streamIndex = index
        packet.rescaleTs(MPEGTS_TIME_BASE, streams[index]!.timeBase)
        const result = format.interleavedWriteFrameSync(packet)
        packet.free()
        check(result)
      }
    }
    return output.finish()
  }

  #openVideo(): CodecContext {
    const { width, height, fps, encoder, encoderOptions, pixelFormat, bitrate, gopFrames, bFrames } =
      this.#settings
    const codec = Codec.findEncoderByName(encoder as never)
    if (!codec) throw new MediaError('Encoder not found')
    const context = new CodecContext()
    context.allocContext3(codec)
    context.width = width
    context.height = height
    context.pixelFormat = avGetPixFmtFromName(pixelFormat)
    context.timeBase = new Rational(fps.den, fps.num)
    context.framerate = new Rational(fps.num, fps.den)
    context.bitRate = BigInt(bitrate)
    context.gopSize = gopFrames
    context.maxBFrames = bFrames
    context.threadCount = 1
    if (this.#settings.format === 'mp4') context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER)
    for (const [name, value] of Object.entries(encoderOptions)) check(context.setOption(name, value))
    check(context.open2Sync(codec, null))
    return context
  }

  #openAudio(): CodecContext {
    const codec = Codec.findEncoderByName('aac' as never)
    if (!codec) throw new MediaError('Encoder not found')
    const context = new CodecContext()
    context.allocContext3(codec)
    context.sampleRate = SAMPLE_RATE
    context.sampleFormat = AV_SAMPLE_FMT_FLTP
    context.channelLayout = { nbChannels: 2, order: AV_CHANNEL_ORDER_NATIVE, mask: STEREO }
    context.timeBase = new Rational(1, SAMPLE_RATE)
    context.bitRate = AUDIO_BITRATE
    if (this.#settings.format === 'mp4') context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER)
    check(context.open2Sync(codec, null))
    return context
  }
}
