import { NodeError } from '../../lib/errors.ts'

/** One track of a segment, as an MP4 describes it. */
export interface MediaTrack {
  readonly kind: 'video' | 'audio'
  /** The box that describes its samples, such as `avc1`. */
  readonly entry: Uint8Array
  /** Ticks of its times in a second. */
  readonly timescale: number
  /** Of pictures, in pixels; 0 for sound. */
  readonly width: number
  readonly height: number
  /** Whether its samples bring the parameters with them that the entry has. */
  readonly describesItself: boolean
  readonly samples: readonly MediaSample[]
}

/** One frame; times are ticks of its track. */
export interface MediaSample {
  /** As it lies in an MP4, in pieces. */
  readonly data: readonly Uint8Array[]
  readonly bytes: number
  /** From the start of its segment. */
  readonly decode: number
  readonly duration: number
  /** From when it is decoded until it is shown. */
  readonly delay: number
  readonly isKey: boolean
}

/** A segment taken apart. */
export interface MediaSegment {
  /** By the stream's clock of 90 kHz, which counts 33 bits; null where it says nothing of when it begins. */
  readonly startTicks: number | null
  /** One of each kind at most. */
  readonly tracks: readonly MediaTrack[]
}

/** Why a segment cannot be taken apart. */
export type MediaFault = 'unreadable-media'

/** The error of a segment that cannot be taken apart. */
export function unreadable(what: string): NodeError<MediaFault> {
  return new NodeError<MediaFault>('unreadable-media', what)
}
