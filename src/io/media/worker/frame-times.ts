import { ascending, larger, smaller } from '../../../lib/bigints.ts'

/** A decoder's information on when a frame is shown; null if unknown. */
export interface StatedTime {
  readonly pts: bigint | null
  /** Decoding time of the packet after which the decoder returned the frame. */
  readonly dts: bigint | null
  /** The duration stated in the stream, or the usual distance between frames; at least 1. */
  readonly duration: bigint
}

/** A frame with its presentation time. */
export interface TimedFrame<T> {
  readonly frame: T
  readonly pts: bigint
  readonly duration: bigint
}

/** The most frames that another may run ahead of: the reorder limit of decoders. */
const MAX_HELD = 17

/** A frame after more than this part of the usual distance may run ahead of the following ones. */
const LATE = { num: 3n, den: 2n }

/** Times that leave each frame in between less than this part of the usual distance are wrong. */
const TIGHT = { num: 2n, den: 3n }

/** Decoding times are used if the times of less than this part of the held frames are consistent. */
const FEW = { num: 3, den: 4 }

/** Fewer distances than this do not determine the usual one. */
const ENOUGH_DISTANCES = 4

/** The longest run of held frames whose times leave room for all frames. */
interface Run {
  readonly count: number
  /** Index of the first frame of the run, and its time. */
  readonly first: number
  readonly start: bigint
}

/**
 * Assigns increasing times to frames (transcoding.md §3.2). Increasing stated times are kept exactly. Otherwise the
 * longest consistent run of them is kept, or of decoding times if that is much longer, and frames in between are spread
 * evenly. A frame that comes late or without a time is held until later ones show whether there is a gap or it ran
 * ahead.
 */
export class FrameTimes<T> {
  #held: (StatedTime & { readonly frame: T })[] = []
  #last: bigint | null = null
  /** Distance of the last two returned frames. */
  #distance = 0n
  /** From a frame's decoding time to its presentation, taken from the last frame with an expected time. */
  #delay: bigint | null = null

  /** Frames that were not returned yet. */
  get held(): readonly T[] {
    return this.#held.map(({ frame }) => frame)
  }

  /** Takes the next frame in presentation order and returns the frames whose times are now known. */
  *push(frame: T, time: StatedTime): Generator<TimedFrame<T>> {
    this.#held.push({ frame, ...time })
    yield* this.#release(MAX_HELD)
  }

  /** Returns the remaining frames. */
  *end(): Generator<TimedFrame<T>> {
    yield* this.#release(0)
  }

  *#release(most: number): Generator<TimedFrame<T>> {
    while (this.#held.length > 0) {
      const isSteady = this.#isSteady(most === 0)
      if (!isSteady && this.#held.length <= most) return
      const pts = isSteady || this.#grows() ? this.#held[0]!.pts! : this.#repaired()
      const { dts, duration, frame } = this.#held.shift()!
      if (isSteady && dts !== null) this.#delay = pts - dts
      this.#distance = this.#last === null ? 0n : pts - this.#last
      this.#last = pts
      yield { frame, pts, duration }
    }
  }

  /** Whether the stated times of all held frames increase. */
  #grows(): boolean {
    let last = this.#last
    return this.#held.every(({ pts }) => {
      const isLater = pts !== null && (last === null || pts > last)
      last = pts
      return isLater
    })
  }

  /** Whether the stated times of all held frames increase and none comes late. */
  #isSteady(isEnd: boolean): boolean {
    // The first frame alone does not show whether it runs ahead.
    if (this.#last === null && this.#held.length === 1 && !isEnd) return false
    let last = this.#last
    let distance = this.#distance
    return (
      this.#grows() &&
      this.#held.every(({ duration, pts }) => {
        const usual = larger(duration, distance)
        distance = last === null ? 0n : pts! - last
        last = pts
        return distance * LATE.den <= usual * LATE.num
      })
    )
  }

  /** The time of the first held frame, derived from those around it. */
  #repaired(): bigint {
    const step = this.#usualDistance()
    const last = this.#last
    const run = this.#bestRun(step)
    if (run?.first === 0) return run.start
    if (last === null) return run === null ? 0n : run.start - BigInt(run.first) * step
    if (run === null) return last + step
    return last + larger(1n, (run.start - last) / BigInt(run.first + 1))
  }

  #bestRun(step: bigint): Run | null {
    const stated = this.#longestRun(
      this.#held.map(({ pts }) => pts),
      step,
    )
    if (stated && stated.count * FEW.den >= this.#held.length * FEW.num) return stated
    const delay =
      this.#delay ??
      mostFrequent(this.#held.map(({ dts, pts }) => (dts === null || pts === null ? null : pts - dts)))
    const decoded = this.#longestRun(
      this.#held.map(({ dts }) => (dts === null ? null : dts + (delay ?? 0n))),
      step,
    )
    return decoded && decoded.count >= (stated?.count ?? 0) ? decoded : stated
  }

  #longestRun(times: readonly (bigint | null)[], step: bigint): Run | null {
    const runs: (Run & { readonly index: number; readonly time: bigint })[] = []
    for (const [index, time] of times.entries()) {
      if (time === null) continue
      const hasRoom = (from: bigint, frames: number) =>
        time > from && (time - from) * TIGHT.den >= step * TIGHT.num * BigInt(frames)
      let run = null
      if (this.#last === null || hasRoom(this.#last, index + 1))
        run = { count: 1, first: index, start: time, index, time }
      for (const before of runs)
        if (hasRoom(before.time, index - before.index) && before.count >= (run?.count ?? 1))
          run = { ...before, count: before.count + 1, index, time }
      if (run) runs.push(run)
    }
    // Of equally long runs the one that ends earlier: the other one needs a gap without other evidence.
    return runs.toSorted((a, b) => b.count - a.count || ascending(a.time, b.time))[0] ?? null
  }

  /** The usual distance of frames: as stated by the stream, or less if most held times suggest it. */
  #usualDistance(): bigint {
    const distances: bigint[] = []
    let before = this.#last === null ? null : { index: -1, pts: this.#last }
    for (const [index, { pts }] of this.#held.entries()) {
      if (pts === null) continue
      if (before && pts > before.pts) distances.push((pts - before.pts) / BigInt(index - before.index))
      before = { index, pts }
    }
    const stated = this.#held[0]!.duration
    if (distances.length < ENOUGH_DISTANCES) return stated
    // Frames that run ahead enlarge many distances and reduce few.
    const seen = larger(1n, distances.sort(ascending)[distances.length >> 2]!)
    return stated > 1n ? smaller(stated, seen) : seen
  }
}

function mostFrequent(values: readonly (bigint | null)[]): bigint | null {
  const counts = new Map<bigint, number>()
  for (const value of values) if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null
}
