import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
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

test('of frames at one position the last is shown', () => {
  assert.deepEqual(shown([0n, 1000n, 1400n, 3000n], 6000n, 30), [
    [2, 0n],
    [3, 1n],
  ])
})

test('a lone frame is shown once, whatever its duration', () => {
  assert.deepEqual(shown([900n], 90_900n, 30), [[0, 0n]])
})

test('nothing is shown of nothing', () => {
  assert.deepEqual(shown([], 90_000n, 30), [])
})

// Three frames of the fastest rate outlast a position of the slowest: a shorter part shows a frame of its own.
test('segments cut anywhere join: no position twice, none left out', () => {
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
