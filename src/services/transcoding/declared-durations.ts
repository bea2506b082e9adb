import type { TranscodeJob } from './transcoder.ts'

/** Gateways remembered; beyond this, the least recent ones are forgotten. */
const MAX_GATEWAYS = 1_000
/** A new gateway's declared durations are believed up to this: few segments last longer. */
const NEWCOMER_MS = 10_000
/** The weight of the newest segment. */
const NEWEST_PART = 0.5
/** Other gateways' segments within this time tell whether the machine is slow or one gateway declares wrongly. */
const RECENT_MS = 60_000

/**
 * Corrects the durations that gateways declare. A segment's duration decides how long others are expected to wait for it
 * and how fast the machine appears, so a gateway is believed as far as its earlier segments confirmed it.
 */
export class DeclaredDurations {
  /** Real duration over declared duration, by gateway. */
  readonly #ratios = new Map<string, number>()
  /** When each gateway's last segment was done, and when its last was late. */
  readonly #done = new Map<string, number>()
  readonly #late = new Map<string, number>()

  /** The expected duration of a segment, in milliseconds. */
  believedMs(job: TranscodeJob): number {
    const ratio = this.#ratios.get(keyOf(job))
    return ratio === undefined ? Math.min(job.durationMs, NEWCOMER_MS) : job.durationMs * ratio
  }

  /** A segment was done, and turned out to last this long. */
  done(job: TranscodeJob, shownMs: number, nowMs: number): void {
    note(this.#done, keyOf(job), nowMs)
    this.#learn(job, shownMs)
  }

  /**
   * The time of a segment was over before it was done; at the machine's speed `leastMs` of video would have been. Gives
   * how long it is taken to be if that tells of the machine; null where segments of others are done meanwhile, and none
   * of theirs was late.
   */
  late(job: TranscodeJob, leastMs: number | null, nowMs: number): number | null {
    const key = keyOf(job)
    const isRecent = (at: number) => nowMs - at < RECENT_MS
    const byOthers = (times: Map<string, number>) =>
      [...times].some(([other, at]) => other !== key && isRecent(at))
    const isMachine = byOthers(this.#late) || !byOthers(this.#done)
    note(this.#late, key, nowMs)
    if (!isMachine && leastMs !== null && leastMs > this.believedMs(job)) this.#learn(job, leastMs)
    return isMachine ? this.believedMs(job) : null
  }

  #learn(job: TranscodeJob, shownMs: number): void {
    if (job.durationMs <= 0) return
    const key = keyOf(job)
    const sample = shownMs / job.durationMs
    const before = this.#ratios.get(key) ?? sample
    note(this.#ratios, key, before + NEWEST_PART * (sample - before))
  }
}

/** The payer, or the session where there is none. */
function keyOf({ payer, sessionId }: TranscodeJob): string {
  return payer ?? `session ${sessionId}`
}

function note(map: Map<string, number>, key: string, value: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > MAX_GATEWAYS) map.delete(map.keys().next().value!)
}
