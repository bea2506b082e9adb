import { segmentLimitMs } from '../../src/domain/segment.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { NodeError } from '../../src/lib/errors.ts'
import type { AdmittedJob, TranscodeJob, TranscodeOutput } from '../../src/services/transcoding/transcoder.ts'
import { jobOf, outputOf } from './transcoder.ts'

/** What a test wants of a segment: it is done at once, it fails, or it is worked on until the test releases it. */
export type Fate = 'ok' | 'bad' | 'held'

/** What the transcoders of these worlds say of a bad segment. */
export const BAD_TEXT = 'No keyframes in input'
/** What a held engine says of a segment that was not released before its deadline. */
export const LATE_TEXT = 'Media work took too long'

/** A segment named by its session, a letter, and its number; its source tells its name and its fate. */
export function fatedJob(name: string, fate: Fate, durationMs: number, onBegin: () => void): AdmittedJob {
  const source = new TextEncoder().encode(`${name} ${fate}`)
  const deadlineMs = segmentLimitMs(durationMs)
  const job = jobOf(name[0]!, BigInt(name.slice(1)), { source, durationMs, deadlineMs, onBegin })
  return { ...job, segment: { ...job.segment, durationMs } }
}

/** The name and the fate that a source tells. */
export function fateIn(source: Uint8Array): { name: string; fate: Fate } {
  const [name, fate] = new TextDecoder().decode(source).split(' ') as [string, Fate]
  return { name, fate }
}

/** An engine that does with each segment what its source tells; it does everything at once that it is given. */
export class HeldEngine {
  sessions = 1
  /** Segments that it works on now. */
  working = 0
  /** Sessions of which it had segments and that have not ended. */
  readonly known = new Set<string>()
  readonly #clock: Clock
  readonly #begins: (name: string) => void
  readonly #held = new Set<() => void>()

  constructor(clock: Clock, begins: (name: string) => void = () => {}) {
    this.#clock = clock
    this.#begins = begins
  }

  async transcode(job: TranscodeJob, signal: AbortSignal): Promise<TranscodeOutput> {
    const { fate, name } = fateIn(job.source)
    this.known.add(job.sessionId)
    this.#begins(name)
    job.onBegin?.()
    this.working++
    try {
      if (fate === 'bad') throw new NodeError('media', BAD_TEXT)
      if (fate === 'held') await this.#hold(job.deadlineMs, signal)
      return outputOf(name)
    } finally {
      this.working--
    }
  }

  /** Ends the work on all segments that it has now. */
  release(): void {
    for (const resolve of this.#held) resolve()
  }

  canFinish(): boolean {
    return true
  }

  sessionEnded(sessionId: string): void {
    this.known.delete(sessionId)
  }

  async #hold(deadlineMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const done = new AbortController()
    const late = async () => {
      await this.#clock.sleep(deadlineMs, AbortSignal.any([signal, done.signal]))
      throw new NodeError('media-late', LATE_TEXT)
    }
    this.#held.add(resolve)
    try {
      await Promise.race([promise, late()])
    } finally {
      this.#held.delete(resolve)
      done.abort()
    }
  }
}
