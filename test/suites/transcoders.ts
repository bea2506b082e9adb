import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { segmentLimitMs } from '../../src/domain/segment.ts'
import type { AdmittedJob, TranscodeOutput } from '../../src/services/transcoding/transcoder.ts'
import { BAD_TEXT, type Fate, fatedJob } from '../fakes/held-engine.ts'
import { eventually } from '../tools/until.ts'

/** Declared duration of the segments in this suite, and the time in which they must be done. */
const DURATION_MS = 2_000
const LIMIT_MS = segmentLimitMs(DURATION_MS)
/** A shorter segment, whose limit is earlier. */
const SHORT_MS = 1_000

/** A transcoder with room for one session and work that a test controls (test/fakes/held-engine.ts). */
export interface TranscoderWorld {
  transcode(job: AdmittedJob, signal: AbortSignal): Promise<TranscodeOutput>
  sessionEnded(sessionId: string): void
  /** Ends the work on all segments that are held and have begun. */
  release(): void
  /** Lets time pass. */
  pass(ms: number): Promise<void>
  /** Segments that are worked on now. */
  working(): number
  /** Sessions for which a place is kept. */
  sessions(): number
}

/** Opens a world that is closed when its test ends. */
export type OpenTranscoder = (t: TestContext) => Promise<TranscoderWorld>

/** A world with what a test asks it for: `ask` gives a segment, `begun` names those whose work has begun. */
async function asking(t: TestContext, open: OpenTranscoder) {
  const world = await open(t)
  const begun: string[] = []
  const settled: string[] = []
  const ask = (name: string, fate: Fate, options: { durationMs?: number; signal?: AbortSignal } = {}) => {
    const { durationMs = DURATION_MS, signal = new AbortController().signal } = options
    const onBegin = () => void begun.push(name)
    const job = fatedJob(name, fate, durationMs, onBegin)
    const result = world.transcode(job, signal)
    result.then(
      () => settled.push(name),
      () => settled.push(name),
    )
    return result
  }
  const isWorking = (count: number) =>
    eventually(`${count} segments are worked on`, () => world.working() === count)
  const hasBegun = (name: string) => eventually(`${name} has begun`, () => begun.includes(name))
  return { ...world, ask, begun, settled, isWorking, hasBegun }
}

/** What every transcoder must show. `lateText`: what it says of a segment whose deadline passes in work. */
export function testTranscoder(name: string, lateText: string, open: OpenTranscoder): void {
  test(`${name}: a segment is done, and its start is told once`, async (t) => {
    const w = await asking(t, open)
    const { decodedPixels, renditions } = await w.ask('a0', 'ok')
    assert.equal(renditions.length, 1)
    assert.ok(decodedPixels > 0n && renditions[0]!.bytes.length > 0)
    assert.deepEqual(w.begun, ['a0'])
  })

  test(`${name}: the segments of a session begin in the order in which they are given`, async (t) => {
    const w = await asking(t, open)
    const names = ['a0', 'a1', 'a2', 'a3', 'a4']
    await Promise.all(names.map((name) => w.ask(name, 'ok')))
    assert.deepEqual(w.begun, names)
  })

  test(`${name}: a segment that is not done at its deadline is refused then, and the next is done`, async (t) => {
    const w = await asking(t, open)
    const late = assert.rejects(w.ask('a0', 'held'), { message: lateText })
    await w.isWorking(1)
    await w.pass(LIMIT_MS - 1)
    assert.deepEqual(w.settled, [])
    await w.pass(1)
    await late
    w.release()
    await w.isWorking(0)
    await w.ask('a1', 'ok')
    assert.deepEqual(w.begun, ['a0', 'a1'])
  })

  test(`${name}: a segment that fails is refused in its own words, and leaves room for its session and others`, async (t) => {
    const w = await asking(t, open)
    await assert.rejects(w.ask('a0', 'bad'), { message: BAD_TEXT })
    await w.ask('a1', 'ok')
    await assert.rejects(w.ask('a2', 'bad'), { message: BAD_TEXT })
    await w.ask('b0', 'ok')
    assert.deepEqual(w.begun, ['a0', 'a1', 'a2', 'b0'])
  })

  test(`${name}: a session that has ended frees its place`, async (t) => {
    const w = await asking(t, open)
    await w.ask('a0', 'ok')
    assert.equal(w.sessions(), 1)
    w.sessionEnded('unknown')
    await w.pass(0)
    assert.equal(w.sessions(), 1)
    w.sessionEnded('a')
    await eventually('nothing is kept of the session', () => w.sessions() === 0)
    await w.ask('b0', 'ok')
    assert.equal(w.sessions(), 1)
  })
}

/** What a transcoder must show whose segments are called off by a signal. */
export function testCallingOff(name: string, open: OpenTranscoder): void {
  test(`${name}: a segment that is called off ends, and the next is done`, async (t) => {
    const w = await asking(t, open)
    await assert.rejects(w.ask('a0', 'ok', { signal: AbortSignal.abort() }), { name: 'AbortError' })
    const abort = new AbortController()
    const off = assert.rejects(w.ask('a1', 'held', { signal: abort.signal }), { name: 'AbortError' })
    await w.isWorking(1)
    abort.abort()
    await off
    await w.isWorking(0)
    await w.ask('a2', 'ok')
    assert.deepEqual(w.begun, ['a1', 'a2'])
  })
}

/**
 * What a transcoder must show that keeps the turns of a session by itself, and does two sessions at once. `lateText`: as
 * above; `busyText`: what it says of a segment whose deadline passes before its turn.
 */
export function testTurns(
  name: string,
  { busyText, lateText }: { readonly busyText: string; readonly lateText: string },
  open: OpenTranscoder,
): void {
  test(`${name}: never two segments of a session at once, other sessions meanwhile`, async (t) => {
    const w = await asking(t, open)
    const ofSession = [w.ask('a0', 'held'), w.ask('a1', 'ok')]
    await w.ask('b0', 'ok')
    await w.pass(LIMIT_MS / 2)
    assert.deepEqual(w.begun, ['a0', 'b0'])
    w.release()
    await Promise.all(ofSession)
    assert.deepEqual(w.begun, ['a0', 'b0', 'a1'])
  })

  test(`${name}: a segment that fails lets the next of its session begin`, async (t) => {
    const w = await asking(t, open)
    const bad = assert.rejects(w.ask('a0', 'bad'), { message: BAD_TEXT })
    await Promise.all([bad, w.ask('a1', 'ok')])
    assert.deepEqual(w.begun, ['a0', 'a1'])
  })

  test(`${name}: a segment whose turn does not come in time is refused and never begins`, async (t) => {
    const w = await asking(t, open)
    const late = assert.rejects(w.ask('a0', 'held'), { message: lateText })
    const busy = assert.rejects(w.ask('a1', 'ok', { durationMs: SHORT_MS }), { message: busyText })
    await w.isWorking(1)
    await w.pass(segmentLimitMs(SHORT_MS))
    await w.pass(LIMIT_MS - segmentLimitMs(SHORT_MS))
    await Promise.all([late, busy])
    assert.deepEqual(w.begun, ['a0'])
  })

  test(`${name}: waiting for its turn counts against a segment's deadline`, async (t) => {
    const w = await asking(t, open)
    const first = w.ask('a0', 'held')
    const late = assert.rejects(w.ask('a1', 'held'), { message: lateText })
    await w.hasBegun('a0')
    await w.pass(3_000)
    w.release()
    await first
    await w.hasBegun('a1')
    await w.pass(LIMIT_MS - 3_001)
    assert.deepEqual(w.settled, ['a0'])
    await w.pass(1)
    await late
  })
}
