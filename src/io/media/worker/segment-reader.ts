import { AV_CODEC_ID_H264, AV_NOPTS_VALUE, AV_PKT_FLAG_DISCARD } from 'node-av/constants'
import { Codec, CodecContext, Frame, Packet, type Stream } from 'node-av/lib'
import { ascending } from '../../../lib/bigints.ts'
import { MediaError } from '../engine/media-error.ts'
import type { Device } from './device.ts'
import { check, cloned, isDrained, type MemoryInput } from './ffmpeg.ts'
import { FrameTimes, type StatedTime, type TimedFrame } from './frame-times.ts'
import { MPEGTS_WRAP, type TimeBase } from './time-base.ts'

/** The parts of a segment, in decoding order. The reader owns frame and packet: clone what you keep. */
export type SegmentPart =
  | { readonly kind: 'frame'; readonly frame: Frame; readonly pts: bigint; readonly duration: bigint }
  | { readonly kind: 'audio'; readonly packet: Packet }

/**
 * The largest picture of any H.264, HEVC or VP9 level is 8192x4320; here in whole blocks of 64. Without a limit a few
 * bytes could request gigabytes.
 */
const MAX_FRAME_PIXELS = 8192 * 4352

/** Demuxers guess absurd rates for irregular timestamps; higher guesses are ignored. */
const MAX_GUESSED_FPS = 240

/** Pictures lost at the start may each account for up to this part of the usual distance. */
const LOST = { num: 3n, den: 2n }

/** Decodes the best video stream of a segment and passes on the packets of one audio stream. */
export class SegmentReader implements Disposable {
  /** Unit of the frames' timestamps. */
  readonly timeBase: TimeBase
  readonly #input: MemoryInput
  readonly #video: Stream
  readonly #audio: Stream | null
  readonly #decoder = new CodecContext()
  readonly #packet = new Packet()
  readonly #frame = new Frame()
  readonly #frameStep: bigint
  /** Added to the times of both streams; if it is not 0, they have the same unit. */
  readonly #shift: bigint
  readonly #times = new FrameTimes<Frame>()
  /** Times of pictures whose packets came before the first decoded frame; null afterwards. */
  #early: bigint[] | null = []
  #frames = 0

  /** Throws `Decoder not found`, or FFmpeg's text if the decoder cannot be opened. */
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
      // H.264 pictures are cropped to the container's size if that lies within the same blocks.
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

  /** Whether the times are MPEG-TS times, which wrap around. */
  get isMpegts(): boolean {
    return this.#input.container === 'mpegts'
  }

  /** The frame rate that the stream states, or the demuxer's guess, or null. */
  get frameRate(): TimeBase | null {
    const stated = this.#decoder.framerate
    if (stated.num > 0 && stated.den > 0) return plain(stated)
    const guessed = this.#video.rFrameRate
    const perSecond = guessed.den > 0 ? guessed.num / guessed.den : 0
    return perSecond >= 1 && perSecond <= MAX_GUESSED_FPS ? plain(guessed) : null
  }

  /** All parts of the segment. Throws `No keyframes in input` at its end, or FFmpeg's text for damaged data. */
  async *parts(signal: AbortSignal): AsyncGenerator<SegmentPart> {
    let packets = 0
    let keyPackets = 0
    for (;;) {
      signal.throwIfAborted()
      this.#packet.unref()
      // A read error ends the segment; what was read is used.
      if (this.#input.format.readFrameSync(this.#packet) < 0) break
      if (this.#packet.streamIndex === this.#audio?.index) {
        if (this.#packet.pts !== AV_NOPTS_VALUE) this.#packet.pts += this.#shift
        if (this.#packet.dts !== AV_NOPTS_VALUE) this.#packet.dts += this.#shift
        yield { kind: 'audio', packet: this.#packet }
      }
      if (this.#packet.streamIndex !== this.#video.index || this.#packet.size === 0) continue
      packets++
      if (this.#packet.isKeyframe) keyPackets++
      const { pts } = this.#packet
      if (pts !== AV_NOPTS_VALUE && !this.#packet.hasFlags(AV_PKT_FLAG_DISCARD))
        this.#early?.push(pts + this.#shift)
      check(await this.#decoder.sendPacket(this.#packet))
      yield* this.#decoded()
    }
    await this.#decoder.sendPacket(null)
    yield* this.#decoded()
    for (const timed of this.#times.end()) yield* this.#handOut(timed)
    // Peers refuse these too, even if a decoder can guess the missing data.
    if (packets > 0 && keyPackets === 0) throw new MediaError('No keyframes in input')
    if (this.#frames === 0) throw new MediaError('TranscoderInvalidVideo')
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
      for (const timed of this.#times.push(frame, { pts, dts, duration })) yield* this.#handOut(timed)
    }
  }

  /** Yields a frame and frees it afterwards. */
  *#handOut(timed: TimedFrame<Frame>): Generator<SegmentPart> {
    try {
      const early = this.#early
      this.#early = null
      yield { kind: 'frame', ...(early ? fromTheBeginning(timed, early) : timed) }
    } finally {
      timed.frame.free()
    }
  }

  #statedTime(): StatedTime {
    const { duration, pktDts, pts } = this.#frame
    const shifted = (time: bigint) => (time === AV_NOPTS_VALUE ? null : time + this.#shift)
    return { pts: shifted(pts), dts: shifted(pktDts), duration: duration > 0n ? duration : this.#frameStep }
  }
}

/**
 * The first decoded frame, shown from the start of the segment: earlier pictures that refer to data outside the segment
 * are lost and would leave a gap.
 */
function fromTheBeginning(first: TimedFrame<Frame>, times: readonly bigint[]): TimedFrame<Frame> {
  const lost = times.filter((time) => time < first.pts).sort(ascending)
  const lead = first.pts - (lost[0] ?? first.pts)
  if (lead * LOST.den > BigInt(lost.length) * first.duration * LOST.num) return first
  return { ...first, pts: first.pts - lead, duration: first.duration + lead }
}

/**
 * What to add to MPEG-TS times. FFmpeg returns negative times for the minute before the wrap, which muxers reject, so
 * they are shifted back.
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
