import { rescale, type TimeBase } from './time-base.ts'

/** Positions on the output grid, `from` included and `to` not, at which one frame is shown. */
export interface GridRange {
  readonly from: bigint
  readonly to: bigint
}

/**
 * Puts frames on the grid of a fixed frame rate: rounded to the nearest position, frames repeated into gaps and
 * dropped where several fall on one position. The grid is anchored at timestamp 0, so segments converted one by one
 * share it and join without a hole (transcoding.md §3.4).
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

  /** Takes the timestamp of the next frame and tells where the frame before it is shown. */
  push(pts: bigint): GridRange {
    const position = rescale(pts, this.#source, this.#grid)
    this.#frames++
    this.#next ??= position
    return this.#advance(position)
  }

  /**
   * Tells where the last frame is shown, which ends at `endPts`. Every input with a frame shows at least one; a lone
   * frame shows exactly once, since its duration is a guess of the demuxer.
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
