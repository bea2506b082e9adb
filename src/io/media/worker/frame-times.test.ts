import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrameTimes } from './frame-times.ts'

const STEP = 3000n

interface Stated {
  readonly pts: bigint | null
  readonly dts?: bigint | null
  readonly duration?: bigint
}

/** The times assigned to frames, in order. `waiting` counts the held frames after each one. */
function given(stated: readonly Stated[], waiting: number[] = []): bigint[] {
  const times = new FrameTimes<number>()
  const out: bigint[] = []
  const take = (released: Iterable<{ frame: number; pts: bigint }>) => {
    for (const { frame, pts } of released) {
      assert.equal(frame, out.length, 'frames keep their order')
      out.push(pts)
    }
  }
  for (const [frame, { pts, dts = null, duration = STEP }] of stated.entries()) {
    take(times.push(frame, { pts, dts, duration }))
    waiting.push(times.held.length)
  }
  take(times.end())
  assert.equal(times.held.length, 0)
  assert.equal(out.length, stated.length)
  return out
}

const at = (...steps: (number | null)[]): Stated[] =>
  steps.map((step) => ({ pts: step === null ? null : BigInt(step) * STEP }))
const steps = (times: readonly bigint[]): number[] => times.map((time) => Number(time) / Number(STEP))

test('increasing times are kept, however uneven', () => {
  const distances = fc.array(fc.bigInt({ min: 1n, max: 100_000n }), { minLength: 1, maxLength: 80 })
  fc.assert(
    fc.property(distances, fc.bigInt({ min: 1n, max: 10_000n }), (list, duration) => {
      let time = 0n
      const stated = list.map((distance) => {
        time += distance
        return { pts: time, duration }
      })
      assert.deepEqual(
        given(stated),
        stated.map(({ pts }) => pts),
      )
    }),
    { seed: 1 },
  )
})

test('for any stated times, times increase and at most a decoder’s reorder limit is held', () => {
  const time = fc.option(fc.bigInt({ min: -10_000n, max: 200_000n }), { nil: null })
  const stated = fc.record({ pts: time, dts: time, duration: fc.bigInt({ min: 1n, max: 10_000n }) })
  fc.assert(
    fc.property(fc.array(stated, { maxLength: 60 }), (list) => {
      const waiting: number[] = []
      const times = given(list, waiting)
      for (const [index, each] of times.slice(1).entries()) assert.ok(each > times[index]!, String(times))
      assert.ok(waiting.every((count) => count <= 17))
    }),
    { seed: 1, numRuns: 1000 },
  )
})

test('frames with expected times are never held', () => {
  const waiting: number[] = []
  given(at(0, 1, 2, 3, 4), waiting)
  assert.deepEqual(waiting, [1, 0, 0, 0, 0])
})

test('a gap is kept once a decoder cannot reorder across it, or at the end', () => {
  const waiting: number[] = []
  const late = Array.from({ length: 18 }, (_, index) => 100 + index)
  assert.deepEqual(steps(given(at(0, 1, ...late), waiting)), [0, 1, ...late])
  assert.deepEqual(waiting.slice(-3), [16, 17, 0])
  assert.deepEqual(steps(given(at(0, 1, 100))), [0, 1, 100])
})

for (const [what, stated, expected] of [
  ['that runs ahead', [0, 1, 2, 300, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6]],
  ['that runs ahead at the beginning', [300, 1, 2, 3, 4], [0, 1, 2, 3, 4]],
  ['that falls behind', [10, 11, 12, 5, 14, 15], [10, 11, 12, 13, 14, 15]],
  ['that says the same again', [0, 1, 1, 3, 4], [0, 1, 2, 3, 4]],
  ['without a time', [0, null, null, 3, null, 5], [0, 1, 2, 3, 4, 5]],
  ['without a time at the beginning', [null, null, 7, 8], [5, 6, 7, 8]],
  ['without a time at the end', [0, 1, null, null], [0, 1, 2, 3]],
  ['in a run that goes backwards', [0, 1, 6, 5, 4, 3, 2, 7, 8, 9], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ['after a wrap', [100, 101, 102, 0, 1, 2, 3], [100, 101, 102, 103, 104, 105, 106]],
  ['of which none has a time', [null, null, null], [0, 1, 2]],
] as const)
  test(`a frame ${what} is placed among the others`, () =>
    assert.deepEqual(steps(given(at(...stated))), expected))

test('decoding times are used if most times are inconsistent', () => {
  const decoded = [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13]
  const shown = [0, 1, 2, 9, 3, 10, 4, 12, 5, 13, 14, 6]
  const stated = shown.map((pts, index) => ({
    pts: BigInt(pts) * STEP + 600n,
    dts: BigInt(decoded[index]!) * STEP,
  }))
  assert.deepEqual(
    given(stated),
    decoded.map((dts) => BigInt(dts) * STEP + 600n),
  )
})
