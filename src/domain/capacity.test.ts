import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  type Backlog,
  type CapacityEstimate,
  canBeDone,
  doneInMs,
  estimateOfTrial,
  MAX_GROWTH,
  rested,
  type SegmentTiming,
  secondTakesMs,
  sessionsFor,
  shownMs,
  sustained,
  unmeasured,
  withTiming,
} from './capacity.ts'

/** Segments of 2 s processed by `together` workers in parallel for this long. */
function steady(
  known: CapacityEstimate,
  { together, workMs, forMs }: { together: number; workMs: number; forMs: number },
): CapacityEstimate {
  let estimate = known
  const timing = { videoMs: 2_000, workMs, isDone: true, together, sinceLastMs: workMs / together }
  for (let ms = 0; ms < forMs; ms += timing.sinceLastMs) estimate = withTiming(estimate, timing)
  return estimate
}

function near(actual: number | null, expected: number, tolerance = 0.02): void {
  assert.ok(actual !== null && Math.abs(actual - expected) <= tolerance * expected, `${actual} ≉ ${expected}`)
}

describe('the trial at the start', () => {
  const cases: {
    took: number[]
    videoMs?: number
    sustains: number
    sessions: number
    secondTakes: number
  }[] = [
    { took: [400, 400], sustains: 5, sessions: 4, secondTakes: 400 },
    { took: [300, 400], sustains: 5, sessions: 4, secondTakes: 350 },
    { took: [170, 170], sustains: 11.76, sessions: 9, secondTakes: 170 },
    { took: [1_000], sustains: 1, sessions: 1, secondTakes: 1_000 },
    { took: [10_000, 10_000], sustains: 0.2, sessions: 1, secondTakes: 10_000 },
    {
      took: Array.from({ length: 64 }, () => 500),
      videoMs: 2_000,
      sustains: 256,
      sessions: 204,
      secondTakes: 250,
    },
    { took: [0], videoMs: 2_000, sustains: 2_000, sessions: 1_600, secondTakes: 0.5 },
  ]
  for (const { secondTakes, sessions, sustains, took, videoMs = 1_000 } of cases) {
    const shown = took.length > 4 ? `${took.length} × ${took[0]}` : took.join(', ')
    it(`with ${videoMs} ms of video in ${shown} ms says ${sessions} sessions`, () => {
      const estimate = estimateOfTrial(videoMs, took)
      near(sustained(estimate), sustains, 0.001)
      near(secondTakesMs(estimate), secondTakes, 0.001)
      assert.equal(sessionsFor(estimate, null), sessions)
    })
  }
})

describe('live timings', () => {
  /** 2 workers, each taking 400 ms for a second of video while both work: 5 streams. */
  const start = estimateOfTrial(1_000, [400, 400])
  const cases: {
    name: string
    together: number
    workMs: number
    forMs: number
    sustains: number
    sessions: number
  }[] = [
    {
      name: 'like the trial change nothing',
      together: 2,
      workMs: 800,
      forMs: 120_000,
      sustains: 5,
      sessions: 4,
    },
    {
      name: 'with both at work, twice as slow, lower it',
      together: 2,
      workMs: 1_600,
      forMs: 300_000,
      sustains: 2.5,
      sessions: 2,
    },
    {
      name: 'that are slow only briefly hardly count',
      together: 2,
      workMs: 1_600,
      forMs: 3_000,
      sustains: 4.7,
      sessions: 4,
    },
    {
      name: 'with both at work, faster, raise it',
      together: 2,
      workMs: 500,
      forMs: 300_000,
      sustains: 8,
      sessions: 6,
    },
    {
      name: 'of a single worker do not lower it',
      together: 1,
      workMs: 700,
      forMs: 300_000,
      sustains: 5,
      sessions: 4,
    },
    {
      name: 'of a single worker set a minimum for the machine',
      together: 1,
      workMs: 250,
      forMs: 300_000,
      sustains: 7.73,
      sessions: 6,
    },
    {
      name: 'of a single slow worker set a maximum for two',
      together: 1,
      workMs: 2_000,
      forMs: 300_000,
      sustains: 2,
      sessions: 1,
    },
    {
      name: 'never raise it above twice the trial’s result',
      together: 2,
      workMs: 10,
      forMs: 300_000,
      sustains: 5 * MAX_GROWTH,
      sessions: 8,
    },
    {
      name: 'never lower it below one session',
      together: 2,
      workMs: 60_000,
      forMs: 600_000,
      sustains: 0.5,
      sessions: 1,
    },
  ]
  for (const { forMs, name, sessions, sustains, together, workMs } of cases) {
    it(name, () => {
      const estimate = steady(start, { together, workMs, forMs })
      near(sustained(estimate), sustains, 0.03)
      assert.equal(sessionsFor(estimate, sessionsFor(start, null)), sessions)
    })
  }

  it('raise it again once the machine is free: at once to what is measured, within minutes to the whole', () => {
    const slow = steady(start, { together: 2, workMs: 8_000, forMs: 300_000 })
    assert.equal(sessionsFor(slow, 4), 1)
    const soon = steady(slow, { together: 1, workMs: 500, forMs: 60_000 })
    const later = steady(soon, { together: 1, workMs: 500, forMs: 900_000 })
    assert.deepEqual([sessionsFor(soon, 1), sessionsFor(later, 1)], [3, 4])
  })

  it('from long ago do not affect the speed of a worker now', () => {
    const slow = steady(start, { together: 2, workMs: 8_000, forMs: 300_000 })
    const later = withTiming(slow, {
      videoMs: 2_000,
      workMs: 800,
      isDone: true,
      together: 1,
      sinceLastMs: 3_600_000,
    })
    near(secondTakesMs(later), 400)
  })

  it('of a segment that ran out of time only show that it takes longer', () => {
    const cut = { videoMs: 2_000, isDone: false, together: 2, sinceLastMs: 400 }
    assert.equal(withTiming(start, { ...cut, workMs: 300 }), start)
    const slower = withTiming(start, { ...cut, workMs: 3_000 })
    assert.ok(secondTakesMs(slower)! > secondTakesMs(start)!)
  })

  it('before a pause do not affect the speed after it, but the capacity is kept', () => {
    const slow = rested(steady(start, { together: 2, workMs: 1_600, forMs: 300_000 }))
    assert.deepEqual([secondTakesMs(slow), sessionsFor(slow, 2)], [null, 2])
  })

  it('change the number of sessions only on a clear difference', () => {
    const estimate = (speed: number) => estimateOfTrial(1_000, [1_000 / speed])
    // 0.8 of them are offered.
    const before: [number, number][] = [
      [6.3, 5],
      [6, 5],
      [5.85, 5],
      [5.75, 4],
      [7.3, 5],
      [7.4, 6],
      [3, 2],
    ]
    for (const [speed, sessions] of before)
      assert.equal(sessionsFor(estimate(speed), 5), sessions, `${speed}`)
  })

  it('of a segment that hung, or that misstates its duration, weigh no more than its duration', () => {
    const hung = withTiming(start, {
      videoMs: 100,
      workMs: 8_000,
      isDone: false,
      together: 1,
      sinceLastMs: 0,
    })
    near(sustained(hung), 5)
    near(secondTakesMs(hung), 400)
  })

  it('without a trial give the speed of one worker, and of the machine once all were at work', () => {
    const none = unmeasured(2)
    assert.deepEqual([sustained(none), secondTakesMs(none), sessionsFor(none, null)], [null, null, 1])
    const alone = steady(none, { together: 1, workMs: 500, forMs: 10_000 })
    assert.equal(sustained(alone), null, 'the combined speed of two is not known')
    near(secondTakesMs(alone), 250)
    near(sustained(steady(alone, { together: 2, workMs: 800, forMs: 300_000 })), 5)
  })

  it('always leave a capacity of at least 1 and at most twice the trial’s', () => {
    const timing: fc.Arbitrary<SegmentTiming> = fc.record({
      videoMs: fc.integer({ min: 0, max: 300_000 }),
      workMs: fc.integer({ min: -10, max: 1_200_000 }),
      isDone: fc.boolean(),
      together: fc.double({ min: 0, max: 100, noNaN: true }),
      sinceLastMs: fc.integer({ min: -1_000, max: 10_000_000 }),
    })
    const property = fc.property(fc.array(timing, { maxLength: 50 }), (timings) => {
      const estimate = timings.reduce(withTiming, start)
      const speed = sustained(estimate)!
      const sessions = sessionsFor(estimate, 4)
      assert.ok(
        speed > 0 && speed <= MAX_GROWTH * start.atStart! && sessions >= 1 && Number.isInteger(sessions),
      )
      assert.deepEqual(timings.reduce(withTiming, start), estimate)
    })
    fc.assert(property)
  })
})

describe('whether a segment can be finished in time', () => {
  const nothing = { count: 0, videoMs: 0 }
  const segments = (count: number, videoMs = 2_000) => ({ count, videoMs: count * videoMs })
  const backlog = (over: Partial<Backlog> = {}): Backlog => ({
    ...{ others: nothing, own: nothing, videoMs: 2_000, limitMs: 8_000 },
    ...over,
  })
  /** 2 workers: 5 streams; half a stream; 64 workers: 256 streams. */
  const fast = estimateOfTrial(1_000, [400, 400])
  const slow = estimateOfTrial(1_000, [4_000, 4_000])
  const large = estimateOfTrial(
    2_000,
    Array.from({ length: 64 }, () => 500),
  )

  const times: [string, CapacityEstimate, Partial<Backlog>, number | null][] = [
    ['nothing measured', unmeasured(2), { others: segments(50) }, null],
    ['nothing before it', fast, {}, 800],
    ['one other, and a worker is free', fast, { others: segments(1) }, 800],
    ['two others of which one must be finished first', fast, { others: segments(2) }, 400 + 800],
    ['eleven others of which ten must be finished first', fast, { others: segments(11) }, 4_000 + 800],
    ['two others that are half finished', fast, { others: { count: 2, videoMs: 2_000 } }, 200 + 800],
    ['four of its own', fast, { own: segments(4) }, 5 * 800],
    ['one of its own, with others before each', fast, { own: segments(1), others: segments(11) }, 2 * 4_800],
    ['as many others as workers on a large machine', large, { others: segments(64) }, 500 / 64 + 500],
  ]
  for (const [name, estimate, over, ms] of times) {
    it(`${name}: ${ms === null ? 'unknown' : `done in ${Math.round(ms)} ms`}`, () => {
      const done = doneInMs(estimate, backlog(over))
      if (ms === null) assert.equal(done, null)
      else near(done, ms, 0.001)
    })
  }

  const answers: [string, CapacityEstimate, Partial<Backlog>, boolean][] = [
    ['nothing measured', unmeasured(2), { own: segments(4), others: segments(200) }, true],
    ['four of its own on a machine that keeps up', fast, { own: segments(4) }, true],
    ['four of its own, 7 s of 8', estimateOfTrial(1_000, [700]), { own: segments(4) }, true],
    ['four of its own, 7.5 s of 8', estimateOfTrial(1_000, [750]), { own: segments(4) }, false],
    ['nothing before it, however slow', slow, {}, true],
    ['a free worker, however slow', slow, { others: segments(1) }, true],
    ['one of its own, too slow for two', slow, { own: segments(1) }, false],
    ['no worker free, and too slow', slow, { others: segments(2) }, false],
    ['sixteen others, 6.8 s of 8', fast, { others: segments(16) }, true],
    ['eighteen others, 7.6 s of 8', fast, { others: segments(18) }, false],
    ['a long segment has more time', fast, { others: segments(25), videoMs: 4_000, limitMs: 16_000 }, true],
    ['64 others on a large machine', large, { others: segments(64) }, true],
  ]
  for (const [name, estimate, over, answer] of answers) {
    it(`${name}: ${answer ? 'yes' : 'no'}`, () => assert.equal(canBeDone(estimate, backlog(over)), answer))
  }
})

describe('the shown duration', () => {
  const cases: [what: string, declaredMs: number, renditions: Parameters<typeof shownMs>[1], ms: number][] = [
    ['is the declared one if no frames were counted', 2_000, [{ frames: null, fps: 30 }], 2_000],
    ['is exact at a set frame rate', 300_000, [{ frames: 60, fps: 30 }], 2_000],
    ['is exact even if a shorter one was declared', 20, [{ frames: 60, fps: 30 }], 2_000],
    ['is the declared one if the source’s frame rate allows it', 2_000, [{ frames: 60, fps: null }], 2_000],
    ['is no longer than the frames can cover', 300_000, [{ frames: 48, fps: null }], 2_000],
    ['is no shorter than that either', 20, [{ frames: 120, fps: null }], 2_000],
    [
      'follows the rendition that shows most',
      20,
      [
        { frames: 15, fps: 30 },
        { frames: 60, fps: 30 },
      ],
      2_000,
    ],
    ['is 0 if nothing is shown', 2_000, [{ frames: 0, fps: 30 }], 0],
  ]
  for (const [what, declaredMs, renditions, ms] of cases) {
    it(what, () => assert.equal(shownMs(declaredMs, renditions), ms))
  }
})
