import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ManualClock, settle } from '../../lib/clock.ts'
import { NodeError } from '../../lib/errors.ts'
import type { TranscodeJob } from '../../services/transcoding/transcoder.ts'
import type { SegmentTiming } from './report.ts'
import { type BenchNeeds, type BenchWork, runSessions } from './sessions.ts'

const START_MS = 1_700_000_000_000

/** A transcoder on a manual clock: each segment takes as long as its path says, in ms. */
function benchOf(changes: Partial<BenchWork>, failsOn = '') {
  const clock = new ManualClock(START_MS)
  const work: BenchWork = {
    ...{ segments: [], sessions: 1, sessionDelayMs: 300, isLive: true, profiles: [], provider: 'p' },
    ...{ mpeg7Sign: false, round: 0, ...changes },
  }
  const jobs: TranscodeJob[] = []
  const kept: string[] = []
  const done: SegmentTiming[] = []
  const needs: BenchNeeds = {
    transcoder: {
      transcode: async (job, signal) => {
        jobs.push(job)
        const path = Buffer.from(job.source).toString()
        await clock.sleep(Number(path), signal)
        if (path === failsOn) throw new NodeError('media', 'No keyframes in input')
        const rendition = { bytes: job.source, pixels: 1n, frames: 60, perceptualHash: null }
        return { decodedPixels: 1n, renditions: [rendition, { ...rendition, frames: 7 }] }
      },
    },
    read: async (path) => Buffer.from(path),
    keep: async (_, session, segment) => void kept.push(`${session}/${segment}`),
    done: (timing) => done.push(timing),
    clock,
  }
  return { clock, jobs, kept, done, run: (signal: AbortSignal) => runSessions(work, needs, signal) }
}

const segmentsOf = (...tookMs: number[]) => tookMs.map((ms) => ({ path: String(ms), durationMs: 2000 }))
const never = new AbortController().signal
const seen = (timings: readonly SegmentTiming[]) =>
  timings.map(({ session, segment, endMs, tookMs }) => [session, segment, endMs - START_MS, tookMs])

suite('the sessions of the bench', () => {
  test('a live session takes the next segment when the one before would have been played', async () => {
    const bench = benchOf({ segments: segmentsOf(500, 2500, 100), round: 4 })
    const running = bench.run(never)
    await bench.clock.wind(10_000)
    const timings = await running
    assert.deepEqual(seen(timings), [
      [0, 0, 500, 500],
      [0, 1, 4500, 2500],
      [0, 2, 4600, 100],
    ])
    assert.deepEqual(timings, bench.done)
    assert.deepEqual(bench.kept, ['0/0', '0/1', '0/2'])
    assert.equal(timings[0]?.frames, 60)
    assert.ok(bench.jobs.every(({ sessionId, durationMs }) => sessionId === '4/0' && durationMs === 2000))
  })

  test('other sessions take it at once; sessions start one after the other and do not wait for each other', async () => {
    const bench = benchOf({ segments: segmentsOf(500, 400), sessions: 3, isLive: false })
    const running = bench.run(never)
    await bench.clock.wind(10_000)
    assert.deepEqual(seen(await running), [
      [0, 0, 500, 500],
      [1, 0, 800, 500],
      [0, 1, 900, 400],
      [2, 0, 1100, 500],
      [1, 1, 1200, 400],
      [2, 1, 1500, 400],
    ])
    assert.deepEqual(new Set(bench.jobs.map(({ sessionId }) => sessionId)), new Set(['0/0', '0/1', '0/2']))
  })

  test('the first segment that fails ends all sessions and is named', async () => {
    const bench = benchOf({ segments: segmentsOf(500, 700), sessions: 2, isLive: false }, '700')
    const running = bench.run(never)
    running.catch(() => {})
    await bench.clock.wind(1300)
    await assert.rejects(running, {
      code: 'bench-failed',
      message: 'segment 1 of session 0 (700) failed: No keyframes in input',
    })
    assert.deepEqual(bench.kept, ['0/0', '1/0'])
    assert.equal(bench.clock.sleepers, 0)
  })

  test('a file that cannot be read fails its segment too', async () => {
    const clock = new ManualClock()
    const needs = { ...failing, clock }
    const work = { ...workOf, segments: segmentsOf(1) }
    await assert.rejects(runSessions(work, needs, never), {
      message: 'segment 0 of session 0 (1) failed: the file is gone',
    })
  })

  test('aborting the signal ends all sessions', async () => {
    const stop = new AbortController()
    const bench = benchOf({ segments: segmentsOf(500), sessions: 2 })
    const running = bench.run(stop.signal)
    running.catch(() => {})
    await bench.clock.wind(100)
    stop.abort()
    await settle()
    await assert.rejects(running, { name: 'AbortError' })
    assert.equal(bench.clock.sleepers, 0)
  })
})

const workOf: BenchWork = {
  ...{ segments: [], sessions: 1, sessionDelayMs: 0, isLive: false, profiles: [], provider: 'p' },
  ...{ mpeg7Sign: false, round: 0 },
}
const failing = {
  transcoder: { transcode: () => Promise.reject(new Error('is not reached')) },
  read: () => Promise.reject(new NodeError('bench-failed', 'the file is gone')),
  keep: () => Promise.resolve(),
  done: () => {},
}
