import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_CUDA,
  AV_PIX_FMT_YUV420P,
  type FFEncoderCodec,
} from 'node-av/constants'
import { Codec, CodecContext, type Frame, Packet, Rational } from 'node-av/lib'
import type { EncoderProfile, Profile } from '../../../domain/rendition.ts'
import { MediaError } from '../engine/media-error.ts'
import { check, isDrained } from './ffmpeg.ts'
import type { Size } from './output-size.ts'
import type { TimeBase } from './time-base.ts'

/** H.264 profile and B-frames for each encoder profile (transcoding.md §3.5). */
const profiles: Readonly<Record<EncoderProfile, { h264Profile: string | null; bFrames: number }>> = {
  none: { h264Profile: null, bFrames: 3 },
  baseline: { h264Profile: 'baseline', bFrames: 0 },
  'constrained-high': { h264Profile: 'high', bFrames: 0 },
  main: { h264Profile: 'main', bFrames: 3 },
  high: { h264Profile: 'high', bFrames: 3 },
}

/** The encoders' largest CRF; a larger quality is ignored (transcoding.md §3.5). */
const MAX_CRF = 63

/** Larger sizes are refused before memory is allocated; the encoders refuse them too. */
const MAX_SIDE = 16_384

/** NVENC's constant quality is slightly higher and ends here (transcoding.md §3.5). */
const MAX_CQ = 51
const CQ_ABOVE_CRF = 7

/** An open encoder for frames of one size. */
export class VideoEncoder implements Disposable {
  readonly size: Size
  readonly timeBase: TimeBase
  readonly context = new CodecContext()
  readonly #packet = new Packet()

  /** `like` is the first frame. Throws `Encoder not found` or FFmpeg's text for settings that the encoder refuses. */
  constructor(settings: {
    /** FFmpeg's name of the encoder. */
    name: string
    profile: Profile
    size: Size
    timeBase: TimeBase
    frameRate: TimeBase | null
    globalHeader: boolean
    threads: number
    like: Frame
  }) {
    const { profile, size, timeBase, frameRate } = settings
    this.size = size
    this.timeBase = timeBase
    this.#packet.alloc()
    try {
      if (size.width > MAX_SIDE || size.height > MAX_SIDE)
        throw new MediaError('Generic error in an external library')
      const isNvenc = settings.name.endsWith('_nvenc')
      const codec = Codec.findEncoderByName(settings.name as FFEncoderCodec)
      if (!codec) throw new MediaError('Encoder not found')
      const context = this.context
      context.allocContext3(codec)
      context.width = size.width
      context.height = size.height
      const { hwFramesCtx } = settings.like
      context.pixelFormat = hwFramesCtx ? AV_PIX_FMT_CUDA : AV_PIX_FMT_YUV420P
      if (hwFramesCtx) context.hwFramesCtx = hwFramesCtx
      context.timeBase = new Rational(timeBase.num, timeBase.den)
      if (frameRate) context.framerate = new Rational(frameRate.num, frameRate.den)
      context.colorRange = settings.like.colorRange
      context.colorPrimaries = settings.like.colorPrimaries
      context.colorTrc = settings.like.colorTrc
      context.colorSpace = settings.like.colorSpace
      context.threadCount = settings.threads
      if (settings.globalHeader) context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER)
      this.#setRate(profile)
      const gop = gopFrames(profile)
      if (gop !== null) context.gopSize = gop
      const { h264Profile, bFrames } = profiles[profile.profile]
      const hasNone = isNvenc && (profile.profile === 'none' || profile.fps === 0)
      context.maxBFrames = hasNone ? 0 : bFrames
      // Options that an encoder lacks are ignored, as peers do.
      if (h264Profile && profile.encoder === 'h264') context.setOption('profile', h264Profile)
      context.setOption('preset', 'medium')
      context.setOption('tier', 'high')
      context.setOption('forced-idr', '1')
      check(context.open2Sync(codec, null))
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Gives the encoder a frame shown at `pts` and passes on every finished packet; null drains it. */
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
    const { quality } = profile
    // Each encoder has one of the two options and ignores the other.
    if (quality > 0 && quality <= MAX_CRF) this.context.setOption('crf', String(quality))
    const cq = quality + CQ_ABOVE_CRF
    if (quality > 0 && cq <= MAX_CQ) this.context.setOption('cq', String(cq))
  }
}

/**
 * Frames between key frames, or null for the encoder's default or for key frames forced by time. Uses the whole
 * fraction of the frame rate, unlike peers that drop the denominator (transcoding.md §14.18).
 */
function gopFrames(profile: Profile): number | null {
  if (profile.gopMs === 0) return null
  if (profile.gopMs < 0) return 0
  if (profile.fps === 0) return null
  return Math.max(1, Math.trunc((profile.gopMs * profile.fps) / (1000 * Math.max(1, profile.fpsDen))))
}
