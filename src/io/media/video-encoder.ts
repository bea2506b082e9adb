import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_FRAME_FLAG_INTERLACED,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  type FFEncoderCodec,
} from 'node-av/constants'
import { Codec, CodecContext, Frame, Packet, Rational, SoftwareScaleContext } from 'node-av/lib'
import type { EncoderProfile, Profile, VideoCodec } from '../../domain/rendition.ts'
import { check, isDrained } from './ffmpeg.ts'
import { MediaError } from './media-error.ts'
import type { Size } from './output-size.ts'
import type { TimeBase } from './time-base.ts'

const encoders: Readonly<Record<VideoCodec, string>> = {
  h264: 'libx264',
  h265: 'libx265',
  vp8: 'libvpx',
  vp9: 'libvpx-vp9',
}

/** H.264 profile and B-frames by what was asked (transcoding.md §3.5). */
const profiles: Readonly<Record<EncoderProfile, { h264Profile: string | null; bFrames: number }>> = {
  none: { h264Profile: null, bFrames: 3 },
  baseline: { h264Profile: 'baseline', bFrames: 0 },
  'constrained-high': { h264Profile: 'high', bFrames: 0 },
  main: { h264Profile: 'main', bFrames: 3 },
  high: { h264Profile: 'high', bFrames: 3 },
}

/** More threads per encoder only pay once a machine has cores to spare for a single session. */
const ENCODER_THREADS = 2

/** The largest CRF that the encoders know; a larger quality is ignored (transcoding.md §3.5). */
const MAX_CRF = 63

/** Sides beyond this are refused before memory is taken for them; the encoders refuse them too. */
const MAX_SIDE = 16_384

/** A software encoder at work on frames of one size. */
export class VideoEncoder implements Disposable {
  readonly size: Size
  readonly timeBase: TimeBase
  readonly context = new CodecContext()
  readonly #packet = new Packet()

  /** Throws `Encoder not found` or FFmpeg's text for settings that the encoder refuses. */
  constructor(settings: {
    profile: Profile
    size: Size
    timeBase: TimeBase
    frameRate: TimeBase | null
    globalHeader: boolean
    like: Frame
  }) {
    const { profile, size, timeBase, frameRate } = settings
    this.size = size
    this.timeBase = timeBase
    this.#packet.alloc()
    try {
      if (size.width > MAX_SIDE || size.height > MAX_SIDE)
        throw new MediaError('Generic error in an external library')
      const name = encoders[profile.encoder] as FFEncoderCodec | undefined
      const codec = name === undefined ? null : Codec.findEncoderByName(name)
      if (!codec) throw new MediaError('Encoder not found')
      const context = this.context
      context.allocContext3(codec)
      context.width = size.width
      context.height = size.height
      context.pixelFormat = AV_PIX_FMT_YUV420P
      context.timeBase = new Rational(timeBase.num, timeBase.den)
      if (frameRate) context.framerate = new Rational(frameRate.num, frameRate.den)
      context.colorRange = settings.like.colorRange
      context.colorPrimaries = settings.like.colorPrimaries
      context.colorTrc = settings.like.colorTrc
      context.colorSpace = settings.like.colorSpace
      context.threadCount = ENCODER_THREADS
      if (settings.globalHeader) context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER)
      this.#setRate(profile)
      const gop = gopFrames(profile)
      if (gop !== null) context.gopSize = gop
      const { h264Profile, bFrames } = profiles[profile.profile]
      context.maxBFrames = bFrames
      // Options that an encoder lacks are passed over in silence, as peers do.
      if (h264Profile && profile.encoder === 'h264') context.setOption('profile', h264Profile)
      context.setOption('preset', 'medium')
      context.setOption('forced-idr', '1')
      check(context.open2Sync(codec, null))
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Gives the encoder a frame shown at `pts` and passes on every packet that is ready; null drains it. */
  async encode(
    frame: { picture: Frame; pts: bigint; key: boolean } | null,
    onPacket: (packet: Packet) => void,
  ): Promise<void> {
    if (frame) {
      frame.picture.pts = frame.pts
      frame.picture.pictType = frame.key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE
    }
    check(await this.context.sendFrame(frame?.picture ?? null))
    for (;;) {
      const result = frame
        ? this.context.receivePacketSync(this.#packet)
        : await this.context.receivePacket(this.#packet)
      if (isDrained(result)) return
      onPacket(this.#packet)
      this.#packet.unref()
    }
  }

  [Symbol.dispose](): void {
    this.context.freeContext()
    this.#packet.free()
  }

  #setRate(profile: Profile): void {
    if (profile.bitrate > 0) {
      this.context.bitRate = BigInt(profile.bitrate)
      this.context.rcMinRate = BigInt(profile.bitrate)
      this.context.rcMaxRate = BigInt(profile.bitrate)
      this.context.rcBufferSize = profile.bitrate
    }
    if (profile.quality > 0 && profile.quality <= MAX_CRF)
      this.context.setOption('crf', String(profile.quality))
  }
}

/**
 * Frames between key frames, or null where the encoder's default holds or key frames are forced by time. The whole
 * fraction of the frame rate counts; peers that drop the denominator are not followed (transcoding.md §14.18).
 */
function gopFrames(profile: Profile): number | null {
  if (profile.gopMs === 0) return null
  if (profile.gopMs < 0) return 0
  if (profile.fps === 0) return null
  return Math.max(1, Math.trunc((profile.gopMs * profile.fps) / (1000 * Math.max(1, profile.fpsDen))))
}

/** Brings frames to 8-bit 4:2:0 of one size. */
export class Scaler implements Disposable {
  readonly #context = new SoftwareScaleContext()

  constructor() {
    this.#context.allocContext()
    check(this.#context.setOption('sws_flags', 'bicubic'))
  }

  /** A new frame, to be freed by the caller. The source is marked progressive, as every rendition is. */
  async scale(source: Frame, size: Size): Promise<Frame> {
    source.clearFlags(AV_FRAME_FLAG_INTERLACED)
    if (
      source.width === size.width &&
      source.height === size.height &&
      source.format === AV_PIX_FMT_YUV420P
    ) {
      const same = source.clone()
      if (!same) throw new MediaError('Cannot allocate memory')
      return same
    }
    const scaled = new Frame()
    scaled.alloc()
    try {
      check(scaled.copyProps(source))
      scaled.format = AV_PIX_FMT_YUV420P
      scaled.width = size.width
      scaled.height = size.height
      check(await this.#context.scaleFrame(scaled, source))
      return scaled
    } catch (error) {
      scaled.free()
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.#context.freeContext()
  }
}
