import { maxSourceBytes } from '../../domain/segment.ts'
import type { AmfObject } from './amf.ts'
import { type AacConfig, type AvcConfig, readAudioTag, readVideoTag, unitsOf } from './flv.ts'
import { type Sample, type Tracks, TsMuxer } from './mpegts.ts'
import { RtmpError } from './rtmp-error.ts'
import { Timeline } from './timeline.ts'

/** A segment of a published stream. */
export interface CutSegment {
  /** MPEG-TS. */
  readonly bytes: Uint8Array
  readonly durationMs: number
  /** Without pictures it cannot be transcoded, but played. */
  readonly hasVideo: boolean
}

/** How segments are cut. */
export interface CutterOptions {
  /** `-maxSegmentDuration`. */
  readonly maxDurationMs: number
}

/** Segments end at the first key frame after this (gateway.md §2), less what whole milliseconds may take from a GOP. */
const TARGET_MS = 2_000
const ROUNDING_MS = 20
/** A track without a frame for this long has ended; sound alone does not wait longer for pictures either. */
const TRACK_GONE_MS = 10_000
/** Sound before the first picture belongs to it, if it is not older than this. */
const SOUND_BEFORE_MS = 500
/** Sound of this length without pictures is a segment of its own when pictures begin. */
const SOUND_ALONE_MS = 500
/** The last frame of a stream is taken to last as long as the one before, within these bounds. */
const MAX_FRAME_MS = 1_000
const DEFAULT_FRAME_MS = 20
/** Delays between decoding and showing that exceed this are wrong. */
const MAX_DELAY_MS = 5_000
/** Memory of a frame beside its bytes. */
const SAMPLE_OVERHEAD = 256

/**
 * Cuts a published stream into segments: messages in, segments in MPEG-TS out. Segments begin with a key frame, last 2 s
 * or to the next key frame after that, and join without a gap. The first frames and the last ones are in it. It decodes
 * nothing, does no I/O and knows no time.
 */
export class SegmentCutter {
  readonly #options: CutterOptions
  readonly #emit: (segment: CutSegment) => void
  readonly #timeline = new Timeline()
  readonly #muxer = new TsMuxer()
  #avc: AvcConfig | null = null
  /** Whether the next key frame begins a segment however short the open one is. */
  #isCutDue = false
  #aac: AacConfig | null = null
  /** Whether pictures are announced, so that sound waits for them. */
  #expectsVideo = false
  #hasBegunVideo = false
  #open: Sample[] = []
  #openBytes = 0
  #openVideo: AvcConfig | null = null
  #openSound: Tracks['audio'] = null
  /** When the open segment begins; null before its first frame. */
  #startMs: number | null = null
  #lastVideoMs: number | null = null
  #lastShownMs: number | null = null
  #lastSoundMs: number | null = null
  /** How long the last frame of each track is taken to last: as long as the one before. */
  #videoFrameMs = DEFAULT_FRAME_MS
  #soundFrameMs = DEFAULT_FRAME_MS
  /** Since when frames come that build on a key frame that did not. */
  #waitingSinceMs: number | null = null
  #newestMs = 0

  constructor(options: CutterOptions, emit: (segment: CutSegment) => void) {
    this.#options = options
    this.#emit = emit
  }

  /** Bytes held for the open segment. */
  get bytesHeld(): number {
    return this.#openBytes
  }

  /** How much of the stream has arrived, in milliseconds. */
  get receivedMs(): number {
    return this.#newestMs
  }

  /** What the publisher says about its stream. */
  metadata(metadata: AmfObject): void {
    const codec = metadata.get('videocodecid')
    const width = metadata.get('width')
    if (!this.#hasBegunVideo && ((codec !== undefined && codec !== 0) || Number(width ?? 0) > 0)) {
      this.#expectsVideo = true
    }
  }

  /** Takes one message. Throws RtmpError for media that cannot be served. */
  video(timestamp: number, payload: Uint8Array): void {
    const tag = readVideoTag(payload)
    if (!tag) return
    this.#expectsVideo = true
    if (tag.kind === 'config') {
      if (tag.config.parameterSets.length === 0) return
      if (this.#avc !== null && !isSame(this.#avc, tag.config)) this.#isCutDue = true
      this.#avc = tag.config
      return
    }
    const decodeMs = this.#timeline.place('video', timestamp)
    if (!this.#avc) return
    const { isKey, units } = tag
    const showMs = decodeMs + Math.min(MAX_DELAY_MS, Math.max(0, tag.delayMs))
    if (isKey) this.#meetKeyFrame(showMs, this.#avc)
    // Frames without the key frame that they build on cannot be decoded.
    if (!this.#openVideo) this.#waitingSinceMs ??= decodeMs
    const sinceMs = this.#waitingSinceMs ?? this.#startMs ?? decodeMs
    if (!isKey && decodeMs - sinceMs > this.#options.maxDurationMs) throw tooLong(decodeMs - sinceMs)
    if (!this.#openVideo) return
    unitsOf(units, this.#openVideo.lengthBytes)
    if (this.#lastVideoMs !== null) this.#videoFrameMs = Math.min(MAX_FRAME_MS, decodeMs - this.#lastVideoMs)
    this.#lastVideoMs = decodeMs
    this.#lastShownMs = Math.max(showMs, this.#lastShownMs ?? showMs)
    const repeated = isKey ? this.#openVideo.parameterSets.reduce((sum, { length }) => sum + length, 0) : 0
    this.#add({ track: 'video', decodeMs, showMs, isKey, data: units }, repeated)
  }

  /** Takes one message. Throws RtmpError for media that cannot be served. */
  audio(timestamp: number, payload: Uint8Array): void {
    const tag = readAudioTag(payload)
    if (!tag) return
    if (tag.kind === 'config') {
      this.#aac = tag.config
      return
    }
    const decodeMs = this.#timeline.place('audio', timestamp)
    if (tag.codec === 'aac' && !this.#aac) return
    this.#meetSound(decodeMs)
    const sound: Tracks['audio'] =
      tag.codec === 'mp3' ? { codec: 'mp3' } : { codec: 'aac', config: this.#aac! }
    if (!this.#takesSound(sound)) return
    this.#openSound = sound
    if (this.#lastSoundMs !== null) this.#soundFrameMs = Math.min(MAX_FRAME_MS, decodeMs - this.#lastSoundMs)
    this.#lastSoundMs = decodeMs
    this.#add({ track: 'audio', decodeMs, showMs: decodeMs, isKey: true, data: tag.frame })
  }

  /** Cuts what is left: the end of the stream. */
  end(): void {
    if (this.#startMs === null) return
    const soundEndMs = this.#lastSoundMs === null ? this.#startMs : this.#lastSoundMs + this.#soundFrameMs
    const videoEndMs = this.#lastShownMs === null ? this.#startMs : this.#lastShownMs + this.#videoFrameMs
    const isLedByVideo = this.#openVideo && soundEndMs - videoEndMs < MAX_FRAME_MS
    this.#cut(isLedByVideo ? videoEndMs : soundEndMs)
  }

  /** A segment lasts from where its first picture is shown: encoders may decode the first ones faster than they show them. */
  #meetKeyFrame(showMs: number, config: AvcConfig): void {
    if (this.#startMs !== null && !this.#hasBegunVideo) this.#dropSoundBefore(showMs - SOUND_BEFORE_MS)
    const lengthMs = this.#startMs === null ? 0 : showMs - this.#startMs
    const isDue = this.#openVideo
      ? lengthMs >= TARGET_MS - ROUNDING_MS || this.#isCutDue
      : lengthMs >= SOUND_ALONE_MS
    // Frames share a segment only with those of the same parameters, even if this one is shown before it begins.
    if (isDue && (lengthMs > 0 || this.#openVideo)) this.#cut(Math.max(showMs, (this.#startMs ?? showMs) + 1))
    // A stream begins with its first picture, whatever sound comes a moment before.
    if (this.#startMs === null || !this.#hasBegunVideo) this.#startMs = showMs
    this.#isCutDue = false
    this.#waitingSinceMs = null
    this.#hasBegunVideo = true
    this.#openVideo = config
  }

  #meetSound(decodeMs: number): void {
    if (this.#startMs === null) this.#startMs = decodeMs
    const lengthMs = decodeMs - this.#startMs
    if (this.#openVideo) {
      const videoMs = this.#lastVideoMs ?? this.#startMs
      if (decodeMs - videoMs > TRACK_GONE_MS) this.#cut(decodeMs)
      return
    }
    const isWaiting = this.#expectsVideo && !this.#hasBegunVideo && lengthMs < TRACK_GONE_MS
    if (!isWaiting && lengthMs >= TARGET_MS) this.#cut(decodeMs)
  }

  /** Whether sound fits into the open segment. Other sound waits for a new one, which begins with the next key frame. */
  #takesSound(sound: NonNullable<Tracks['audio']>): boolean {
    const hasOther = this.#openSound !== null && !isSameSound(this.#openSound, sound)
    if (hasOther && !this.#openVideo) this.#cut((this.#lastSoundMs ?? 0) + this.#soundFrameMs)
    else if (hasOther) this.#isCutDue = true
    return this.#openSound === null || !hasOther
  }

  /** `repeated` is how many bytes of parameters the segment gets with this frame. */
  #add(sample: Sample, repeated = 0): void {
    this.#newestMs = Math.max(this.#newestMs, sample.decodeMs)
    this.#open.push(sample)
    this.#openBytes += sample.data.length + repeated + SAMPLE_OVERHEAD
    const most = maxSourceBytes(Math.max(0, this.#newestMs - (this.#startMs ?? 0)))
    if (this.#openBytes > most) {
      throw new RtmpError('limit', `a segment has more than ${most} bytes: lower the encoder's bitrate`)
    }
  }

  #dropSoundBefore(ms: number): void {
    this.#open = this.#open.filter(({ decodeMs }) => decodeMs >= ms)
    this.#openBytes = this.#open.reduce((sum, { data }) => sum + data.length + SAMPLE_OVERHEAD, 0)
    this.#startMs = this.#open[0]?.decodeMs ?? null
  }

  /** Ends the open segment at `endMs`, where the next one begins. */
  #cut(endMs: number): void {
    const samples = this.#open
    const video = samples.some(({ track }) => track === 'video') ? this.#openVideo : null
    const audio = samples.some(({ track }) => track === 'audio') ? this.#openSound : null
    const durationMs = Math.max(1, Math.round(endMs - (this.#startMs ?? endMs)))
    this.#open = []
    this.#openBytes = 0
    this.#openVideo = null
    this.#openSound = null
    this.#startMs = endMs
    if (!video && !audio) return
    this.#emit({ bytes: this.#muxer.mux({ video, audio }, samples), durationMs, hasVideo: video !== null })
  }
}

function tooLong(lengthMs: number): RtmpError {
  return new RtmpError(
    'media',
    `no key frame came for ${Math.floor(lengthMs / 1000)} s, longer than -maxSegmentDuration allows: set the encoder's key frame interval to 2 s`,
  )
}

function isSame(a: AvcConfig, b: AvcConfig): boolean {
  return (
    a.lengthBytes === b.lengthBytes &&
    a.parameterSets.length === b.parameterSets.length &&
    a.parameterSets.every((set, i) => Buffer.compare(set, b.parameterSets[i]!) === 0)
  )
}

function isSameSound(a: NonNullable<Tracks['audio']>, b: NonNullable<Tracks['audio']>): boolean {
  if (a.codec === 'mp3' || b.codec === 'mp3') return a.codec === b.codec
  const fields: readonly (keyof AacConfig)[] = ['objectType', 'rateIndex', 'channels']
  return fields.every((field) => a.config[field] === b.config[field])
}
