import type { PictureSize } from './parameter-sets.ts'
import type { PlaylistEntry } from './playlist.ts'
import type { SegmentFacts } from './segment-facts.ts'

/** Bits per second of a rendition, as its segments have them. */
export interface MeasuredRate {
  /** The largest of any segments one behind the other that last about as long as the target duration. */
  readonly peak: number
  readonly average: number
}

/** What players are told of a rendition beside its rate, as far as its segments say. */
export interface VariantFacts {
  /** All codecs, as `CODECS` lists them. */
  readonly codecs: string | null
  readonly frameRate: number | null
  readonly size: PictureSize | null
}

/** Segments count together for the peak if they last between these parts of the target duration (RFC 8216). */
const SHORTEST = 0.5
const LONGEST = 1.5
/** Usual rates lie this close to what times in whole milliseconds measure. */
const SNAP = 0.000_45
/** Rates of television are whole numbers times this. */
const TELEVISION = 1000 / 1001

/** Measures the segments of a window; null where they have no length. */
export function measuredRate(entries: readonly PlaylistEntry[], targetMs: number): MeasuredRate | null {
  const totalMs = entries.reduce((sum, { durationMs }) => sum + durationMs, 0)
  if (totalMs <= 0) return null
  const average = rateOf(
    entries.reduce((sum, { bytes = 0 }) => sum + bytes, 0),
    totalMs,
  )
  let peak = average
  for (let from = 0; from < entries.length; from++) {
    let [bytes, ms] = [0, 0]
    for (const entry of entries.slice(from)) {
      bytes += entry.bytes ?? 0
      ms += entry.durationMs
      if (ms > LONGEST * targetMs) break
      if (ms > 0 && ms >= SHORTEST * targetMs) peak = Math.max(peak, rateOf(bytes, ms))
    }
  }
  return { peak, average }
}

/** What the segments of a window say of their rendition; where they differ, the newest that says it. */
export function variantFacts(entries: readonly PlaylistEntry[]): VariantFacts {
  const facts = entries.flatMap((entry) => entry.facts ?? [])
  const newest = <Value>(of: (facts: SegmentFacts) => Value | null): Value | null => {
    for (const one of facts.toReversed()) {
      const value = of(one)
      if (value !== null) return value
    }
    return null
  }
  const codecs = [newest(({ video }) => video), newest(({ audio }) => audio)].filter((name) => name !== null)
  const isComplete = codecs.length > 0 && facts.every(({ hasOtherCodecs }) => !hasOtherCodecs)
  return {
    codecs: isComplete ? codecs.join(',') : null,
    frameRate: frameRateOf(facts),
    size: newest(({ size }) => size),
  }
}

/** Pictures per second over all segments, to a thousandth; null where no segment has two. */
function frameRateOf(facts: readonly SegmentFacts[]): number | null {
  const several = facts.filter(({ pictures, picturesMs }) => pictures > 1 && picturesMs > 0)
  const steps = several.reduce((sum, { pictures }) => sum + pictures - 1, 0)
  if (steps === 0) return null
  const measured = (1000 * steps) / several.reduce((sum, { picturesMs }) => sum + picturesMs, 0)
  const usual = [Math.round(measured), Math.round(measured / TELEVISION) * TELEVISION]
  const near = usual.find((rate) => Math.abs(rate / measured - 1) <= SNAP)
  return Math.round((near ?? measured) * 1000) / 1000
}

function rateOf(bytes: number, ms: number): number {
  return Math.max(1, Math.ceil((bytes * 8 * 1000) / ms))
}
