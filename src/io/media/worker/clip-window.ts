import { AV_NOPTS_VALUE } from 'node-av/constants'
import type { Clip } from '../../../domain/segment.ts'
import { larger, smaller } from '../../../lib/bigints.ts'
import type { GridRange } from './frame-grid.ts'
import { rescale, type TimeBase } from './time-base.ts'

/**
 * The part of a segment that a rendition keeps, both ends included, counted from its first picture. At a set frame rate
 * picture and sound of a clip start at 0; otherwise both keep their times (transcoding.md §3.9).
 */
export class ClipWindow {
  readonly #unit: TimeBase
  readonly #clip: Clip | null
  readonly #restarts: boolean
  #kept: GridRange | null = null
  #first: bigint | null = null

  /** `unit` is the unit of the pictures' times; `restarts` is whether a clip starts at 0. */
  constructor(clip: Clip | null, { unit, restarts }: { unit: TimeBase; restarts: boolean }) {
    this.#clip = clip && (clip.fromMs > 0n || clip.toMs > 0n) ? clip : null
    this.#unit = unit
    this.#restarts = restarts
  }

  /** Takes the grid positions of the next picture and returns the kept ones. */
  cut(shown: GridRange): GridRange {
    if (!this.#clip || shown.from >= shown.to) return shown
    this.#kept ??= keptOf(this.#clip, { start: shown.from, unit: this.#unit })
    const from = larger(shown.from, this.#kept.from)
    const kept = { from, to: larger(from, smaller(shown.to, this.#kept.to)) }
    if (kept.from < kept.to) this.#first ??= kept.from
    return kept
  }

  /** Whether an audio packet is kept: not before the first kept picture. */
  keepsAudio(pts: bigint, unit: TimeBase): boolean {
    if (!this.#kept || pts === AV_NOPTS_VALUE) return true
    if (this.#first === null || pts < rescale(this.#first, this.#unit, unit)) return false
    return pts <= rescale(this.#kept.to - 1n, this.#unit, unit)
  }

  /** How much smaller the times of the clip are than the source's. */
  shift(unit: TimeBase): bigint {
    return this.#clip && this.#restarts ? rescale(this.#first ?? 0n, this.#unit, unit) : 0n
  }
}

function keptOf({ fromMs, toMs }: Clip, { start, unit }: { start: bigint; unit: TimeBase }): GridRange {
  const perSecond = BigInt(unit.den)
  const perUnit = 1000n * BigInt(unit.num)
  return {
    from: start + (fromMs * perSecond + perUnit - 1n) / perUnit,
    to: toMs > 0n ? start + (toMs * perSecond) / perUnit + 1n : ENDLESS,
  }
}

/** Later than any timestamp. */
const ENDLESS = 1n << 63n
