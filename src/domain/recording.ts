import { ascending, larger, smaller } from '../lib/bigints.ts'
import type { IndexedSegment, RecordedTrack, RecordingIndex } from './recording-index.ts'

/** An index with where it lies. */
export interface IndexFile {
  /** The folder of the node that wrote it, in the folder of the session. */
  readonly folder: string
  readonly startedNs: bigint
  readonly index: RecordingIndex
}

/** A recorded segment, by the path of its file in the store. */
export interface RecordedSegment {
  readonly path: string
  readonly sequence: bigint
  readonly durationMs: number
}

/** Segments that follow one another without a break, by the name of their track. */
export interface RecordedRun {
  readonly tracks: readonly RecordedTrack[]
  readonly segments: ReadonlyMap<string, readonly RecordedSegment[]>
}

interface Span {
  readonly startedNs: bigint
  readonly run: RecordedRun
  readonly first: bigint
  readonly last: bigint
}

/**
 * Numbers that two gateways may both have: the segments in flight when a publisher went from one to the other. A live
 * window has no more.
 */
const MAX_SHARED = 6n

/**
 * What was recorded under one session's name, by whichever nodes. Numbers that go on, or that several nodes took in turns,
 * are one run; numbers that begin again are another publication, and follow it.
 */
export function runsOf(session: string, files: readonly IndexFile[]): RecordedRun[] {
  const spans: Span[] = []
  for (const file of [...files].sort(byStart)) {
    const span = spanOf(session, file)
    if (!span) continue
    const before = spans.at(-1)
    if (before && belongTogether(before, span)) spans[spans.length - 1] = merged(before, span)
    else spans.push(span)
  }
  return spans.map(({ run }) => run)
}

/** All tracks of these runs in the order in which they appear. */
export function tracksOf(runs: readonly RecordedRun[]): RecordedTrack[] {
  const tracks = new Map<string, RecordedTrack>()
  for (const run of runs)
    for (const track of run.tracks) if (!tracks.has(track.name)) tracks.set(track.name, track)
  return [...tracks.values()]
}

function byStart(a: IndexFile, b: IndexFile): number {
  return a.startedNs < b.startedNs ? -1 : a.startedNs > b.startedNs ? 1 : a.folder < b.folder ? -1 : 1
}

function spanOf(session: string, { folder, index, startedNs }: IndexFile): Span | null {
  const segments = new Map<string, RecordedSegment[]>()
  for (const [track, listed] of index.segments) {
    segments.set(track, sorted(listed.map((segment) => placed(`${session}/${folder}/${track}`, segment))))
  }
  const sequences = [...segments.values()].flatMap((listed) => listed.map(({ sequence }) => sequence))
  if (sequences.length === 0) return null
  const inOrder = sequences.sort(ascending)
  const [first, last] = [inOrder[0]!, inOrder.at(-1)!]
  return { startedNs, first, last, run: { tracks: index.tracks, segments } }
}

function placed(folder: string, { durationMs, file, sequence }: IndexedSegment): RecordedSegment {
  return { path: `${folder}/${file}`, sequence, durationMs }
}

/** In order, each number once: the first, since another of that number in the same folder is the same file. */
function sorted(segments: readonly RecordedSegment[]): RecordedSegment[] {
  const byNumber = new Map<bigint, RecordedSegment>()
  for (const segment of segments) if (!byNumber.has(segment.sequence)) byNumber.set(segment.sequence, segment)
  return [...byNumber.values()].sort((a, b) => (a.sequence < b.sequence ? -1 : 1))
}

function belongTogether(before: Span, after: Span): boolean {
  if (after.first > before.first && after.last >= before.last && after.first + MAX_SHARED > before.last)
    return true
  // Nodes that took turns: none has a number of the other's.
  const numbers = new Set(sequencesOf(before))
  const isLater = after.last > before.first
  return isLater && sequencesOf(after).every((sequence) => !numbers.has(sequence))
}

function sequencesOf({ run }: Span): bigint[] {
  return [...run.segments.values()].flatMap((listed) => listed.map(({ sequence }) => sequence))
}

function merged(a: Span, b: Span): Span {
  const segments = new Map<string, readonly RecordedSegment[]>(a.run.segments)
  for (const [track, listed] of b.run.segments) {
    segments.set(track, sorted([...(segments.get(track) ?? []), ...listed]))
  }
  return {
    startedNs: a.startedNs,
    first: smaller(a.first, b.first),
    last: larger(a.last, b.last),
    run: { tracks: tracksOf([a.run, b.run]), segments },
  }
}
