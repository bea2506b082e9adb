import { AV_NOPTS_VALUE, AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_VIDEO } from 'node-av/constants'
import { avGetCodecName, FFmpegError, FormatContext, Packet, type Stream } from 'node-av/lib'
import { MediaError } from '../engine/media-error.ts'
import { check, MemoryOutput } from './ffmpeg.ts'
import { MPEGTS_TIME_BASE, rescale } from './time-base.ts'

/** A segment with its duration. */
export interface TimedSegment {
  readonly durationMs: number
  readonly bytes: Uint8Array
}

/** Segments are cut at the first key frame after this time (transcoding.md §11), in 1/90000 s. */
const LEAST_SEGMENT = 180_000n

/** Codecs that can be muxed into MPEG-TS without re-encoding. */
const CODECS = new Set(['h264', 'hevc'])

/** Room below the first timestamp for frames that are decoded before they are shown. */
const MARGIN = 9_000n

interface Opened {
  readonly format: FormatContext
  readonly video: Stream
  readonly audio: Stream | null
}

/**
 * Cuts a file or URL into MPEG-TS segments of about two seconds without re-encoding, in an endless loop with continuous
 * timestamps. The last segment of each round may be shorter.
 */
export async function* fileSegments(pathOrUrl: string): AsyncGenerator<TimedSegment> {
  const packet = new Packet()
  packet.alloc()
  const timeline = new Timeline()
  try {
    for (;;) {
      const opened = await open(pathOrUrl)
      try {
        yield* segmentsOnce(opened, packet, timeline)
      } finally {
        await opened.format.closeInput()
      }
      if (!timeline.nextRound()) throw new MediaError(`${pathOrUrl} has no key frame to cut at`)
    }
  } finally {
    packet.free()
  }
}

/** Keeps timestamps continuous from round to round. */
class Timeline {
  #offset: bigint | null = null
  #end = MARGIN
  readonly #lastDts = new Map<string, bigint>()
  #hasMoved = false

  /** Moves a packet in 1/90000 s onto the timeline; false if it would go back in time. */
  place(packet: Packet, kind: 'video' | 'audio'): boolean {
    if (packet.dts === AV_NOPTS_VALUE) packet.dts = packet.pts
    if (packet.pts === AV_NOPTS_VALUE) packet.pts = packet.dts
    if (packet.dts === AV_NOPTS_VALUE) return false
    this.#offset ??= this.#end - packet.dts
    packet.pts += this.#offset
    packet.dts += this.#offset
    const last = this.#lastDts.get(kind)
    if (packet.dts < 0n || (last !== undefined && packet.dts <= last)) return false
    this.#lastDts.set(kind, packet.dts)
    if (kind === 'video') {
      const end = packet.dts + (packet.duration > 0n ? packet.duration : 1n)
      if (end > this.#end) this.#end = end
      this.#hasMoved = true
    }
    return true
  }

  /** Restarts the source; false if the last round had no packets. */
  nextRound(): boolean {
    this.#offset = null
    const moved = this.#hasMoved
    this.#hasMoved = false
    return moved
  }
}

async function open(pathOrUrl: string): Promise<Opened> {
  const format = new FormatContext()
  const result = await format.openInput(pathOrUrl, null, null)
  if (result < 0) throw new MediaError(`cannot open ${pathOrUrl}: ${FFmpegError.strerror(result)}`)
  try {
    check(await format.findStreamInfo(null))
    const videoIndex = format.findBestStream(AVMEDIA_TYPE_VIDEO, -1, -1)
    const audioIndex = format.findBestStream(AVMEDIA_TYPE_AUDIO, -1, -1)
    const video = format.streams[videoIndex]
    const codec = video ? avGetCodecName(video.codecpar.codecId) : null
    if (!video || !codec || !CODECS.has(codec)) {
      throw new MediaError(`${pathOrUrl} has no H.264 or HEVC video that could be sent as it is`)
    }
    const audio = audioIndex < 0 ? null : (format.streams[audioIndex] ?? null)
    return { format, video, audio: audio && avGetCodecName(audio.codecpar.codecId) === 'aac' ? audio : null }
  } catch (error) {
    await format.closeInput()
    throw error
  }
}

async function* segmentsOnce(
  opened: Opened,
  packet: Packet,
  timeline: Timeline,
): AsyncGenerator<TimedSegment> {
  const { format, video, audio } = opened
  let segment: SegmentMuxer | null = null
  try {
    for (;;) {
      packet.unref()
      if ((await format.readFrame(packet)) < 0) break
      const kind =
        packet.streamIndex === video.index ? 'video' : packet.streamIndex === audio?.index ? 'audio' : null
      if (!kind) continue
      // Packets before the first key frame cannot be decoded.
      if (!segment && !(kind === 'video' && packet.isKeyframe)) continue
      packet.rescaleTs((kind === 'video' ? video : audio!).timeBase, MPEGTS_TIME_BASE)
      if (!timeline.place(packet, kind)) continue
      if (segment && kind === 'video' && packet.isKeyframe && packet.pts - segment.start >= LEAST_SEGMENT) {
        yield segment.finish(packet.pts)
        segment = null
      }
      segment ??= new SegmentMuxer(video, audio, packet.pts)
      segment.write(packet, kind)
    }
    if (segment) yield segment.finish(null)
    segment = null
  } finally {
    segment?.[Symbol.dispose]()
  }
}

class SegmentMuxer implements Disposable {
  readonly start: bigint
  readonly #output = new MemoryOutput('mpegts')
  readonly #streams: { readonly video: Stream; readonly audio: Stream | null }
  #end: bigint

  constructor(video: Stream, audio: Stream | null, start: bigint) {
    this.start = start
    this.#end = start
    const copyOf = (source: Stream) => {
      const stream = this.#output.format.newStream()
      check(source.codecpar.copy(stream.codecpar))
      stream.codecpar.codecTag = 0
      stream.timeBase = source.timeBase
      return stream
    }
    this.#streams = { video: copyOf(video), audio: audio ? copyOf(audio) : null }
    check(this.#output.format.setOption('mpegts_copyts', '1'))
    check(this.#output.format.writeHeaderSync(null))
  }

  write(packet: Packet, kind: 'video' | 'audio'): void {
    const stream = this.#streams[kind]!
    if (kind === 'video' && packet.pts + packet.duration > this.#end) this.#end = packet.pts + packet.duration
    packet.streamIndex = stream.index
    packet.pos = -1n
    packet.rescaleTs(MPEGTS_TIME_BASE, stream.timeBase)
    check(this.#output.format.interleavedWriteFrameSync(packet))
  }

  finish(end: bigint | null): TimedSegment {
    const durationMs = Number(
      rescale((end ?? this.#end) - this.start, MPEGTS_TIME_BASE, { num: 1, den: 1000 }),
    )
    return { durationMs: Math.max(1, durationMs), bytes: this.#output.finish() }
  }

  [Symbol.dispose](): void {
    this.#output[Symbol.dispose]()
  }
}
