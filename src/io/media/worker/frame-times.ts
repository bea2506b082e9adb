import { ascending, larger, smaller } from '../../../lib/bigints.ts'

/** What a decoder says of when a frame is shown; null where it does not know. */
export interface StatedTime {
  readonly pts: bigint | null
  /** Decoding time of the packet that made the decoder give the frame out. */
  readonly dts: bigint | null
  /** How long the frame is shown as far as the stream says, or the usual distance between frames; at least 1. */
  readonly duration: bigint
}

/** A frame and the time at which it is shown. */
export interface TimedFrame<T> {
  readonly frame: T
  readonly pts: bigint
  readonly duration: bigint
}

/** A frame may run ahead of as many as a decoder reorders at most. */
const MAX_HELD = 17

/** A frame that comes after more than this part of the usual distance may run ahead of those that follow. */
const LATE = { num: 3n, den: 2n }

/** Times that leave each frame in between less than this part of the usual distance are not believed. */
const TIGHT = { num: 2n, den: 3n }

/** Decoding times are gone by where the times of less than this part of the frames held make sense. */
const FEW = { num: 3, den: 4 }

/** Fewer distances than this say nothing of the usual one. */
const ENOUGH_DISTANCES = 4

/** Times that leave room for all frames, the longest such run of those held. */
interface Run {
  readonly count: number
  /** Index of the first frame of the run, and its time. */
  readonly first: number
  readonly start: bigint
}

/**
 * Gives frames times that grow (transcoding.md §3.2). Stated times that grow are kept to the tick. Otherwise the longest
 * run of them that leaves room for every frame is kept, or of decoding times if that is much longer, and the frames in
 * between are spread evenly. A frame that comes late or without a time is held until those after it show whether there
 * is a gap or it ran ahead.
 */
export class FrameTimes<T> {
  #held: (StatedTime & { readonly frame: T })[] = []
  #last: bigint | null = null
  /** Distance of the last two frames given out. */
  #distance = 0n
  /** From a frame's decoding time to when it is shown, by the last frame whose time was as expected. */
  #delay: bigint | null = null

  /** Frames that were not given out. */
  get held(): readonly T[] {
    return this.#held.map(({ frame }) => frame)
  }

  /** Takes the next frame in the order of showing; returns the frames whose times have become known. */
  *push(frame: T, time: StatedTime): Generator<TimedFrame<T>> {
    this.#held.push({ frame, ...time })
    yield* this.#release(MAX_HELD)
  }

  /** The frames that are left. */
  *end(): Generator<TimedFrame<T>> {
    yield* this.#release(0)
  }

  *#release(most: number): Generator<TimedFrame<T>> {
    while (this.#held.length > 0) {
      const isSteady = this.#isSteady(most === 0)
      if (!isSteady && this.#held.length <= most) return
      const pts = isSteady || this.#grows() ? this.#held[0]!.pts! : this.#mended()
      const { dts, duration, frame } = this.#held.shift()!
      if (isSteady && dts !== null) this.#delay = pts - dts
      this.#distance = this.#last === null ? 0n : pts - this.#last
      this.#last = pts
      yield { frame, pts, duration }
    }
  }

  /** Whether the stated times of all frames held grow. */
  #grows(): boolean {
    let last = this.#last
    return this.#held.every(({ pts }) => {
      const isLater = pts !== null && (last === null || pts > last)
      last = pts
      return isLater
    })
  }

  /** Whether the stated times of all frames held grow, and none comes late. */
  #isSteady(isEnd: boolean): boolean {
    // Nothing says of the first frame alone whether it runs ahead.
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

  /** The time of the first frame held, by those around it. */
  #mended(): bigint {
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
    // Of runs equally long the one that ends earlier: the other needs a gap that nothing else shows.
    return runs.toSorted((a, b) => b.count - a.count || ascending(a.time, b.time))[0] ?? null
  }

  /** The distance that frames usually have: what the stream states, or less where most times held say so. */
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
    // Frames that run ahead make many distances larger, and few smaller.
    const seen = larger(1n, distances.sort(ascending)[distances.length >> 2]!)
    return stated > 1n ? smaller(stated, seen) : seen
  }
}

function mostFrequent(values: readonly (bigint | null)[]): bigint | null {
  const counts = new Map<bigint, number>()
  for (const value of values) if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null
}
