import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AV_BUFFERSRC_FLAG_KEEP_REF, AV_PIX_FMT_GRAY8 } from 'node-av/constants'
import { FilterGraph, Frame } from 'node-av/lib'
import { check, isDrained } from './ffmpeg.ts'
import { FrameGrid } from './frame-grid.ts'

const UNIT = { num: 1, den: 90_000 }

/** Where each frame is shown, as a list of [frame, position]. */
function shown(pts: readonly bigint[], end: bigint, fps: number): [number, bigint][] {
  const grid = new FrameGrid(UNIT, { num: 1, den: fps })
  const result: [number, bigint][] = []
  for (const [index, at] of [...pts, end].entries()) {
    const range = index < pts.length ? grid.push(at) : grid.end(at)
    for (let position = range.from; position < range.to; position++) result.push([index - 1, position])
  }
  return result
}

test('a frame is shown at the nearest position and repeated until the next one', () => {
  assert.deepEqual(shown([90_000n, 96_100n, 99_000n], 102_000n, 30), [
    [0, 30n],
    [0, 31n],
    [1, 32n],
    [2, 33n],
  ])
})

test('of several frames at one position the last is shown', () => {
  assert.deepEqual(shown([0n, 1000n, 1400n, 3000n], 6000n, 30), [
    [2, 0n],
    [3, 1n],
  ])
})

test('a single frame is shown once, whatever its duration', () => {
  assert.deepEqual(shown([900n], 90_900n, 30), [[0, 0n]])
})

test('no frames give no positions', () => {
  assert.deepEqual(shown([], 90_000n, 30), [])
})

// Three frames of the fastest rate last longer than a position of the slowest; a shorter part shows a frame of its own.
test('segments cut anywhere join: no position is repeated or missing', () => {
  const rate = fc.constantFrom(24, 25, 30, 50, 60)
  fc.assert(
    fc.property(
      rate,
      rate,
      fc.array(fc.integer({ min: 3, max: 70 }), { minLength: 2 }),
      (from, to, sizes) => {
        const step = BigInt(90_000 / from)
        const positions: bigint[] = []
        let start = 0n
        for (const size of sizes) {
          const pts = Array.from({ length: size }, (_, index) => start + BigInt(index) * step)
          start += BigInt(size) * step
          positions.push(...shown(pts, start, to).map(([, position]) => position))
        }
        for (const [index, position] of positions.slice(1).entries())
          assert.equal(position, positions[index]! + 1n)
      },
    ),
  )
})

test('positions match FFmpeg’s own filter, however uneven the times', () => {
  const steps = fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 2, maxLength: 40 })
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 0, max: 1_000_000 }),
      fc.constantFrom(1, 15, 24, 25, 30, 60, 123),
      (list, start, fps) => {
        const pts = [BigInt(start)]
        for (const step of list) pts.push(pts.at(-1)! + BigInt(step))
        const duration = 3000n
        const expected = filtered(pts, duration, fps)
        const ours = shown(pts, pts.at(-1)! + duration, fps)
        // The filter may show nothing of a short segment; neither peers nor this node allow that.
        if (expected.length > 0) assert.deepEqual(ours, expected)
        else assert.equal(ours.length, 1)
      },
    ),
    { numRuns: 300 },
  )
})

/** Where FFmpeg's filter shows each frame; frames are identified by their brightness. */
function filtered(pts: readonly bigint[], duration: bigint, fps: number): [number, bigint][] {
  using graph = new FilterGraph()
  graph.alloc()
  const source = 'buffer@in=video_size=16x16:pix_fmt=gray:time_base=1/90000'
  check(graph.parsePtr(`${source},fps=fps=${fps},buffersink@out`, null, null))
  check(graph.configSync())
  using frame = new Frame()
  frame.alloc()
  const list: [number, bigint][] = []
  const drain = () => {
    while (!isDrained(graph.getFilter('buffersink@out')!.buffersinkGetFrameSync(frame))) {
      list.push([frame.data![0]![0]!, frame.pts])
      frame.unref()
    }
  }
  for (const [index, at] of pts.entries()) {
    using made = new Frame()
    made.alloc()
    made.width = 16
    made.height = 16
    made.format = AV_PIX_FMT_GRAY8
    check(made.getBuffer())
    made.data![0]!.fill(index)
    made.pts = at
    made.duration = duration
    check(graph.getFilter('buffer@in')!.buffersrcAddFrameSync(made, AV_BUFFERSRC_FLAG_KEEP_REF))
    drain()
  }
  check(graph.getFilter('buffer@in')!.buffersrcAddFrameSync(null))
  drain()
  return list
}
