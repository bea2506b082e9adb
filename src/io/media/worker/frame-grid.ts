import { rescale, type TimeBase } from './time-base.ts'

/** Positions on the output grid at which one frame is shown: `from` included, `to` excluded. */
export interface GridRange {
  readonly from: bigint
  readonly to: bigint
}

/**
 * Places frames on the grid of a fixed frame rate: rounded to the nearest position, repeated into gaps, and dropped
 * where several have the same position. The grid starts at timestamp 0, so that separately converted segments share it
 * and join without a gap (transcoding.md §3.4).
 */
export class FrameGrid {
  readonly #source: TimeBase
  readonly #grid: TimeBase
  #next: bigint | null = null
  #frames = 0
  #emitted = false

  /** `source` is the unit of the frames' timestamps, `grid` the duration of one output frame. */
  constructor(source: TimeBase, grid: TimeBase) {
    this.#source = source
    this.#grid = grid
  }

  /** Takes the timestamp of the next frame and returns where the previous one is shown. */
  push(pts: bigint): GridRange {
    const position = rescale(pts, this.#source, this.#grid)
    this.#frames++
    this.#next ??= position
    return this.#advance(position)
  }

  /**
   * Returns where the last frame, which ends at `endPts`, is shown. Every input with a frame shows at least one; a
   * single frame is shown exactly once, because its duration is the demuxer's guess.
   */
  end(endPts: bigint): GridRange {
    const from = this.#next
    if (from === null) return { from: 0n, to: 0n }
    if (this.#frames > 1) {
      const range = this.#advance(rescale(endPts, this.#source, this.#grid))
      if (this.#emitted) return range
    }
    return { from, to: from + 1n }
  }

  #advance(to: bigint): GridRange {
    const from = this.#next!
    if (to <= from) return { from, to: from }
    this.#next = to
    this.#emitted = true
    return { from, to }
  }
}
