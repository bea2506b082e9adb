import type { VideoCodec } from '../../../domain/rendition.ts'

/** Width and height in pixels. */
export interface Size {
  readonly width: number
  readonly height: number
}

/** Whether width and height are equal; a frame is compared by its own. */
export function isSameSize(one: Size, other: Size): boolean {
  return one.width === other.width && one.height === other.height
}

interface Limits {
  readonly least: Size
  readonly most: Size
}

/** Sizes that encoders accept on all hardware (transcoding.md §3.3). */
const limits: Readonly<Record<VideoCodec, Limits | null>> = {
  h264: { least: { width: 146, height: 50 }, most: { width: 4096, height: 4096 } },
  h265: { least: { width: 132, height: 40 }, most: { width: 8192, height: 8192 } },
  vp8: null,
  vp9: null,
}

/**
 * The size of a rendition: the larger requested number becomes the source's longer side, and the other side follows
 * from the source's aspect ratio (transcoding.md §3.3). VP8 and VP9 keep the source's size.
 */
export function outputSize(codec: VideoCodec, requested: Size, source: Size): Size {
  const limit = limits[codec]
  if (!limit) return source
  const width = clamp(requested.width, limit.least.width, limit.most.width)
  const height = clamp(requested.height, limit.least.height, limit.most.height)
  const longer = Math.max(width, height)
  if (source.width >= source.height) {
    const size = ofWidth(longer, source)
    return size.height < limit.least.height ? ofHeight(limit.least.height, source) : size
  }
  const size = ofHeight(longer, source)
  return size.width < limit.least.width ? ofWidth(limit.least.width, source) : size
}

function ofWidth(width: number, source: Size): Size {
  const even = width - (width % 2)
  return { width: even, height: nearestEven((even * source.height) / source.width) }
}

function ofHeight(height: number, source: Size): Size {
  const even = height - (height % 2)
  return { width: nearestEven((even * source.width) / source.height), height: even }
}

function nearestEven(value: number): number {
  return Math.round(value / 2) * 2
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}
