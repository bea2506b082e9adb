import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { fateIn, HeldEngine, LATE_TEXT } from '../../../test/fakes/held-engine.ts'
import { jobOf, outputOf, pass, rest } from '../../../test/fakes/transcoder.ts'
import { type TranscoderWorld, testTranscoder, testTurns } from '../../../test/suites/transcoders.ts'
import { bitstringOf, defaultCapabilities } from '../../domain/capabilities.ts'
import type { NodeEvent } from '../../domain/events.ts'
import type { Notice } from '../../domain/transcoder-notice.ts'
import { Alarm } from '../../lib/alarm.ts'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { abortError, NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import {
  type OrchestratorLine,
  type OrchestratorLink,
  StandaloneTranscoder,
  type TaskResult,
} from './standalone-transcoder.ts'
import type { AdmittedJob, TranscodeJob, TranscodeOutput } from './transcoder.ts'

const [FIRST, SECOND] = ['https://first:8935', 'https://second:8935']

/** Orchestrators that do what a test tells them. */
class FakeLink implements OrchestratorLink {
  readonly registered: string[] = []
  readonly delivered: { url: string; result: TaskResult }[] = []
  /** What each answers to a registration; absent: takes it. */
  readonly refusals = new Map<string, Error>()
  deliveryFailures = 0
  /** Sources by their URLs; every other URL has one byte, except one that ends with `gone`. */
  readonly sources = new Map<string, Uint8Array>()
  hears: (result: TaskResult) => void = () => {}
  current: { url: string; notices: Notice[]; alarm: Alarm; end: Error | 'well' | null } | null = null
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  readonly closed: string[] = []
  readonly capacities: number[] = []

  line(url: string): OrchestratorLine {
    return {
      notices: ({ capacity }, signal) => {
        this.capacities.push(capacity)
        return this.#notices(url, signal)
      },
      close: () => void this.closed.push(url),
    }
  }

  async *#notices(url: string, signal: AbortSignal): AsyncGenerator<Notice, void> {
    this.registered.push(url)
    const refusal = this.refusals.get(url)
    if (refusal) throw refusal
    const own = { url, notices: [] as Notice[], alarm: new Alarm(), end: null as Error | 'well' | null }
    this.current = own
    for (;;) {
      const notice = own.notices.shift()
      if (notice) yield notice
      else if (own.end === 'well') return
      else if (own.end) throw own.end
      else await own.alarm.wait(this.#clock, 1e9, signal)
    }
  }

  async download(url: string): Promise<Uint8Array> {
    if (url.endsWith('gone')) throw new NodeError('refused', '404 Not Found')
    return this.sources.get(url) ?? Uint8Array.of(1)
  }

  async deliver(url: string, result: TaskResult): Promise<void> {
    if (this.deliveryFailures-- > 0) throw new NodeError('unreachable', 'connection refused')
    this.delivered.push({ url, result })
    this.hears(result)
  }

  tell(notice: Notice): void {
    this.current!.notices.push(notice)
    this.current!.alarm.ring()
  }

  end(how: Error | 'well'): void {
    this.current!.end = how
    this.current!.alarm.ring()
  }
}

async function world(
  t: TestContext,
  orchestrators: readonly string[] = [FIRST!, SECOND!],
  { clock = new ManualClock(), held }: { clock?: ManualClock; held?: HeldEngine } = {},
) {
  const link = new FakeLink(clock)
  const jobs: TranscodeJob[] = []
  let hold: Promise<void> | null = null
  const ended: string[] = []
  const told: NodeEvent[] = []
  const causes = new RecordingCauses()
  const engine = {
    sessions: 5,
    /** While set, what comes would be late. */
    isLate: false,
    canFinish: () => !engine.isLate,
    sessionEnded: (sessionId: string) => void ended.push(sessionId),
    transcode: async (job: TranscodeJob, signal: AbortSignal): Promise<TranscodeOutput> => {
      jobs.push(job)
      if (hold) {
        await Promise.race([
          hold,
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(abortError(signal)))),
        ])
      }
      if (job.sessionId === 'bad') throw new NodeError('media', 'No keyframes in input')
      if (job.sessionId === 'few') return { decodedPixels: 1n, renditions: [] }
      return outputOf(job.sessionId)
    },
  }
  const worker = new StandaloneTranscoder(
    {
      orchestrators,
      secret: 'swordfish',
      capabilities: defaultCapabilities('1.0.0'),
      version: '1.0.0',
      ...{ name: 'atelier-3', hardware: '8 cores' },
    },
    {
      ...{ link, engine: held ?? engine, clock, dice: seededDice('worker'), log: silentLog },
      events: { tell: (event) => void told.push(event) },
      causes,
    },
  )
  const supervisor = new Supervisor()
  await supervisor.start(worker)
  t.after(() => supervisor.stop())
  await rest()
  return {
    ...{ clock, link, jobs, worker, supervisor, engine, ended, told, causes },
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      hold = promise
      return resolve
    },
  }
}

function taskOf(sessionId: string, taskId: bigint, over: Partial<Extract<Notice, { kind: 'task' }>> = {}) {
  const { segment } = jobOf(sessionId, taskId)
  return {
    kind: 'task',
    taskId,
    url: 'https://x/stream/1.tempfile',
    orchestrator: '0xAb',
    segment,
    ...over,
  } as const
}

/** A transcoder whose orchestrator gives it a test's segments. */
async function suiteWorld(t: TestContext): Promise<TranscoderWorld> {
  const clock = new ManualClock()
  const jobs = new Map<string, AdmittedJob>()
  const engine = new HeldEngine(clock, (name) => jobs.get(name)!.onBegin!())
  const { link } = await world(t, [FIRST], { clock, held: engine })
  const results = new Map<bigint, (result: TaskResult) => void>()
  link.hears = (result) => results.get(result.taskId)!(result)
  return {
    transcode: async (job) => {
      const { promise, resolve } = Promise.withResolvers<TaskResult>()
      const taskId = BigInt(results.size + 1)
      const url = `https://x/stream/${taskId}.tempfile`
      jobs.set(fateIn(job.source).name, job)
      results.set(taskId, resolve)
      link.sources.set(url, job.source)
      link.tell(taskOf(job.sessionId, taskId, { url, segment: job.segment }))
      const { outcome } = await promise
      if ('error' in outcome) throw new NodeError('media', outcome.error)
      return outcome
    },
    sessionEnded: (sessionId) => link.tell({ kind: 'teardown', sessionId }),
    release: () => engine.release(),
    pass: (ms) => pass(clock, ms),
    working: () => engine.working,
    sessions: () => engine.known.size,
  }
}

testTranscoder('a standalone transcoder', LATE_TEXT, suiteWorld)
testTurns('a standalone transcoder', { lateText: LATE_TEXT, busyText: 'TranscoderBusy' }, suiteWorld)

test('a delivered result is told, after the segment that it is of', async (t) => {
  const w = await world(t)
  w.link.tell(taskOf('aaaa', 3n))
  await rest()
  assert.deepEqual(
    w.told.map((event) => ({ ...event, tookMs: null })),
    [
      {
        ...{ kind: 'segment-done', side: 'transcoder', durationMs: 2_000, pixels: 50n, profiles: ['small'] },
        tookMs: null,
      },
      { kind: 'segment-uploaded', side: 'transcoder', tookMs: null },
    ],
  )
})

test('a task is fetched, transcoded under the orchestrator’s name, and brought back', async (t) => {
  const w = await world(t)
  w.link.tell(taskOf('aaaa', 3n))
  await rest()
  assert.equal(w.jobs[0]!.provider, 'Livepeer Transcoder 1.0.0 (0xAb)')
  assert.equal(w.jobs[0]!.deadlineMs, 8_000)
  const [{ url, result }] = w.link.delivered as [{ url: string; result: TaskResult }]
  assert.equal(url, FIRST)
  assert.deepEqual(result, {
    secret: 'swordfish',
    taskId: 3n,
    outcome: outputOf('aaaa'),
    isMp4: [false],
  })
  w.link.tell({ kind: 'teardown', sessionId: 'aaaa' })
  await rest()
  assert.equal(w.link.delivered.length, 1)
  assert.deepEqual(w.ended, ['aaaa'])
  assert.deepEqual([w.worker.status().done, w.worker.status().running], [1, 0])
})

test('a capacity that has changed much is told by a new registration, once nothing runs', async (t) => {
  const w = await world(t)
  w.engine.sessions = 6
  await pass(w.clock, 180_000)
  assert.deepEqual(w.link.capacities, [5], 'a little is not worth it')
  w.engine.sessions = 2
  const release = w.hold()
  w.link.tell(taskOf('aaaa', 1n))
  await pass(w.clock, 120_000)
  assert.deepEqual(w.link.capacities, [5], 'something runs')
  release()
  await pass(w.clock, 60_000)
  assert.deepEqual(w.link.capacities, [5, 2])
  assert.deepEqual(w.link.registered, [FIRST, FIRST])
  assert.equal(w.link.delivered.length, 1)
  w.link.tell(taskOf('bbbb', 2n))
  await rest()
  assert.equal(w.link.delivered.length, 2)
  await pass(w.clock, 600_000)
  assert.deepEqual(w.link.capacities, [5, 2])
})

test('what cannot be done is answered with the text that belongs to it', async (t) => {
  const w = await world(t)
  const foreign = { ...defaultCapabilities(''), bitstring: bitstringOf([0, 17]) }
  const { segment } = jobOf('aaaa')
  w.link.tell({ kind: 'unreadable', taskId: 1n, text: 'invalid duration' })
  w.link.tell(taskOf('aaaa', 2n, { segment: { ...segment, capabilities: foreign } }))
  w.link.tell(taskOf('aaaa', 3n, { url: 'https://x/gone' }))
  w.link.tell(taskOf('bad', 4n))
  w.link.tell(taskOf('few', 5n))
  await rest()
  const texts = new Map(
    w.link.delivered.map(({ result: { outcome, taskId } }) => [taskId, 'error' in outcome && outcome.error]),
  )
  assert.deepEqual(texts.get(1n), 'invalid duration')
  assert.deepEqual(texts.get(2n), 'incompatible segment capabilities')
  assert.deepEqual(texts.get(3n), '404 Not Found')
  assert.deepEqual(texts.get(4n), 'No keyframes in input')
  assert.deepEqual(texts.get(5n), 'segment / profile mismatch')
  w.engine.isLate = true
  w.link.tell(taskOf('aaaa', 6n))
  await rest()
  assert.deepEqual(w.link.delivered.at(-1)!.result.outcome, { error: 'TranscoderBusy' })
  assert.ok(w.jobs.every(({ sessionId }) => sessionId !== 'aaaa'))
})

test('every registration tells the capacity as it is then', async (t) => {
  const w = await world(t)
  assert.deepEqual(w.link.capacities, [5])
  w.engine.sessions = 3
  w.link.end('well')
  await pass(w.clock, 1_000)
  assert.deepEqual(w.link.capacities, [5, 3])
})

test('when its orchestrator is gone it works for the next of the list, and comes back round', async (t) => {
  const w = await world(t)
  w.link.end(new NodeError('unreachable', 'connection reset'))
  await pass(w.clock, 1_000)
  assert.deepEqual(w.link.registered, [FIRST, SECOND])
  w.link.tell(taskOf('aaaa', 0n))
  await rest()
  assert.equal(w.link.delivered[0]!.url, SECOND)
  w.link.end('well')
  await pass(w.clock, 1_500)
  assert.deepEqual(w.link.registered, [FIRST, SECOND, FIRST])
})

test('while no orchestrator answers it asks less and less often, but always within fifteen seconds', async (t) => {
  const w = await world(t, [FIRST!])
  w.link.refusals.set(FIRST!, new NodeError('unreachable', 'connection refused'))
  w.link.end(new NodeError('unreachable', 'connection reset'))
  await pass(w.clock, 10 * 60_000)
  const asked = w.link.registered.length
  assert.ok(asked > 40 && asked < 150, `asked ${asked} times`)
  w.link.refusals.clear()
  await pass(w.clock, 15_000)
  w.link.tell(taskOf('aaaa', 0n))
  await rest()
  assert.equal(w.link.delivered.length, 1)
})

for (const [text, flag] of [
  ['invalid secret', /-orchSecret/],
  ['zero capacity', /-maxSessions/],
] as const) {
  test(`"${text}" ends the transcoder with a sentence that names the flag`, async (t) => {
    const w = await world(t, [FIRST!])
    const failed = assert.rejects(w.supervisor.failed, flag)
    w.link.refusals.set(FIRST!, new NodeError('refused', text))
    w.link.end('well')
    await pass(w.clock, 2_000)
    await failed
  })
}

test('an orchestrator that takes no registration is a cause until one has taken it', async (t) => {
  const w = await world(t, [FIRST!])
  w.link.end(new NodeError('unreachable', 'connection refused'))
  w.link.refusals.set(FIRST!, new NodeError('unreachable', 'connection refused'))
  await w.clock.wind(60_000)
  assert.deepEqual(w.causes.told, ['not-registered begun'])
  assert.match(
    w.causes.sentences[0]!,
    /^no orchestrator of -orchAddr takes this transcoder .*: connection refused: /,
  )
  w.link.refusals.clear()
  await w.clock.wind(30_000)
  assert.deepEqual(w.causes.told, ['not-registered begun', 'not-registered ended'])
})

test('a result that cannot be brought is brought again', async (t) => {
  const w = await world(t)
  w.link.deliveryFailures = 2
  w.link.tell(taskOf('aaaa', 0n))
  await pass(w.clock, 3_000)
  assert.equal(w.link.delivered.length, 1)
})

test('a task goes on while its orchestrator’s stream is broken', async (t) => {
  const w = await world(t)
  const release = w.hold()
  w.link.tell(taskOf('aaaa', 0n))
  await rest()
  w.link.end(new NodeError('unreachable', 'connection reset'))
  await pass(w.clock, 1_000)
  release()
  await rest()
  assert.deepEqual(
    w.link.delivered.map(({ url }) => url),
    [FIRST],
  )
})

test('when it drains, it takes no more and finishes what runs', async (t) => {
  const w = await world(t)
  const release = w.hold()
  w.link.tell(taskOf('aaaa', 0n))
  await rest()
  let drained = false
  const draining = w.worker.drain(20_000, new AbortController().signal).then(() => {
    drained = true
  })
  await rest()
  w.link.tell(taskOf('aaaa', 1n))
  await rest()
  assert.equal(drained, false)
  // Its orchestrator sees by this that what runs is still being done.
  assert.deepEqual(w.link.closed, [])
  release()
  await draining
  await rest()
  assert.deepEqual(
    w.link.delivered.map(({ result }) => result.taskId),
    [0n],
  )
  assert.deepEqual(w.link.closed, [FIRST])
  await pass(w.clock, 60_000)
  assert.deepEqual(w.link.registered, [FIRST])
})

test('after a drain, or in the midst of one, it registers again when it is told to go on', async (t) => {
  const w = await world(t)
  const never = new AbortController().signal
  await w.worker.drain(20_000, never)
  await pass(w.clock, 10_000)
  assert.deepEqual(w.link.registered, [FIRST])
  w.worker.undrain()
  await rest()
  assert.deepEqual(w.link.registered, [FIRST, FIRST])
  const release = w.hold()
  w.link.tell(taskOf('aaaa', 0n))
  await rest()
  const draining = w.worker.drain(20_000, never)
  await rest()
  w.worker.undrain()
  release()
  await draining
  await rest()
  assert.deepEqual(w.link.registered, [FIRST, FIRST, FIRST])
  assert.equal(w.link.delivered.length, 1)
})

test('a task that hangs keeps it from ending no longer than it may, and not at all from stopping', async (t) => {
  const w = await world(t)
  w.hold()
  w.link.tell(taskOf('aaaa', 0n))
  await rest()
  const draining = w.worker.drain(20_000, new AbortController().signal)
  await pass(w.clock, 20_000)
  await draining
  assert.equal(w.worker.status().running, 1)
  await w.supervisor.stop()
  assert.equal(w.worker.status().running, 0)
})

test('more tasks than it can hold are answered, not dropped', async (t) => {
  const w = await world(t)
  const release = w.hold()
  for (let i = 0; i < 300; i++) w.link.tell(taskOf('aaaa', BigInt(i)))
  await rest()
  const texts = w.link.delivered.map(({ result: { outcome } }) => 'error' in outcome && outcome.error)
  assert.deepEqual(texts, Array(44).fill('TranscoderBusy'))
  release()
})
