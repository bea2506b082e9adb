/**
 * The number of sessions a machine accepts: what it sustains in real time, measured by a trial at the start and by the
 * timings of the segments it works on. Video and work are both in milliseconds, so a speed of 1 is real time.
 */

/** Timings lose half their weight in about twenty seconds, which evens out a scene but forgets within minutes. */
const MEMORY_MS = 30_000
/**
 * Idle workers show nothing about what the machine sustains, and a machine with few sessions measures little. The
 * estimate therefore returns to the trial's result, halfway in about three minutes.
 */
const RECOVERY_MS = 300_000
/** Share of the sustained capacity that is offered: arrivals bunch, and streams differ. */
const SOLD_SHARE = 0.8
/**
 * Live timings raise the capacity to at most this multiple of the trial's result, because easy streams may end at any
 * time.
 */
export const MAX_GROWTH = 2
/** A capacity this little below a whole session is rounded up. */
const ROUNDING = 0.1
/**
 * The number of sessions is kept within this tolerance; otherwise a machine on the edge would change it with every
 * segment.
 */
const SLACK = 0.25
/** The machine counts as full when at least this share of its workers is busy. */
const FULL_SHARE = 0.9
/**
 * A slower segment is too late in any case (transcoding.md §10), so a segment that hangs counts as no slower than this.
 */
const SLOWEST = 4
/**
 * A segment must be finished within this share of its time. The margin lets an overloaded machine finish what it
 * accepts instead of finishing everything slightly late.
 */
const MARGIN = 0.9

/** Lowest frame rate assumed for a stream that sets none. */
const FEWEST_FPS = 24
const MOST_FPS = 60

/** Weighted totals of video and work time. */
interface Sums {
  readonly workMs: number
  readonly videoMs: number
}

/** What is known about a machine's speed. */
export interface CapacityEstimate {
  /** Segments processed in parallel. */
  readonly parallel: number
  /** Streams sustained in real time according to the trial; null without a trial. */
  readonly atStart: number | null
  /** Work of a single worker, whatever the others did; null before the first timing. */
  readonly each: Sums | null
  /** Work of the whole machine while all workers were busy; null if they never were. */
  readonly full: Sums | null
}

/** The processing time of one segment. */
export interface SegmentTiming {
  readonly videoMs: number
  /** Excludes the wait for a worker. */
  readonly workMs: number
  /** False if it ran out of time; it would have taken longer. */
  readonly isDone: boolean
  /** Average number of segments processed at the same time, including this one. */
  readonly together: number
  /** Since the previous timing. */
  readonly sinceLastMs: number
}

/** The work queued before a segment, and the segment's deadline. */
export interface Backlog {
  /** Segments of other sessions that are running or waiting, and the video left in them. */
  readonly others: { readonly count: number; readonly videoMs: number }
  /** Segments of its own session before it, which run one at a time, and the video left in them. */
  readonly own: { readonly count: number; readonly videoMs: number }
  readonly videoMs: number
  readonly limitMs: number
}

/**
 * How long a segment really lasts, in milliseconds, by the encoded frames: exact if a rendition has a set frame rate,
 * otherwise the declared duration within what that many frames can cover. Timestamps do not count, because the sender
 * chooses them. Without counted frames the declared duration.
 */
export function shownMs(
  declaredMs: number,
  renditions: readonly {
    readonly frames: number | null /** Null for the source's. */
    readonly fps: number | null
  }[],
): number {
  let longest: number | null = null
  for (const { fps, frames } of renditions) {
    if (frames === null) continue
    const ms =
      fps === null
        ? Math.min(Math.max(declaredMs, (frames * 1000) / MOST_FPS), (frames * 1000) / FEWEST_FPS)
        : (frames * 1000) / fps
    longest = Math.max(longest ?? 0, ms)
  }
  return longest ?? declaredMs
}

/** The estimate for a machine that has measured nothing yet. */
export function unmeasured(parallel: number): CapacityEstimate {
  return { parallel, atStart: null, each: null, full: null }
}

/**
 * The result of a trial in which each worker got a segment of `videoMs` at the same time. `tookMs` has their times; the
 * longest is the machine's time for all of them.
 */
export function estimateOfTrial(videoMs: number, tookMs: readonly number[]): CapacityEstimate {
  const parallel = tookMs.length
  const wallMs = Math.max(1, ...tookMs)
  const meanMs = tookMs.reduce((sum, ms) => sum + ms, 0) / parallel
  const atStart = (parallel * videoMs) / wallMs
  return {
    parallel,
    atStart,
    each: weighing(parallel * MEMORY_MS, Math.max(1, meanMs) / videoMs),
    full: weighing(MEMORY_MS, 1 / atStart),
  }
}

/** The estimate after one more timing. */
export function withTiming(known: CapacityEstimate, timing: SegmentTiming): CapacityEstimate {
  const { videoMs, together, sinceLastMs } = timing
  if (videoMs <= 0 || timing.workMs <= 0) return known
  const workMs = Math.min(timing.workMs, SLOWEST * videoMs)
  // A segment that started late and was cut short may have been as fast as the others.
  if (!timing.isDone && known.each && workMs * speedOf(known.each) <= videoMs) return known
  const each = plus(known.each, Math.max(0, sinceLastMs), { workMs, videoMs })
  // Its share of the elapsed time, which segments processed together spend only once.
  const share = workMs / Math.max(1, together)
  const isFull = together >= FULL_SHARE * known.parallel
  const before = isFull ? known.full : recovered(known, Math.max(0, sinceLastMs))
  // With idle workers it only gives a lower bound for the machine.
  const isNews = isFull || (before !== null && videoMs / share > speedOf(before))
  const full = isNews ? plus(before, share, { workMs: share, videoMs }) : before
  return { ...known, each, full }
}

/** The estimate after a pause: the speed of a worker before the pause no longer applies. */
export function rested(known: CapacityEstimate): CapacityEstimate {
  return { ...known, each: null }
}

/**
 * The streams that the machine sustains in real time, at most MAX_GROWTH times the trial's result; null if not known.
 */
export function sustained({ atStart, each, full, parallel }: CapacityEstimate): number | null {
  if (!full) return null
  const most = atStart === null ? Number.POSITIVE_INFINITY : MAX_GROWTH * atStart
  // A worker does not get faster when others work too.
  const all = each ? parallel * speedOf(each) : Number.POSITIVE_INFINITY
  return Math.min(speedOf(full), all, most)
}

/** A worker's time for a second of video, in milliseconds; null if nothing has been measured. */
export function secondTakesMs({ each }: CapacityEstimate): number | null {
  return each && 1000 / speedOf(each)
}

/** How many sessions to accept at once, at least 1. `before` is kept while it is about right. */
export function sessionsFor(estimate: CapacityEstimate, before: number | null): number {
  const speed = sustained(estimate)
  if (speed === null) return before ?? 1
  const sold = SOLD_SHARE * speed + ROUNDING
  if (before !== null && sold >= before - SLACK && sold < before + 1) return before
  return Math.max(1, Math.floor(sold))
}

/**
 * When a segment would be finished, in milliseconds from now; null if not known. Optimistic: with idle workers the busy
 * ones are faster than all of them would be.
 */
export function doneInMs(
  { each, parallel }: CapacityEstimate,
  { others, own, videoMs }: Backlog,
): number | null {
  if (!each) return null
  const takes = 1 / speedOf(each)
  // The last of those before it are still running when it starts.
  const toBeDone = Math.max(0, others.count - parallel + 1) / Math.max(1, others.count)
  const waitMs = (toBeDone * others.videoMs * takes) / parallel
  // Each segment of its own session before it also waits for a worker.
  return waitMs * (own.count + 1) + (own.videoMs + videoMs) * takes
}

/**
 * Whether a segment can be finished in time behind its backlog. True if nothing is before it or nothing has been
 * measured.
 */
export function canBeDone(estimate: CapacityEstimate, backlog: Backlog): boolean {
  if (backlog.own.count === 0 && backlog.others.count < estimate.parallel) return true
  const ms = doneInMs(estimate, backlog)
  return ms === null || ms <= MARGIN * backlog.limitMs
}

function plus(sums: Sums | null, ageMs: number, more: Sums): Sums {
  const weight = Math.exp(-ageMs / MEMORY_MS)
  return {
    workMs: (sums?.workMs ?? 0) * weight + more.workMs,
    videoMs: (sums?.videoMs ?? 0) * weight + more.videoMs,
  }
}

function recovered({ atStart, full }: CapacityEstimate, ageMs: number): Sums | null {
  if (!full || atStart === null) return full
  const weight = Math.exp(-ageMs / RECOVERY_MS)
  return { ...full, videoMs: full.videoMs * weight + full.workMs * atStart * (1 - weight) }
}

/** The sums that an unbroken series of such timings would have. */
function weighing(workMs: number, workPerVideo: number): Sums {
  return { workMs, videoMs: workMs / workPerVideo }
}

function speedOf({ videoMs, workMs }: Sums): number {
  return videoMs / workMs
}
