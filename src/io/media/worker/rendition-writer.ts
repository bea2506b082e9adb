import { AV_NOPTS_VALUE, AVFMT_GLOBALHEADER } from 'node-av/constants'
import { Dictionary, Frame, type Packet, Rational, type Stream } from 'node-av/lib'
import type { Profile, VideoCodec } from '../../../domain/rendition.ts'
import type { Clip } from '../../../domain/segment.ts'
import { ascending } from '../../../lib/bigints.ts'
import { MediaError } from '../engine/media-error.ts'
import { giveCaptions } from './captions.ts'
import { ClipWindow } from './clip-window.ts'
import type { Device } from './device.ts'
import { moveIndexFirst } from './fast-start.ts'
import { check, MemoryOutput } from './ffmpeg.ts'
import { FrameGrid, type GridRange } from './frame-grid.ts'
import { isSameSize } from './output-size.ts'
import { PerceptualHash } from './perceptual-hash.ts'
import type { RenditionPicture } from './pictures.ts'
import { MILLISECONDS, MPEGTS_TIME_BASE, MPEGTS_WRAP, rescale, type TimeBase } from './time-base.ts'
import { VideoEncoder } from './video-encoder.ts'
import type { WorkMeter } from './work-meter.ts'

/** More output frames than this per input frame mean broken timestamps (transcoding.md §3.4). */
const RUNAWAY_FACTOR = 25

const NOT_IN_MPEGTS: ReadonlySet<string> = new Set<VideoCodec>(['vp8', 'vp9'])

/** The inputs of a rendition besides its profile. */
export interface RenditionSource {
  readonly timeBase: TimeBase
  /** Whether its times are MPEG-TS times, which wrap around. */
  readonly isMpegts: boolean
  /** Called once frames have arrived. */
  readonly frameRate: () => TimeBase | null
  readonly audio: Stream | null
  readonly provider: string
  readonly clip: Clip | null
  readonly calcPerceptualHash: boolean
  readonly device: Device
  /** Threads that this rendition's encoder may use. */
  readonly threads: number
  /** Shared by all renditions of the segment. */
  readonly meter: WorkMeter
  /** Stops the work at the next frame or packet, also while an encoder is drained. */
  readonly signal: AbortSignal
}

/** The result for one rendition. */
export interface RenditionBytes {
  readonly bytes: Uint8Array
  /** Width × height of every frame given to the encoder, which is what is charged (transcoding.md §3.10). */
  readonly pixels: bigint
  /** Number of those frames. */
  readonly frames: number
  readonly perceptualHash: Uint8Array | null
}

/** A picture with known grid positions. */
interface PlacedPicture {
  readonly picture: RenditionPicture
  readonly range: GridRange
  /** Its own captions, and those of pictures around it that are not shown. */
  readonly captions: Uint8Array[]
  /** Number of input frames when its positions became known. */
  readonly framesIn: number
}

interface TimedPicture {
  readonly picture: RenditionPicture
  readonly pts: bigint
  readonly duration: bigint
}

/** Makes one rendition of a segment: frame rate, size, encoding, and the container with the copied audio. */
export class RenditionWriter implements Disposable {
  readonly #profile: Profile
  readonly #source: RenditionSource
  readonly #output: MemoryOutput
  readonly #grid: FrameGrid | null
  readonly #gridUnit: TimeBase
  readonly #window: ClipWindow
  /** The source's times by encoder tick, if the frame rate is kept: the encoder's ticks are coarser. */
  readonly #sourceTimes = new Map<bigint, { readonly pts: bigint; readonly duration: bigint }>()
  readonly #waitingAudio: Packet[] = []
  readonly #lastDts = new Map<number, bigint>()
  readonly #placed: PlacedPicture[] = []
  /** Captions of pictures before the first shown one. */
  readonly #captions: Uint8Array[] = []
  #held: TimedPicture | null = null
  #encoder: VideoEncoder | null = null
  #hash: PerceptualHash | null = null
  #video: Stream | null = null
  #audio: Stream | null = null
  #framesIn = 0
  /** Subtracted from the source's times after they wrapped around. */
  #wrapped = 0n
  #framesOut = 0
  #pixels = 0n
  #lastTick: bigint | null = null
  #lastForcedKey: bigint | null = null
  /** How much earlier decoding must start for the segment to join its neighbours; in the encoder's ticks. */
  #missingDelay: bigint | null = null

  constructor(profile: Profile, source: RenditionSource) {
    this.#profile = profile
    this.#source = source
    this.#output = new MemoryOutput(profile.format === 'mp4' ? 'mp4' : 'mpegts')
    this.#gridUnit = { num: Math.max(1, profile.fpsDen), den: profile.fps }
    this.#grid = profile.fps > 0 ? new FrameGrid(source.timeBase, this.#gridUnit) : null
    const unit = this.#grid ? this.#gridUnit : source.timeBase
    this.#window = new ClipWindow(source.clip, { unit, restarts: this.#grid !== null })
  }

  /** Takes over the picture of a decoded frame. */
  async frame(decoded: TimedPicture): Promise<void> {
    // MP4 times do not wrap: a picture after a wrap would otherwise lie a day later.
    if (this.#framesIn++ === 0 && this.#profile.format === 'mp4' && this.#source.isMpegts)
      this.#wrapped = decoded.pts >= MPEGTS_WRAP ? MPEGTS_WRAP : 0n
    const next = { ...decoded, pts: decoded.pts - this.#wrapped }
    if (this.#grid) {
      const before = this.#held
      this.#held = next
      const range = this.#grid.push(next.pts)
      if (before) await this.#place(before.picture, range)
      return
    }
    using picture = next.picture
    const { from, to } = this.#window.cut({ from: next.pts, to: next.pts + 1n })
    if (from >= to) return
    using scaled = await this.#scaled(picture)
    if (picture.captions) giveCaptions(scaled, [picture.captions])
    const hashPts = rescale(next.pts, this.#source.timeBase, this.#video!.timeBase)
    const times = { pts: this.#tickOf(next), key: this.#keyIsDue(next.pts), hashPts }
    await this.#encode(scaled, { ...times, framesIn: this.#framesIn })
  }

  /** Takes over an audio packet, which waits for the first frame. */
  audio(packet: Packet): void {
    if (this.#video) this.#writeAudio(packet)
    else this.#waitingAudio.push(packet)
  }

  /** Writes the rest and returns the rendition; null if there was no frame, or none that a clip keeps. */
  async finish(): Promise<RenditionBytes | null> {
    const last = this.#held
    this.#held = null
    if (this.#grid && last) await this.#place(last.picture, this.#grid.end(last.pts + last.duration))
    await this.#showAllBut(0)
    await this.#drain()
    if (!this.#video) return null
    const perceptualHash = this.#hash?.finish() ?? null
    const written = this.#output.finish()
    const bytes = this.#profile.format === 'mp4' ? moveIndexFirst(written) : written
    return { bytes, pixels: this.#pixels, frames: this.#framesOut, perceptualHash }
  }

  [Symbol.dispose](): void {
    this.#held?.picture[Symbol.dispose]()
    for (const { picture } of this.#placed) picture[Symbol.dispose]()
    for (const packet of this.#waitingAudio.splice(0)) packet.free()
    this.#encoder?.[Symbol.dispose]()
    this.#hash?.[Symbol.dispose]()
    this.#output[Symbol.dispose]()
  }

  /**
   * Takes over a picture to be shown at every kept position of the range. It waits for the next shown one, because the
   * captions of pictures in between are shown with it.
   */
  async #place(picture: RenditionPicture, range: GridRange): Promise<void> {
    const kept = this.#window.cut(range)
    const isShown = kept.from < kept.to
    const isBetween = range.from >= range.to
    const framesIn = this.#framesIn
    if (isShown) this.#placed.push({ picture, range: kept, captions: this.#captions.splice(0), framesIn })
    if (picture.captions && (isShown || isBetween))
      (this.#placed.at(-1)?.captions ?? this.#captions).push(picture.captions)
    if (!isShown) picture[Symbol.dispose]()
    await this.#showAllBut(1)
  }

  async #showAllBut(count: number): Promise<void> {
    while (this.#placed.length > count) {
      const { captions, framesIn, picture, range } = this.#placed.shift()!
      using shown = picture
      using scaled = await this.#scaled(shown)
      const shift = this.#window.shift(this.#gridUnit)
      let left: Uint8Array[] = captions
      for (let position = range.from; position < range.to; position++) {
        if (captions.length > 0) left = giveCaptions(scaled, left)
        const pts = position - shift
        // Peers' signatures count grid positions although they name the muxer's unit.
        await this.#encode(scaled, { pts, key: this.#framesOut === 0, hashPts: pts, framesIn })
      }
      const next = this.#placed[0]?.captions ?? this.#captions
      next.unshift(...left)
    }
  }

  async #scaled(picture: RenditionPicture): Promise<Frame> {
    const { size } = picture
    if (this.#encoder && !isSameSize(this.#encoder.size, size)) await this.#drain()
    const scaled = await picture.scaled()
    try {
      if (!this.#encoder) this.#openEncoder(size, scaled)
      return scaled
    } catch (error) {
      scaled.free()
      throw error
    }
  }

  async #encode(
    picture: Frame,
    { pts, key, hashPts, framesIn }: { pts: bigint; key: boolean; hashPts: bigint; framesIn: number },
  ): Promise<void> {
    this.#source.signal.throwIfAborted()
    if (this.#framesOut + 1 > RUNAWAY_FACTOR * framesIn) throw new MediaError('Encoded frames runaway')
    const encoder = this.#encoder!
    const pixels = BigInt(encoder.size.width * encoder.size.height)
    this.#source.meter.countEncoded(pixels)
    this.#framesOut++
    this.#pixels += pixels
    this.#addToHash(picture, hashPts)
    await encoder.encode({ picture, pts, key }, (packet) => this.#writeVideo(packet))
  }

  #addToHash(picture: Frame, pts: bigint): void {
    if (!this.#source.calcPerceptualHash) return
    this.#hash ??= new PerceptualHash({ width: picture.width, height: picture.height }, this.#video!.timeBase)
    // A signature has one size; after a change the frames so far represent the segment.
    if (!isSameSize(this.#hash.size, picture)) return
    if (!picture.isHwFrame()) {
      this.#hash.add(picture, pts)
      return
    }
    using fetched = new Frame()
    fetched.alloc()
    check(picture.hwframeTransferDataSync(fetched))
    this.#hash.add(fetched, pts)
  }

  async #drain(): Promise<void> {
    await this.#encoder?.encode(null, (packet) => this.#writeVideo(packet))
    this.#encoder?.[Symbol.dispose]()
    this.#encoder = null
    this.#missingDelay = null
  }

  /** Several frames may share a tick of the encoder; the later ones move on by a tick. */
  #tickOf(times: { readonly pts: bigint; readonly duration: bigint }): bigint {
    let tick = rescale(times.pts, this.#source.timeBase, this.#encoder!.timeBase)
    if (this.#lastTick !== null && tick <= this.#lastTick) tick = this.#lastTick + 1n
    this.#lastTick = tick
    this.#sourceTimes.set(tick, { pts: times.pts, duration: times.duration })
    return tick
  }

  /** Whether a frame must be a key frame when the frame rate is kept (transcoding.md §3.6). */
  #keyIsDue(pts: bigint): boolean {
    const gop = rescale(BigInt(Math.max(0, this.#profile.gopMs)), MILLISECONDS, this.#source.timeBase)
    const due = this.#lastForcedKey === null || (gop > 0n && pts >= this.#lastForcedKey + gop)
    if (due) this.#lastForcedKey = pts
    return due
  }

  #openEncoder(size: { width: number; height: number }, like: Frame): void {
    const format = this.#output.format
    const { encoder, format: container } = this.#profile
    // The MPEG-TS muxer would write them as private data that players do not recognise; the MP4 muxer refuses with this
    // text.
    if (container !== 'mp4' && NOT_IN_MPEGTS.has(encoder)) throw new MediaError('Invalid argument')
    const frameRate = this.#grid ? inverse(this.#gridUnit) : this.#source.frameRate()
    this.#encoder = new VideoEncoder({
      name: this.#source.device.encoderFor(this.#profile),
      profile: this.#profile,
      size,
      timeBase: this.#grid ? this.#gridUnit : frameRate ? inverse(frameRate) : this.#source.timeBase,
      frameRate,
      // The container's header has the first size; later sizes carry their own headers.
      globalHeader: !this.#video && (format.oformat?.hasFlags(AVFMT_GLOBALHEADER) ?? false),
      threads: this.#source.threads,
      like,
    })
    if (!this.#video) this.#writeHeader(this.#encoder, frameRate)
  }

  #writeHeader(encoder: VideoEncoder, frameRate: TimeBase | null): void {
    const format = this.#output.format
    const video = format.newStream()
    check(video.codecpar.fromContext(encoder.context))
    const unit = this.#grid ? this.#gridUnit : this.#source.timeBase
    video.timeBase = new Rational(unit.num, unit.den)
    if (frameRate) video.avgFrameRate = new Rational(frameRate.num, frameRate.den)
    const source = this.#source.audio
    if (source) {
      const audio = format.newStream()
      check(source.codecpar.copy(audio.codecpar))
      audio.codecpar.codecTag = 0
      audio.timeBase = source.timeBase
      this.#audio = audio
    }
    // Peers check both keys (transcoding.md §3.7).
    format.metadata = Dictionary.fromObject({
      service_provider: this.#source.provider,
      comment: `Processed by ${this.#source.provider}`,
    })
    // MP4 states its start in this unit: with the default of milliseconds, segments would not join to the tick.
    if (this.#profile.format === 'mp4')
      check(format.setOption('movie_timescale', String(MPEGTS_TIME_BASE.den)))
    check(format.writeHeaderSync(null))
    this.#video = video
    for (const packet of this.#waitingAudio.splice(0)) this.#writeAudio(packet)
  }

  #writeVideo(packet: Packet): void {
    this.#source.signal.throwIfAborted()
    const unit = this.#encoder!.timeBase
    // An encoder that gets fewer frames than it holds back leaves no room for them before the first.
    const { hasBFrames } = this.#encoder!.context
    this.#missingDelay ??= BigInt(Math.max(0, hasBFrames - Number(packet.pts - packet.dts)))
    packet.dts -= this.#missingDelay
    if (this.#grid) {
      packet.duration = 1n
      packet.rescaleTs(unit, this.#video!.timeBase)
    } else {
      const source = this.#source.timeBase
      const times = this.#sourceTimes.get(packet.pts)
      this.#sourceTimes.delete(packet.pts)
      const delay = rescale(packet.pts - packet.dts, unit, source)
      packet.pts = times?.pts ?? rescale(packet.pts, unit, source)
      packet.dts = packet.pts - delay
      packet.duration = times?.duration ?? rescale(packet.duration, unit, source)
      packet.rescaleTs(source, this.#video!.timeBase)
    }
    this.#write(packet, this.#video!)
  }

  #writeAudio(packet: Packet): void {
    try {
      const unit = this.#source.audio!.timeBase
      const wrapped = rescale(this.#wrapped, this.#source.timeBase, unit)
      if (!this.#window.keepsAudio(packet.pts - wrapped, unit)) return
      const shift = wrapped + this.#window.shift(unit)
      if (packet.pts !== AV_NOPTS_VALUE) packet.pts -= shift
      if (packet.dts !== AV_NOPTS_VALUE) packet.dts -= shift
      packet.rescaleTs(unit, this.#audio!.timeBase)
      this.#write(packet, this.#audio!)
    } finally {
      packet.free()
    }
  }

  #write(packet: Packet, stream: Stream): void {
    this.#repairOrder(packet, stream.index)
    packet.streamIndex = stream.index
    packet.pos = -1n
    check(this.#output.format.interleavedWriteFrameSync(packet))
  }

  /** Muxers refuse decoding times after the presentation time, and times that do not increase (transcoding.md §3.7). */
  #repairOrder(packet: Packet, index: number): void {
    if (packet.dts === AV_NOPTS_VALUE || packet.pts === AV_NOPTS_VALUE) return
    const least = (this.#lastDts.get(index) ?? packet.dts - 1n) + 1n
    if (packet.dts > packet.pts) {
      const median = [packet.pts, packet.dts, least].sort(ascending)[1]!
      packet.pts = median
      packet.dts = median
    }
    if (packet.dts < least) {
      if (packet.pts >= packet.dts && packet.pts < least) packet.pts = least
      packet.dts = least
    }
    this.#lastDts.set(index, packet.dts)
  }
}

function inverse(value: TimeBase): TimeBase {
  return { num: value.den, den: value.num }
}
