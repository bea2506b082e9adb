/** The worker process that produces segments of a live source: a test pattern or a file. Started by `pattern.ts`. */

import type { PatternOptions } from '../engine/pattern.ts'
import { fileSegments, type TimedSegment } from './file-segments.ts'
import { serveRequests } from './serve-requests.ts'
import { SyntheticStream } from './synthetic.ts'

/** Room below the first timestamp for the first audio packet, which starts before the picture. */
const START_PTS = 126_000n

let source: AsyncIterator<TimedSegment> | null = null

await serveRequests({
  'open pattern': async (options: Required<PatternOptions>) => {
    source = patternSegments(options)
  },
  'open file': async (pathOrUrl: string) => {
    source = fileSegments(pathOrUrl)
  },
  next: async () => (await source?.next())?.value,
})

async function* patternSegments(options: Required<PatternOptions>): AsyncGenerator<TimedSegment> {
  const framesPerSegment = Math.max(1, Math.round((options.segmentMs * options.fps) / 1000))
  using stream = new SyntheticStream({
    width: options.width,
    height: options.height,
    fps: { num: options.fps, den: 1 },
    framesPerSegment,
    startPts: START_PTS,
    hasAudio: options.hasAudio,
    gopFrames: framesPerSegment,
    bFrames: 0,
    encoder: 'libx264',
    // Cheap enough to run beside a whole network on one machine; each segment starts with its only key frame.
    encoderOptions: { preset: 'veryfast', tune: 'zerolatency', 'forced-idr': '1', sc_threshold: '0' },
    pixelFormat: 'yuv420p',
    bitrate: options.bitrate,
    format: 'mpegts',
  })
  for (;;) yield { durationMs: stream.segmentMs, bytes: await stream.next() }
}
