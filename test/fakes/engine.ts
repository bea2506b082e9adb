import { type Clock, settle } from '../../src/lib/clock.ts'
import { abortError, NodeError } from '../../src/lib/errors.ts'
import type { MeasuredEngine } from '../../src/services/transcoding/engine-capacity.ts'
import type { TranscodeJob, TranscodeOutput } from '../../src/services/transcoding/transcoder.ts'
import { outputOf } from './transcoder.ts'

/** Frame rate of the profile in test jobs. */
const FPS = 30

/** An engine whose workers take a set time for a second of video, by the test's clock. */
export class FakeEngine implements MeasuredEngine {
  readonly parallel: number
  /** Each worker's time for a second of video. */
  secondTakesMs: number
  /** Sessions in the order in which their segments were started. */
  readonly begun: string[] = []
  readonly ended: string[] = []
  /** The real duration of a job's video; null: as declared, without frame counts. */
  lastsMs: (job: TranscodeJob) => number | null = () => null
  readonly #clock: Clock
  #busy = 0

  constructor(clock: Clock, options: { parallel: number; secondTakesMs: number }) {
    this.#clock = clock
    this.parallel = options.parallel
    this.secondTakesMs = options.secondTakesMs
  }

  readonly #waiting: (() => void)[] = []

  async transcode(job: TranscodeJob, signal: AbortSignal): Promise<TranscodeOutput> {
    const { deadlineMs, sessionId } = job
    const lastsMs = this.lastsMs(job)
    const deadline = this.#clock.now() + deadlineMs
    const turn = Promise.withResolvers<void>()
    this.#waiting.push(() => {
      job.onBegin?.()
      turn.resolve()
    })
    this.#assign()
    await turn.promise
    this.begun.push(sessionId)
    try {
      const workMs = ((lastsMs ?? job.durationMs) * this.secondTakesMs) / 1000
      const leftMs = Math.max(0, deadline - this.#clock.now())
      await this.#clock.sleep(Math.min(workMs, leftMs), signal)
      if (signal.aborted) throw abortError(signal)
      if (sessionId === 'bad') throw new NodeError('media', 'No keyframes in input')
      if (workMs > leftMs) throw new NodeError('media-late', 'Media work took too long')
      const output = outputOf(sessionId)
      if (lastsMs === null) return output
      const frames = Math.round((lastsMs * FPS) / 1000)
      return { ...output, renditions: output.renditions.map((rendition) => ({ ...rendition, frames })) }
    } finally {
      this.#busy--
      // The waiting caller is told first, as by a real engine.
      void settle().then(() => this.#assign())
    }
  }

  sessionEnded(sessionId: string): void {
    this.ended.push(sessionId)
  }

  #assign(): void {
    while (this.#busy < this.parallel) {
      const begin = this.#waiting.shift()
      if (!begin) return
      this.#busy++
      begin()
    }
  }
}
