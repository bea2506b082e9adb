import { type Clock, systemClock } from '../../../lib/clock.ts'
import { abortError } from '../../../lib/errors.ts'
import { programUrl } from '../../../lib/program-files.ts'
import { MediaError } from './media-error.ts'
import { WorkerProcess } from './worker-process.ts'

/** A segment of a live source. */
export interface SourceSegment {
  /** Counts from 0. */
  readonly seq: number
  readonly durationMs: number
  /** MPEG-TS. */
  readonly bytes: Uint8Array
}

/** How a live source hands its segments out. */
export interface Pacing {
  /** In real time, as a camera would; otherwise as fast as they are taken. Default true. */
  readonly isPaced?: boolean
  /** What paces it. Default the real clock. */
  readonly clock?: Clock
}

/** The test pattern: a moving picture with a running clock and a tone. */
export interface PatternOptions {
  readonly width?: number
  readonly height?: number
  readonly fps?: number
  readonly segmentMs?: number
  readonly hasAudio?: boolean
  /** Bits per second of the picture. */
  readonly bitrate?: number
}

/** Small enough for two shared cores to run a network beside it. */
const PATTERN_DEFAULTS: Required<PatternOptions> = {
  width: 640,
  height: 360,
  fps: 30,
  segmentMs: 2000,
  hasAudio: true,
  bitrate: 1_000_000,
}

/**
 * A test pattern without end, as H.264 and AAC in MPEG-TS with continuous timestamps, made in a process of its own.
 * Aborting the signal ends the iteration with AbortError and the process with it.
 */
export function livePattern(
  options: PatternOptions & Pacing,
  signal: AbortSignal,
): AsyncIterableIterator<SourceSegment> {
  const { isPaced, clock, ...given } = options
  const settings = { ...PATTERN_DEFAULTS, ...given }
  return segments({ kind: 'open pattern', payload: settings }, { isPaced, clock }, signal)
}

/** One segment of the test pattern. */
export async function patternSegment(options: PatternOptions, signal: AbortSignal): Promise<SourceSegment> {
  for await (const segment of livePattern({ ...options, isPaced: false }, signal)) return segment
  throw new MediaError('the source has ended')
}

/**
 * A file or address as a live source: cut at key frames into segments of some two seconds without encoding it anew,
 * over and over with continuous timestamps. Throws MediaError when it cannot be read or has no H.264 or HEVC video.
 */
export function segmentsOfFile(
  pathOrUrl: string,
  signal: AbortSignal,
  pacing: Pacing = {},
): AsyncIterableIterator<SourceSegment> {
  return segments({ kind: 'open file', payload: pathOrUrl }, pacing, signal)
}

async function* segments(
  source: { kind: 'open pattern' | 'open file'; payload: unknown },
  pacing: { isPaced?: boolean | undefined; clock?: Clock | undefined },
  signal: AbortSignal,
): AsyncGenerator<SourceSegment> {
  if (signal.aborted) throw abortError(signal)
  const clock = pacing.clock ?? systemClock
  const worker = new WorkerProcess(programUrl('io/media/worker/pattern-worker'))
  const onAbort = () => void worker.kill()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await worker.call(source.kind, source.payload).result
    let due = clock.now()
    for (let seq = 0; ; seq++) {
      const segment = await worker.call('next', null).result
      if (!segment) throw new MediaError('the source has ended')
      if (pacing.isPaced !== false) {
        const waitMs = due - clock.now()
        if (waitMs > 0) await clock.sleep(waitMs, signal)
        // A slow reader gets the next segment at once, but not a burst of all that it missed.
        else if (waitMs < -segment.durationMs) due = clock.now()
        due += segment.durationMs
      }
      yield { seq, ...segment }
    }
  } catch (error) {
    throw signal.aborted ? abortError(signal) : error
  } finally {
    signal.removeEventListener('abort', onAbort)
    await worker.kill()
  }
}
