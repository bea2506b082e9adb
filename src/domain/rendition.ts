/** Container of a rendition. `none` takes the container of what was pushed (gateway.md §3). */
export type Format = 'none' | 'mpegts' | 'mp4'

/** H.264 profile of a rendition; `none` leaves it to the encoder. */
export type EncoderProfile = 'none' | 'baseline' | 'main' | 'high' | 'constrained-high'

/** Codec of a rendition. */
export type VideoCodec = 'h264' | 'h265' | 'vp8' | 'vp9'

/** How chroma is sampled. */
export type ChromaFormat = '420' | '422' | '444'

/** The recipe of a rendition (transcoding.md §2.1). */
export interface Profile {
  /** Names the rendition in paths and playlists; its hash enters the segment's signature. */
  readonly name: string
  readonly width: number
  readonly height: number
  /** Bits per second; 0 leaves it to the encoder. */
  readonly bitrate: number
  /** Numerator of the frame rate; 0 keeps the source's. */
  readonly fps: number
  /** Denominator of the frame rate; 0 counts as 1. */
  readonly fpsDen: number
  readonly format: Format
  readonly profile: EncoderProfile
  /** Milliseconds between key frames; 0 is the encoder's default, -1 makes every frame a key frame. */
  readonly gopMs: number
  readonly encoder: VideoCodec
  /** Bits per sample beyond 8. */
  readonly colorDepth: number
  readonly chromaFormat: ChromaFormat
  /** Constant quality (CRF or CQ); 0 is off. */
  readonly quality: number
}
