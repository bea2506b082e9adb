import { TICKS_PER_MS, ticksBetween } from './mpegts-clock.ts'
import type { ClockSpan, SegmentFacts } from './segment-facts.ts'

/** Where a segment lies in its stream, the same for its source and all renditions. */
export interface Place {
  /** When it began, in ms since the Unix epoch; null for one that came when the time between its neighbours was given away. */
  readonly startsAtMs: number | null
  /** How many times the source had jumped before. */
  readonly jumps: number
  readonly durationMs: number
}

/** A segment of the source. */
export interface SourceSegment {
  readonly sequence: bigint
  readonly durationMs: number
  /** When all of it was there. */
  readonly arrivedAtMs: number
  readonly facts: SegmentFacts | null
}

type Placed = Omit<SourceSegment, 'arrivedAtMs'> & { readonly place: Place }

/** The newest segments of a stream by number. */
export type SourceTimeline = readonly Placed[]

/** More than are in work at once, and than any playlist shows. */
const MAX_KNOWN = 128
/** A segment that arrives this much later than it follows from the one before begins a new count of the time. */
const LATE_MS = 10_000
/** Segments join where their times differ by no more, beside the length of a frame. */
const TOLERANCE_MS = 500

/**
 * Adds a segment: it begins where the one before ends, or when it was made where that is much later, and it is behind a
 * jump where its clock, its tracks or its size do not go on. A number that is known keeps its place.
 */
export function placeSegment(timeline: SourceTimeline, segment: SourceSegment): SourceTimeline {
  if (placeOf(timeline, segment.sequence)) return timeline
  const { arrivedAtMs, ...kept } = segment
  const at = timeline.findLastIndex(({ sequence }) => sequence < segment.sequence) + 1
  const [before, after] = [timeline[at - 1], timeline[at]]
  const timed = timeline.slice(0, at).findLast(({ place }) => place.startsAtMs !== null)
  const place = {
    durationMs: segment.durationMs,
    startsAtMs: startOf(segment, timed, after),
    jumps: jumpsBefore(segment, before, after),
  }
  return timeline.toSpliced(at, 0, { ...kept, place }).slice(-MAX_KNOWN)
}

/** Where the segment with a number lies; null where it is not known, or not any more. */
export function placeOf(timeline: SourceTimeline, sequence: bigint): Place | null {
  return timeline.findLast((known) => known.sequence === sequence)?.place ?? null
}

/** `before`: the last one before it whose time is known. */
function startOf(
  segment: SourceSegment,
  before: Placed | undefined,
  after: Placed | undefined,
): number | null {
  const { arrivedAtMs, durationMs } = segment
  const madeAtMs = arrivedAtMs - durationMs
  const nextAtMs = after?.place.startsAtMs ?? null
  if (!before) return nextAtMs === null ? madeAtMs : nextAtMs - durationMs
  const followsAtMs = before.place.startsAtMs! + before.durationMs
  if (after) return nextAtMs === null || nextAtMs - followsAtMs >= durationMs ? followsAtMs : null
  const isNext = segment.sequence === before.sequence + 1n
  return Math.max(followsAtMs, isNext && madeAtMs - followsAtMs < LATE_MS ? followsAtMs : madeAtMs)
}

/** What players were told of the segments around it holds: it is never behind more jumps than those after it. */
function jumpsBefore(segment: SourceSegment, before: Placed | undefined, after: Placed | undefined): number {
  if (!before) return after?.place.jumps ?? 0
  const jumps = before.place.jumps + (isJump(before, segment) ? 1 : 0)
  return Math.min(jumps, after?.place.jumps ?? jumps)
}

function isJump(before: Placed, segment: SourceSegment): boolean {
  const [one, other] = [before.facts, segment.facts]
  if (!one || !other) return false
  const isOtherKind =
    one.video !== other.video ||
    one.audio !== other.audio ||
    one.size?.width !== other.size?.width ||
    one.size?.height !== other.size?.height
  return isOtherKind || (one.span !== null && other.span !== null && !joins(one.span, other.span, before))
}

function joins(before: ClockSpan, next: ClockSpan, { durationMs, facts }: Placed): boolean {
  // A single frame lasts as long as the segment is said to.
  const isSingle = before.end === before.start
  const end = isSingle ? before.start + durationMs * TICKS_PER_MS : before.end
  const frameMs = facts && facts.pictures > 1 ? facts.picturesMs / (facts.pictures - 1) : 0
  return Math.abs(ticksBetween(end, next.start)) <= (TOLERANCE_MS + frameMs) * TICKS_PER_MS
}
