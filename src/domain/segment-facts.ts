import { mp4Facts } from './mp4-facts.ts'
import { onClock, TICKS_PER_MS } from './mpegts-clock.ts'
import type { PictureSize } from './parameter-sets.ts'
import type { Format } from './rendition.ts'
import { transportStreamFacts } from './transport-stream-facts.ts'

/** What a segment's container says of it, as playlists tell it to players. */
export interface SegmentFacts {
  /** The codec of its video, as playlists name it (RFC 6381); null without one, or where it has no name here. */
  readonly video: string | null
  /** The same of its sound. */
  readonly audio: string | null
  /** Whether a track of it has a codec that has no name here, so that a list of its codecs would not be complete. */
  readonly hasOtherCodecs: boolean
  /** Null without video, or where it cannot be read. */
  readonly size: PictureSize | null
  readonly pictures: number
  /** From the first picture shown to the last one. */
  readonly picturesMs: number
  /** From where to where it is shown; null where the container has no clock that goes on from segment to segment. */
  readonly span: ClockSpan | null
  /** Whether it can be decoded without any other segment. */
  readonly isIndependent: boolean
}

/** A part of a stream's time on the clock of MPEG-TS, which counts 90,000 a second modulo 2^33. */
export interface ClockSpan {
  readonly start: number
  readonly end: number
}

/** How long a span is, to the next whole millisecond. */
export function spanMs({ end, start }: ClockSpan): number {
  return Math.round(onClock(end - start) / TICKS_PER_MS)
}

/** Reads what a segment says of itself; null where it cannot be read. Never throws, and decodes nothing. */
export function segmentFacts(bytes: Uint8Array, format: Format): SegmentFacts | null {
  return format === 'mp4' ? mp4Facts(bytes) : transportStreamFacts(bytes)
}
