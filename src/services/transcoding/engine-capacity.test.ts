import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { FakeEngine } from '../../../test/fakes/engine.ts'
import { jobOf, pass, rest } from '../../../test/fakes/transcoder.ts'
import { presetNamed, withFormat } from '../../domain/rendition.ts'
import { MediaEngine } from '../../io/media/engine/engine.ts'
import { patternSegment } from '../../io/media/engine/pattern.ts'
import { ManualClock, systemClock } from '../../lib/clock.ts'
import { isAbort } from '../../lib/errors.ts'
import { type Fields, type Log, silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { EngineCapacity } from './engine-capacity.ts'
import type { AdmittedJob } from './transcoder.ts'

const LADDER = [presetNamed('P240p30fps16x9')!, presetNamed('P360p30fps16x9')!]

interface Line extends Fields {
  readonly level: string
  readonly message: string
}

function notedLog() {
  const lines: Line[] = []
  const at = (level: string) => (message: string, fields: Fields) =>
    void lines.push({ level, message, ...fields })
  const log = {
    ...{ error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') },
    child: () => log,
  } as Log
  return { lines, log }
}

function world(
  t: TestContext,
  options: { parallel?: number; secondTakesMs?: number; maxSessions?: number | 'auto' } = {},
) {
  const clock = new ManualClock()
  const engine = new FakeEngine(clock, {
    parallel: options.parallel ?? 2,
    secondTakesMs: options.secondTakesMs ?? 400,
  })
  const { lines, log } = notedLog()
  const capacity = new EngineCapacity(
    { maxSessions: options.maxSessions ?? 'auto', ladder: LADDER },
    { engine, clock, log, sample: async () => ({ bytes: Uint8Array.of(1), durationMs: 1_000 }) },
  )
  const supervisor = new Supervisor()
  t.after(() => supervisor.stop())
  const start = async () => {
    const started = supervisor.start(capacity)
    started.catch(() => {})
    await pass(clock, 30_000)
    return started
  }
  /** Has a segment done and keeps what came of it. */
  const ask = (job: AdmittedJob, signal = new AbortController().signal) => {
    const state: { result: string | null } = { result: null }
    capacity.transcode(job, signal).then(
      () => {
        state.result = 'done'
      },
      (error) => {
        state.result = isAbort(error) ? 'aborted' : error.message
      },
    )
    return state
  }
  /** Live streams of 2 s segments, for this time. */
  const stream = async (sessions: number, forMs: number) => {
    for (let ms = 0; ms < forMs; ms += 2_000) {
      for (let session = 0; session < sessions; session++) ask(jobOf(`s${session}`))
      await pass(clock, 2_000)
    }
  }
  /** A segment that comes behind some of its own session. */
  const next = (sessionId: string, count = 0) => ({
    ...{ sessionId, durationMs: 2_000, limitMs: 8_000 },
    before: { count, durationMs: count * 2_000 },
  })
  return { clock, engine, lines, capacity, start, ask, stream, next }
}

test('the trial gives every worker a segment at once and says what it found in one line', async (t) => {
  const w = world(t)
  assert.equal(w.capacity.sessions, 1)
  await w.start()
  assert.deepEqual(w.engine.begun, ['trial-0', 'trial-1', 'trial-0', 'trial-1'], 'the first round warms')
  assert.deepEqual(w.engine.ended, ['trial-0', 'trial-1'])
  assert.deepEqual(w.lines, [
    {
      level: 'info',
      message: 'capacity measured; -maxSessions N sets another',
      sessions: 4,
      sustained: 5,
      secondTakesMs: 400,
      parallel: 2,
      ladder: 'P240p30fps16x9,P360p30fps16x9',
      trialMs: 800,
    },
  ])
  assert.equal(w.capacity.sessions, 4)
  assert.deepEqual(w.capacity.status(), {
    sessions: 4,
    isAutomatic: true,
    sustained: 5,
    sustainedAtStart: 5,
    secondTakesMs: 400,
    atWork: 0,
    waiting: 0,
  })
})

test('a slow machine is tried for one round, and told that it does not keep up', async (t) => {
  const w = world(t, { secondTakesMs: 3_000 })
  await w.start()
  assert.deepEqual(w.engine.begun, ['trial-0', 'trial-1'])
  assert.equal(w.capacity.sessions, 1)
  assert.deepEqual(
    w.lines.map(({ level, message }) => [level, message]),
    [['warn', 'this machine cannot keep up with one stream: ask for fewer renditions or set -maxSessions N']],
  )
})

test('a trial that hangs ends after ten seconds with one session', async (t) => {
  const w = world(t, { secondTakesMs: 1_000_000 })
  await w.start()
  assert.equal(w.capacity.sessions, 1)
  assert.equal(w.lines[0]!.trialMs, 10_000)
})

test('a ladder that cannot be made keeps the node from starting, and says what to change', async (t) => {
  const w = world(t)
  w.engine.transcode = async () => Promise.reject(new Error('Encoder not found'))
  await assert.rejects(w.start(), {
    code: 'trial-failed',
    message:
      '-maxSessions auto: a trial segment could not be transcoded (Encoder not found): give -maxSessions a number, or -transcodingOptions renditions that this machine can make',
  })
})

test('with a number there is no trial, and nothing changes the number', async (t) => {
  const w = world(t, { maxSessions: 7 })
  await w.start()
  assert.deepEqual([w.engine.begun.length, w.capacity.sessions, w.lines.length], [0, 7, 0])
  await w.stream(2, 60_000)
  assert.deepEqual([w.capacity.sessions, w.capacity.status().secondTakesMs], [7, 400])
  assert.equal(w.capacity.status().sustained, 5)
})

test('slower segments lower the capacity, faster ones bring it back, and both are told once a minute at most', async (t) => {
  const w = world(t)
  await w.start()
  await w.stream(2, 60_000)
  assert.equal(w.capacity.sessions, 4)
  w.engine.secondTakesMs = 1_000
  await w.stream(2, 240_000)
  assert.deepEqual([w.capacity.sessions, w.capacity.status().sustained], [1, 2])
  w.engine.secondTakesMs = 400
  await w.stream(1, 1_200_000)
  assert.equal(w.capacity.sessions, 4)
  const told = w.lines.filter(
    ({ message }) => message === 'capacity changed: segments take more or less time than before',
  )
  assert.ok(told.length >= 4 && told.length <= 8, `${told.length} changes`)
  assert.ok(told.filter(({ level }) => level === 'info').length <= 5)
  assert.ok(told.every(({ before, sessions }) => before !== sessions))
})

test('bad input and cancelled work tell nothing, a segment that hangs does', async (t) => {
  const w = world(t, { maxSessions: 7 })
  await w.start()
  w.ask(jobOf('bad'))
  const cancel = new AbortController()
  const cancelled = w.ask(jobOf('a'), cancel.signal)
  await pass(w.clock, 100)
  cancel.abort()
  await pass(w.clock, 10_000)
  assert.equal(cancelled.result, 'aborted')
  assert.equal(w.capacity.status().secondTakesMs, null)
  w.engine.secondTakesMs = 100_000
  const hanging = w.ask(jobOf('a'))
  await pass(w.clock, 8_000)
  assert.equal(hanging.result, 'Media work took too long')
  assert.equal(w.capacity.status().secondTakesMs, 4_000)
  assert.deepEqual([w.capacity.status().atWork, w.capacity.status().waiting], [0, 0])
})

test('waiting for a worker is not work', async (t) => {
  const w = world(t, { maxSessions: 9 })
  await w.start()
  for (let session = 0; session < 6; session++) w.ask(jobOf(`s${session}`))
  await rest()
  assert.deepEqual([w.capacity.status().atWork, w.capacity.status().waiting], [2, 4])
  await pass(w.clock, 10_000)
  const { secondTakesMs, sustained } = w.capacity.status()
  assert.deepEqual([secondTakesMs, sustained], [400, 5])
})

test('a segment is refused when what is before it makes it late, and as that gets done it is not', async (t) => {
  // 2.5 streams: a segment of 2 s takes 1.6 s.
  const w = world(t, { secondTakesMs: 800 })
  assert.equal(w.capacity.canFinish(w.next('x')), true, 'nothing is measured')
  await w.start()
  for (let session = 0; session < 7; session++) w.ask(jobOf(`s${session}`))
  await rest()
  // Six others have to be done, 4.8 s, and then its own 1.6 s.
  assert.equal(w.capacity.canFinish(w.next('x')), true)
  for (let session = 7; session < 10; session++) w.ask(jobOf(`s${session}`))
  assert.equal(w.capacity.canFinish(w.next('x')), false)
  assert.equal(w.capacity.canFinish(w.next('s3', 1)), false)
  await pass(w.clock, 3_200)
  assert.equal(w.capacity.canFinish(w.next('x')), true)
})

test('how slow the machine was before a pause refuses nothing after it', async (t) => {
  const w = world(t, { secondTakesMs: 3_000, maxSessions: 9 })
  const refuses = () => !w.capacity.canFinish(w.next('a', 1))
  w.ask(jobOf('a'))
  await pass(w.clock, 10_000)
  w.ask(jobOf('a', 1n))
  assert.ok(refuses())
  await pass(w.clock, 80_000)
  w.ask(jobOf('a', 2n))
  assert.ok(!refuses())
  await pass(w.clock, 10_000)
  w.ask(jobOf('a', 3n))
  assert.ok(refuses())
})

test('segments of a session that its orchestrator still holds count, those that are here only once', async (t) => {
  const w = world(t, { secondTakesMs: 640 })
  await w.start()
  const before = (count: number) => w.next('a', count)
  assert.equal(w.capacity.canFinish(before(4)), true)
  assert.equal(w.capacity.canFinish(before(5)), false)
  w.ask(jobOf('a'))
  await pass(w.clock, 640)
  assert.equal(w.capacity.canFinish(before(5)), true, 'half of one is done: 7.04 s of 8')
  assert.equal(w.capacity.canFinish(before(1)), true)
  assert.equal(w.capacity.canFinish(before(6)), false)
})

const LIAR = '0x00000000000000000000000000000000000000aa'

test('segments that are declared longer than they are make the machine look no faster, and others wait no longer', async (t) => {
  const w = world(t)
  await w.start()
  w.engine.lastsMs = () => 2_000
  const before = w.capacity.status()
  const lie = { durationMs: 300_000, deadlineMs: 1_200_000, payer: LIAR } as const
  for (let round = 0; round < 10; round++) {
    for (let session = 0; session < 2; session++) w.ask(jobOf(`lie${round}${session}`, 0n, lie))
    await rest()
    assert.equal(w.capacity.canFinish(w.next('honest')), true, `round ${round}`)
    await pass(w.clock, 1_000)
  }
  const { secondTakesMs, sessions, sustained } = w.capacity.status()
  assert.deepEqual([secondTakesMs, sessions], [before.secondTakesMs, before.sessions])
  assert.ok(sustained! <= 1.1 * before.sustained!, `${sustained} instead of ${before.sustained}`)
})

test('segments that are declared shorter than they are make the machine look no slower', async (t) => {
  for (const lastsMs of [2_000, 300_000]) {
    const w = world(t)
    await w.start()
    const before = w.capacity.status()
    const lie = { durationMs: 100, deadlineMs: 8_000, payer: LIAR } as const
    w.engine.lastsMs = ({ payer }) => (payer === LIAR ? lastsMs : 2_000)
    for (let round = 0; round < 10; round++) {
      for (let session = 0; session < 2; session++) w.ask(jobOf(`honest${session}`))
      w.ask(jobOf(`lie${round}`, 0n, lie))
      await pass(w.clock, 2_000)
    }
    await pass(w.clock, 8_000)
    const { secondTakesMs } = w.capacity.status()
    // With both workers at work, which of them a segment has is known roughly.
    assert.ok(secondTakesMs! <= 1.3 * before.secondTakesMs!, `${secondTakesMs} for ${lastsMs} ms`)
  }
})

test('a machine on which the segments of several gateways are late is slow', async (t) => {
  const w = world(t)
  await w.start()
  w.engine.secondTakesMs = 100_000
  for (const payer of [LIAR, '0x00000000000000000000000000000000000000bb'] as const) {
    w.ask(jobOf(payer, 0n, { payer }))
  }
  assert.equal(w.capacity.sessions, 4)
  await pass(w.clock, 8_000)
  assert.equal(w.capacity.sessions, 2)
})

test('the real engine is tried with a real moving picture, and found to do some', async () => {
  const { lines, log } = notedLog()
  const engine = new MediaEngine({ clock: systemClock, log: silentLog, workers: 2 })
  const sample = (signal: AbortSignal) =>
    patternSegment({ width: 640, height: 360, segmentMs: 1_000 }, signal)
  const capacity = new EngineCapacity(
    { maxSessions: 'auto', ladder: LADDER },
    { engine, clock: systemClock, log, sample },
  )
  await using supervisor = new Supervisor()
  await supervisor.start(engine)
  await supervisor.start(capacity)
  const { secondTakesMs, sessions, sustainedAtStart } = capacity.status()
  assert.ok(sessions >= 1 && Number.isInteger(sessions))
  assert.ok(sessions === 1 || sessions <= sustainedAtStart!, `${sessions} of ${sustainedAtStart}`)
  const [line, ...others] = lines
  assert.deepEqual(others, [])
  assert.deepEqual(
    [line!.sessions, line!.sustained, line!.secondTakesMs, line!.parallel],
    [sessions, sustainedAtStart, secondTakesMs, 2],
  )
  // Segments that last many times longer than they say are timed by what they show.
  const { bytes } = await sample(AbortSignal.timeout(30_000))
  const profiles = LADDER.map((profile) => withFormat(profile, 'mpegts'))
  const job = { ...jobOf('live'), source: bytes, profiles, durationMs: 20, deadlineMs: 30_000 }
  for (let count = 0; count < 5; count++) {
    const { renditions } = await capacity.transcode(job, AbortSignal.timeout(60_000))
    assert.equal(renditions.length, 2)
  }
  const { secondTakesMs: after } = capacity.status()
  assert.ok(after! < 5 * secondTakesMs!, `${after} ms for a second, ${secondTakesMs} in the trial`)
})
