import { AV_CODEC_ID_H264, AV_NOPTS_VALUE } from 'node-av/constants'
import { Codec, CodecContext, Frame, Packet, type Stream } from 'node-av/lib'
import type { Device } from './device.ts'
import { check, cloned, isDrained, type MemoryInput } from './ffmpeg.ts'
import { FrameTimes, type StatedTime, type TimedFrame } from './frame-times.ts'
import { MediaError } from './media-error.ts'
import { MPEGTS_WRAP, type TimeBase } from './time-base.ts'

/** What a segment holds, in decoding order. Frame and packet are the reader's own: clone what is to be kept. */
export type SegmentPart =
  | { readonly kind: 'frame'; readonly frame: Frame; readonly pts: bigint; readonly duration: bigint }
  | { readonly kind: 'audio'; readonly packet: Packet }

/**
 * The largest picture that any level of H.264, HEVC or VP9 allows is 8192x4320; here in whole blocks of 64. Beyond it a
 * few bytes could ask for gigabytes.
 */
const MAX_FRAME_PIXELS = 8192 * 4352

/** Demuxers guess absurd rates for irregular timestamps; beyond this a guess is not believed. */
const MAX_GUESSED_FPS = 240

/** Decodes the best video stream of a segment and passes the packets of one audio stream on. */
export class SegmentReader implements Disposable {
  /** The unit of the frames' timestamps. */
  readonly timeBase: TimeBase
  readonly #input: MemoryInput
  readonly #video: Stream
  readonly #audio: Stream | null
  readonly #decoder = new CodecContext()
  readonly #packet = new Packet()
  readonly #frame = new Frame()
  readonly #frameStep: bigint
  /** Added to the times of both streams, which have one unit where it is not 0. */
  readonly #shift: bigint
  readonly #times = new FrameTimes<Frame>()
  #frames = 0

  /** Throws `Decoder not found`, or FFmpeg's text for what the decoder does not open. */
  constructor(
    input: MemoryInput,
    streams: { video: Stream; audio: Stream | null },
    options: {
      skipLoopFilter?: boolean
      ignoreContainerSize?: boolean
      device?: Device
      threads?: number
    } = {},
  ) {
    this.#input = input
    this.#video = streams.video
    this.#audio = streams.audio
    this.timeBase = plain(streams.video.timeBase)
    this.#frameStep = frameStep(streams.video)
    this.#shift = shiftOf(input)
    this.#packet.alloc()
    this.#frame.alloc()
    try {
      const codec = Codec.findDecoder(streams.video.codecpar.codecId)
      if (!codec) throw new MediaError('Decoder not found')
      this.#decoder.allocContext3(codec)
      check(this.#decoder.parametersToContext(streams.video.codecpar))
      // H.264 pictures are cut to the container's size where that lies within the same blocks.
      if (options.ignoreContainerSize && streams.video.codecpar.codecId === AV_CODEC_ID_H264) {
        this.#decoder.width = 0
        this.#decoder.height = 0
      }
      this.#decoder.pktTimebase = streams.video.timeBase
      this.#decoder.threadCount = options.threads ?? 1
      this.#decoder.setOption('max_pixels', String(MAX_FRAME_PIXELS))
      if (options.skipLoopFilter) this.#decoder.setOption('skip_loop_filter', 'all')
      options.device?.attach(this.#decoder, codec)
      check(this.#decoder.open2Sync(codec, null))
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Whether the times are of MPEG-TS, which are counted up to a point and from 0 again. */
  get isMpegts(): boolean {
    return this.#input.container === 'mpegts'
  }

  /** The frame rate that the stream itself states, or what the demuxer makes of it, or null. */
  get frameRate(): TimeBase | null {
    const stated = this.#decoder.framerate
    if (stated.num > 0 && stated.den > 0) return plain(stated)
    const guessed = this.#video.rFrameRate
    const perSecond = guessed.den > 0 ? guessed.num / guessed.den : 0
    return perSecond >= 1 && perSecond <= MAX_GUESSED_FPS ? plain(guessed) : null
  }

  /** Everything in the segment. Throws `No keyframes in input`, or FFmpeg's text for damaged data. */
  async *parts(signal: AbortSignal): AsyncGenerator<SegmentPart> {
    let packets = 0
    let keyPackets = 0
    for (;;) {
      signal.throwIfAborted()
      this.#packet.unref()
      // A read error ends the segment like its end does: what is there is used.
      if (this.#input.format.readFrameSync(this.#packet) < 0) break
      if (this.#packet.streamIndex === this.#audio?.index) {
        if (this.#packet.pts !== AV_NOPTS_VALUE) this.#packet.pts += this.#shift
        if (this.#packet.dts !== AV_NOPTS_VALUE) this.#packet.dts += this.#shift
        yield { kind: 'audio', packet: this.#packet }
      }
      if (this.#packet.streamIndex !== this.#video.index || this.#packet.size === 0) continue
      packets++
      if (this.#packet.isKeyframe) keyPackets++
      check(await this.#decoder.sendPacket(this.#packet))
      yield* this.#decoded()
    }
    await this.#decoder.sendPacket(null)
    yield* this.#decoded()
    for (const timed of this.#times.end()) yield* handedOut(timed)
    if (this.#frames > 0) return
    throw new MediaError(packets > 0 && keyPackets === 0 ? 'No keyframes in input' : 'TranscoderInvalidVideo')
  }

  [Symbol.dispose](): void {
    for (const frame of this.#times.held) frame.free()
    this.#decoder.freeContext()
    this.#packet.free()
    this.#frame.free()
  }

  *#decoded(): Generator<SegmentPart> {
    while (!isDrained(this.#decoder.receiveFrameSync(this.#frame))) {
      this.#frames++
      const { dts, duration, pts } = this.#statedTime()
      const frame = cloned(this.#frame)
      this.#frame.unref()
      for (const timed of this.#times.push(frame, { pts, dts, duration })) yield* handedOut(timed)
    }
  }

  #statedTime(): StatedTime {
    const { duration, pktDts, pts } = this.#frame
    const shifted = (time: bigint) => (time === AV_NOPTS_VALUE ? null : time + this.#shift)
    return { pts: shifted(pts), dts: shifted(pktDts), duration: duration > 0n ? duration : this.#frameStep }
  }
}

/** Frees the frame once whoever asked for it has had it. */
function* handedOut({ duration, frame, pts }: TimedFrame<Frame>): Generator<SegmentPart> {
  try {
    yield { kind: 'frame', frame, pts, duration }
  } finally {
    frame.free()
  }
}

/**
 * What to add to times in MPEG-TS. FFmpeg tells of the minute before the count begins anew as times below zero, which
 * do not survive a muxer: they go back to what they were.
 */
function shiftOf(input: MemoryInput): bigint {
  const start = input.format.startTime
  return start !== AV_NOPTS_VALUE && start < 0n && input.container === 'mpegts' ? MPEGTS_WRAP : 0n
}

function frameStep(video: Stream): bigint {
  const { num, den } = video.rFrameRate
  const base = video.timeBase
  if (num <= 0 || den <= 0) return 1n
  const step = (BigInt(den) * BigInt(base.den)) / (BigInt(num) * BigInt(base.num))
  return step > 0n ? step : 1n
}

function plain(value: TimeBase): TimeBase {
  return { num: value.num, den: value.den }
}
