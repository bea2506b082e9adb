import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  numberedPictures,
  numbersOf,
  restamped,
  type StatedTimes,
} from '../../../../test/media/damaged-times.ts'
import { ptsOf } from '../../../../test/media/media.ts'
import { make } from '../../../../test/media/renditions.ts'

/** Number of damaged clips; TIMES_RUNS and TIMES_SEED change it and the clips. */
const RUNS = Number(process.env.TIMES_RUNS ?? 15)
const SEED = Number(process.env.TIMES_SEED ?? 1)

const FRAMES = 90
const STEP = 3000n
const KEPT_SHARE = 0.95
/** Frames that a rendition may be longer or shorter, because the last picture's time may be damaged. */
const LENGTH_FRAMES = 3

/** The damaged packets, in decoding order. */
interface Damage {
  readonly kind: 'missing' | 'repeated' | 'reversed' | 'jumping'
  readonly at: number
  readonly count: number
  readonly jumpMs: number
  readonly of: 'both' | 'pts' | 'dts'
}

// The first and last pictures' times define a clip's length.
const damages = fc.array(
  fc.record<Damage>({
    kind: fc.constantFrom('missing', 'repeated', 'reversed', 'jumping'),
    at: fc.integer({ min: 3, max: FRAMES - 12 }),
    count: fc.integer({ min: 1, max: 6 }),
    jumpMs: fc.oneof(fc.integer({ min: -9000, max: -10 }), fc.integer({ min: 10, max: 20_000 })),
    of: fc.constantFrom('both', 'pts', 'dts'),
  }),
  { minLength: 1, maxLength: 5 },
)

function damage(times: StatedTimes[], { at, count, jumpMs, kind, of }: Damage): void {
  const before = times.slice(at - 1, at + count).map((time) => ({ ...time }))
  const put = (index: number, { pts, dts }: StatedTimes) => {
    if (of !== 'dts') times[index]!.pts = pts
    if (of !== 'pts') times[index]!.dts = dts
  }
  for (let index = at; index < at + count; index++) {
    const { pts, dts } = times[index]!
    const moved = (time: bigint | null) => (time === null ? null : time + BigInt(jumpMs) * 90n)
    if (kind === 'missing') put(index, { pts: null, dts: null })
    else if (kind === 'repeated') put(index, before[0]!)
    else if (kind === 'reversed') put(index, before[at + count - index]!)
    else put(index, { pts: moved(pts), dts: moved(dts) })
  }
}

async function shown(source: Uint8Array) {
  const { renditions } = await make(source, [
    { fps: 30, bitrate: 400_000 },
    { fps: 0, bitrate: 400_000 },
  ])
  return await Promise.all(
    renditions.map(async ({ bytes, video }) => ({ numbers: await numbersOf(bytes), pts: ptsOf(video) })),
  )
}

function stepsOf(pts: readonly bigint[]): bigint[] {
  return pts.slice(1).map((at, index) => at - pts[index]!)
}

const distinct = (numbers: readonly number[]) => new Set(numbers).size

test('whatever times are damaged, nearly all pictures are shown, in order, over the same duration', async () => {
  const clips = [0, 2].map((bFrames) => numberedPictures(FRAMES, { bFrames }))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(0, 1), damages, async (clip, list) => {
      const source = restamped(clips[clip]!, (times) => {
        for (const one of list) damage(times, one)
      })
      for (const { numbers, pts } of await shown(source)) {
        assert.deepEqual(
          numbers,
          numbers.toSorted((a, b) => a - b),
          'in order',
        )
        assert.ok(distinct(numbers) >= KEPT_SHARE * FRAMES, `${distinct(numbers)} pictures`)
        for (const step of stepsOf(pts)) assert.ok(step > 0n, 'times grow')
        const frames = Number((pts.at(-1)! - pts[0]!) / STEP) + 1
        assert.ok(Math.abs(frames - FRAMES) <= LENGTH_FRAMES, `${frames} frames long`)
      }
    }),
    { numRuns: RUNS, seed: SEED, endOnFailure: true },
  )
})

/** The damage of a real recording: from one packet on, each has the time of the next, less one step. */
function shiftTimes(times: StatedTimes[]): void {
  for (let index = 12; index < times.length - 1; index++) times[index]!.pts = times[index + 1]!.pts! - STEP
}

test('pictures with the times of the next one are all shown, in even steps', async () => {
  const source = restamped(numberedPictures(FRAMES, { bFrames: 4 }), shiftTimes)
  for (const { numbers, pts } of await shown(source)) {
    assert.equal(distinct(numbers), FRAMES)
    const steps = stepsOf(pts)
    assert.deepEqual(new Set(steps.slice(0, -4)), new Set([STEP]))
    // The last group has no decoding times, so a picture may be shown twice there.
    assert.ok(pts.at(-1)! - pts[0]! <= BigInt(FRAMES) * STEP)
  }
})
