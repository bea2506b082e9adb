/**
 * How many sessions a machine takes: what it sustains in real time, known from a trial at the start and from the
 * timings of the segments that it works on. Video and work are both milliseconds, so a speed of 1 is real time.
 */

/** Older timings count less and less, by half in some twenty seconds: long enough to even out a scene, not an hour. */
const MEMORY_MS = 30_000
/**
 * While workers are idle nothing shows what the machine sustains, and who sells little sees little: what is known
 * goes back to what the trial found, by half in some three minutes.
 */
const RECOVERY_MS = 300_000
/** What is sold of what is sustained: arrivals bunch, and streams differ. */
const SOLD_SHARE = 0.8
/** Live timings never raise the capacity above so many times what the trial found: easy streams may end at any time. */
export const MAX_GROWTH = 2
/** So little less than a whole session is one. */
const ROUNDING = 0.1
/** So much less keeps it: a machine on the edge would change its capacity with every segment. */
const SLACK = 0.25
/** From this share of the workers on the machine counts as full. */
const FULL_SHARE = 0.9
/** Slower than this is too late in any case (transcoding.md §10), so a segment that hangs tells no more than this. */
const SLOWEST = 4
/**
 * A segment has to be done in so much of its time. With less than the whole a machine that gets too much does what it
 * takes in; with more it would do everything a little too late.
 */
const MARGIN = 0.9

/** Frame rates between which streams are taken to lie where none is asked for. */
const FEWEST_FPS = 24
const MOST_FPS = 60

/** Time that went into video; what is older has lost weight. */
interface Sums {
  readonly workMs: number
  readonly videoMs: number
}

/** What is known of a machine's speed. */
export interface CapacityEstimate {
  /** How many segments are worked on at the same time. */
  readonly parallel: number
  /** Streams that the trial found sustained in real time; null without a trial. */
  readonly atStart: number | null
  /** Work of one worker, however many others were at work; null before the first timing. */
  readonly each: Sums | null
  /** Work of the whole machine while all its workers were at work; null as long as they never were. */
  readonly full: Sums | null
}

/** How long one segment was worked on. */
export interface SegmentTiming {
  readonly videoMs: number
  /** Without the time that it waited for a worker. */
  readonly workMs: number
  /** False when its time was over before it was done: it would have taken longer. */
  readonly isDone: boolean
  /** How many were worked on meanwhile on average, itself included. */
  readonly together: number
  /** Since the timing before this one. */
  readonly sinceLastMs: number
}

/** What has to be done before a segment, and until when it is wanted. */
export interface Backlog {
  /** Segments of other sessions that are worked on or wait for a worker, and the video that is left of them. */
  readonly others: { readonly count: number; readonly videoMs: number }
  /** Segments of its own session before it, which are done one at a time, and the video that is left of them. */
  readonly own: { readonly count: number; readonly videoMs: number }
  readonly videoMs: number
  readonly limitMs: number
}

/**
 * How long a segment turned out to last, in milliseconds, by the frames that were encoded: exactly where a rendition has
 * a set frame rate, else what was declared within what that many frames can show. Timestamps tell nothing, since they
 * are the stream's own word. Without counted frames what was declared.
 */
export function shownMs(
  declaredMs: number,
  renditions: readonly {
    readonly frames: number | null /** Null for that of the source. */
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

/** Of a machine on which nothing has been measured yet. */
export function unmeasured(parallel: number): CapacityEstimate {
  return { parallel, atStart: null, each: null, full: null }
}

/**
 * What a trial found in which every worker got a segment of `videoMs` at once: how long each took, the longest being
 * the time in which the machine did all of them.
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

/** What is known after one more timing. */
export function withTiming(known: CapacityEstimate, timing: SegmentTiming): CapacityEstimate {
  const { videoMs, together, sinceLastMs } = timing
  if (videoMs <= 0 || timing.workMs <= 0) return known
  const workMs = Math.min(timing.workMs, SLOWEST * videoMs)
  // Begun late and cut short, it may well have been as fast as the others.
  if (!timing.isDone && known.each && workMs * speedOf(known.each) <= videoMs) return known
  const each = plus(known.each, Math.max(0, sinceLastMs), { workMs, videoMs })
  // Its share of the time that passed: those at work together take that time only once.
  const share = workMs / Math.max(1, together)
  const isFull = together >= FULL_SHARE * known.parallel
  const before = isFull ? known.full : recovered(known, Math.max(0, sinceLastMs))
  // With workers idle it only tells what the machine can do at least.
  const isNews = isFull || (before !== null && videoMs / share > speedOf(before))
  const full = isNews ? plus(before, share, { workMs: share, videoMs }) : before
  return { ...known, each, full }
}

/** What is known when work comes after a pause: how fast a worker was before it tells nothing now. */
export function rested(known: CapacityEstimate): CapacityEstimate {
  return { ...known, each: null }
}

/** How many streams the machine sustains in real time, at most MAX_GROWTH times what the trial found; null: not known. */
export function sustained({ atStart, each, full, parallel }: CapacityEstimate): number | null {
  if (!full) return null
  const most = atStart === null ? Number.POSITIVE_INFINITY : MAX_GROWTH * atStart
  // No worker gets faster by others being at work too.
  const all = each ? parallel * speedOf(each) : Number.POSITIVE_INFINITY
  return Math.min(speedOf(full), all, most)
}

/** How long a worker takes for a second of video, in milliseconds; null when nothing has been measured. */
export function secondTakesMs({ each }: CapacityEstimate): number | null {
  return each && 1000 / speedOf(each)
}

/** How many sessions to take at once, at least 1; `before` is kept as long as it is about right. */
export function sessionsFor(estimate: CapacityEstimate, before: number | null): number {
  const speed = sustained(estimate)
  if (speed === null) return before ?? 1
  const sold = SOLD_SHARE * speed + ROUNDING
  if (before !== null && sold >= before - SLACK && sold < before + 1) return before
  return Math.max(1, Math.floor(sold))
}

/**
 * When a segment would be done, in milliseconds from now; null when nothing tells. Rather too soon than too late: with
 * workers idle those at work are faster than all of them would be.
 */
export function doneInMs(
  { each, parallel }: CapacityEstimate,
  { others, own, videoMs }: Backlog,
): number | null {
  if (!each) return null
  const takes = 1 / speedOf(each)
  // The last of those before it are still at work when it begins.
  const toBeDone = Math.max(0, others.count - parallel + 1) / Math.max(1, others.count)
  const waitMs = (toBeDone * others.videoMs * takes) / parallel
  // Each of its own session before it waits for a worker again.
  return waitMs * (own.count + 1) + (own.videoMs + videoMs) * takes
}

/**
 * Whether a segment can be done in time behind what is before it. Yes when nothing is before it, or nothing has been
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

/** As much as timings without a break would weigh. */
function weighing(workMs: number, workPerVideo: number): Sums {
  return { workMs, videoMs: workMs / workPerVideo }
}

function speedOf({ videoMs, workMs }: Sums): number {
  return videoMs / workMs
}
