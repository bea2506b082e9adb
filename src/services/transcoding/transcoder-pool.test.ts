import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { eventsTo } from '../../../test/fakes/events.ts'
import { HeldEngine, LATE_TEXT } from '../../../test/fakes/held-engine.ts'
import { countingDice, jobOf, outputOf, pass, rest } from '../../../test/fakes/transcoder.ts'
import { type TranscoderWorld, testCallingOff, testTranscoder } from '../../../test/suites/transcoders.ts'
import { bitstringOf, type Capabilities, defaultCapabilities } from '../../domain/capabilities.ts'
import type { Notice } from '../../domain/transcoder-notice.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { ManualClock } from '../../lib/clock.ts'
import { type Dice, seededDice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import type { AdmittedJob, TranscodeOutput } from './transcoder.ts'
import { TranscoderPool } from './transcoder-pool.ts'

const SECRET = 'swordfish'
const PEER = { address: 'x', gone: new AbortController().signal, ping: async () => {} }

function world(
  t: TestContext,
  options: {
    local?: boolean
    engine?: HeldEngine
    clock?: ManualClock
    localCapacity?: number
    dice?: Dice
  } = {},
) {
  const clock = options.clock ?? new ManualClock()
  const sources = new MemoryObjects({ baseUrl: 'https://10.0.0.1:8935/stream/' })
  const lost: string[] = []
  const here: AdmittedJob[] = []
  const local = {
    sessions: options.localCapacity ?? 10,
    /** While set, what comes would be late. */
    isLate: false,
    canFinish: () => !local.isLate,
    ended: [] as string[],
    sessionEnded: (sessionId: string) => void local.ended.push(sessionId),
    transcode: async (job: AdmittedJob): Promise<TranscodeOutput> => {
      here.push(job)
      if (job.sessionId === 'bad') throw new NodeError('media', 'No keyframes in input')
      return outputOf('here')
    },
  }
  const pool = new TranscoderPool(
    {
      serviceUri: 'https://10.0.0.1:8935',
      secret: SECRET,
      orchestrator: 'offchain',
      capabilities: defaultCapabilities('1.0.0'),
    },
    {
      local: options.engine ?? (options.local ? local : null),
      ...{ sources, clock, dice: options.dice ?? countingDice(), log: silentLog },
      events: eventsTo({
        'peer-down': (event) => void lost.push(`${'address' in event && event.address} ${event.reason}`),
      }),
    },
  )
  pool.start()
  /** A transcoder that notes what it is told. */
  const come = async (
    name: string,
    how: {
      capacity?: number
      capabilities?: Capabilities
      identity?: string
      labels?: { name: string; hardware: string }
      hears?: (notice: Notice) => void
    } = {},
  ) => {
    const told: Notice[] = []
    const stop = new AbortController()
    const line = new AbortController()
    const pings: (() => void)[] = []
    let isAlive = true
    const peer = {
      address: name,
      identity: how.identity ?? null,
      gone: line.signal,
      ping: () => new Promise<void>((resolve) => (isAlive ? resolve() : void pings.push(resolve))),
    }
    let ended: unknown = null
    const registration = {
      secret: SECRET,
      capacity: how.capacity ?? 5,
      capabilities: how.capabilities ?? defaultCapabilities('1.0.0'),
      ...how.labels,
    }
    const reading = (async () => {
      for await (const notice of pool.register(registration, peer, stop.signal)) {
        told.push(notice)
        how.hears?.(notice)
      }
      ended = 'well'
    })().catch((error) => {
      ended = error
    })
    t.after(() => stop.abort())
    await rest()
    return {
      told,
      tasks: () => told.filter((notice) => notice.kind === 'task'),
      get ended() {
        return ended
      },
      /** Its connection breaks. */
      async vanish() {
        line.abort()
        stop.abort()
        await reading
        await rest()
      },
      /** Its stream breaks, its connection holds. */
      async leave() {
        stop.abort()
        await reading
        await rest()
      },
      /** It stands still, as a process that is stopped does; or goes on. */
      freeze() {
        isAlive = false
      },
      async thaw() {
        isAlive = true
        for (const answer of pings.splice(0)) answer()
        await rest()
      },
    }
  }
  /** Has a job done and keeps what came of it. */
  const ask = async (job: AdmittedJob) => {
    const state: { result: string | null } = { result: null }
    pool.transcode(job, new AbortController().signal).then(
      ({ renditions }) => {
        state.result = Buffer.from(renditions[0]!.bytes).toString().replace(/\.+$/, '')
      },
      (error) => {
        state.result = `error: ${error.message}`
      },
    )
    await rest()
    return state
  }
  return { pool, clock, sources, lost, here, local, come, ask }
}

/** A pool with one transcoder on another machine. */
async function remoteWorld(t: TestContext): Promise<TranscoderWorld> {
  const { clock, come, pool, sources } = world(t)
  const engine = new HeldEngine(clock)
  const serve = async (notice: Notice) => {
    if (notice.kind !== 'task') return
    const source = (await sources.load(new URL(notice.url).pathname.replace('/stream/', '')))!
    const { authToken, durationMs, seq } = notice.segment
    const job = jobOf(authToken!.sessionId, seq, { source, durationMs, deadlineMs: 1e9 })
    const { signal } = new AbortController()
    const outcome = await engine
      .transcode(job, signal)
      .catch((error) => new NodeError('remote-failure', error.message))
    if (pool.wanted(notice.taskId, null)) pool.finish(notice.taskId, outcome)
  }
  const one = await come('one', { capacity: 1, hears: serve })
  const isWanted = ({ taskId }: { taskId: bigint }) => pool.wanted(taskId, null) !== null
  return {
    transcode: (job, signal) => pool.transcode(job, signal),
    sessionEnded: (sessionId) => pool.sessionEnded(sessionId),
    release: () => engine.release(),
    pass: (ms) => pass(clock, ms),
    working: () => Math.max(pool.status()[0]!.running, one.tasks().filter(isWanted).length),
    sessions: () => pool.status()[0]!.load,
  }
}

/** A pool with this node's own engine only. */
async function ownWorld(t: TestContext): Promise<TranscoderWorld> {
  const clock = new ManualClock()
  const engine = new HeldEngine(clock)
  const { pool } = world(t, { engine, clock })
  return {
    transcode: (job, signal) => pool.transcode(job, signal),
    sessionEnded: (sessionId) => pool.sessionEnded(sessionId),
    release: () => engine.release(),
    pass: (ms) => pass(clock, ms),
    working: () => engine.working,
    sessions: () => engine.known.size,
  }
}

testTranscoder('a pool with a remote transcoder', 'Remote transcoder took too long', remoteWorld)
testCallingOff('a pool with a remote transcoder', remoteWorld)
testTranscoder('a pool with its own engine', LATE_TEXT, ownWorld)
testCallingOff('a pool with its own engine', ownWorld)

test('a transcoder gets the task of its session with everything that it needs, and its result is the segment’s', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  const asked = await w.ask(jobOf('aaaa', 7n))
  const [task] = one.tasks()
  assert.ok(task)
  assert.equal(task.taskId, 1n)
  assert.equal(task.url, 'https://10.0.0.1:8935/stream/aaaa/7.tempfile')
  assert.equal(task.orchestrator, 'offchain')
  assert.deepEqual([task.segment.hash, task.segment.sig.length], [new Uint8Array(32), 0])
  assert.deepEqual(await w.sources.load('aaaa/7.tempfile'), Uint8Array.of(1, 2, 3))
  assert.equal(w.pool.wanted(1n, null)?.over.aborted, false)
  w.pool.finish(1n, outputOf('done'))
  await rest()
  assert.equal(asked.result, 'done')
  assert.equal(w.pool.wanted(1n, null), null)
  w.pool.finish(1n, outputOf('twice'))
  w.pool.finish(100n, outputOf('never asked'))
})

test('the operator sees transcoders by name, what they run on, and the streams they work on', async (t) => {
  const w = world(t)
  const one = await w.come('10.0.0.1:4000', { labels: { name: 'atelier\x1b', hardware: 'GPU 0' } })
  await w.come('10.0.0.2:4000')
  const job = jobOf('aaaa')
  await w.ask({ ...job, segment: { ...job.segment, manifestId: 'movie' } })
  const shown = () =>
    w.pool.status().map(({ address, capacity, hardware, load, name, streams }) => ({
      ...{ address, capacity, hardware, load, name, streams },
    }))
  const second = { address: '10.0.0.2:4000', capacity: 5, hardware: '', load: 0, name: '', streams: [] }
  const first = { address: '10.0.0.1:4000', capacity: 5, hardware: 'GPU 0', name: 'atelier' }
  assert.deepEqual(shown(), [{ ...first, load: 1, streams: ['movie'] }, second])
  w.pool.sessionEnded('aaaa')
  assert.deepEqual(shown(), [{ ...first, load: 0, streams: [] }, second])
  const long = jobOf('bbbb')
  await w.ask({ ...long, segment: { ...long.segment, manifestId: 'x'.repeat(10_000) } })
  assert.ok(w.pool.status().every(({ streams }) => streams.every(({ length }) => length < 100)))
  await one.vanish()
  assert.equal(w.pool.status().at(-1)!.name, 'atelier', 'also after it has gone')
})

test('task numbers cannot be guessed, are exact as a float and above zero', async (t) => {
  const w = world(t, { dice: seededDice('tasks') })
  const one = await w.come('one', { capacity: 100 })
  for (let i = 0; i < 50; i++) await w.ask(jobOf(`s${i}`))
  const ids = one.tasks().map(({ taskId }) => taskId)
  assert.equal(new Set(ids).size, 50)
  assert.ok(ids.every((id) => id > 0n && id < 2n ** 53n))
  assert.ok(ids.some((id) => id > 2n ** 51n))
  const steps = new Set(ids.slice(1).map((id, i) => id - ids[i]!))
  assert.equal(steps.size, 49)
})

test('with certificates a task’s result is taken from the node that has the task only', async (t) => {
  const w = world(t)
  await w.come('one', { identity: 'AA:BB' })
  const asked = await w.ask(jobOf('a'))
  for (const identity of ['CC:DD', null]) assert.equal(w.pool.wanted(1n, identity), null)
  const wanted = w.pool.wanted(1n, 'AA:BB')
  assert.deepEqual([wanted?.transcoder, wanted?.maxBytes], ['one', 41_000_000])
  w.pool.finish(1n, outputOf('done'))
  await rest()
  assert.equal(asked.result, 'done')
})

test('a session stays with its transcoder; a new one goes to the transcoder with the least load for its size', async (t) => {
  const w = world(t)
  const [small, large] = [await w.come('small', { capacity: 1 }), await w.come('large', { capacity: 4 })]
  for (const id of ['a', 'b', 'c', 'd', 'e']) await w.ask(jobOf(id))
  assert.deepEqual([small.tasks().length, large.tasks().length], [1, 4])
  await w.ask(jobOf('a', 1n))
  const taskOf = (id: string, tasks: ReturnType<typeof small.tasks>) =>
    tasks.filter(({ segment }) => segment.authToken?.sessionId === id).length
  assert.equal(taskOf('a', small.tasks()) + taskOf('a', large.tasks()), 2)
  assert.ok(taskOf('a', small.tasks()) === 2 || taskOf('a', large.tasks()) === 2)
  assert.equal((await w.ask(jobOf('f'))).result, 'error: no transcoders available')
})

test('without a transcoder, or without one that can, the segment fails with the texts that peers know', async (t) => {
  const w = world(t)
  assert.equal((await w.ask(jobOf('a'))).result, 'error: no transcoders available')
  await w.come('one')
  const job = jobOf('a')
  const capabilities = { ...defaultCapabilities(''), bitstring: bitstringOf([0, 1, 17]) }
  const asked = await w.ask({ ...job, segment: { ...job.segment, capabilities } })
  assert.equal(asked.result, 'error: no transcoders can provide requested capabilities')
})

test('a wrong secret, no capacity: the texts that end a transcoder', async (t) => {
  const w = world(t)
  const capabilities = null
  const signal = new AbortController().signal
  const first = (registration: { secret: string; capacity: number }) =>
    w.pool.register({ ...registration, capabilities }, PEER, signal).next()
  await assert.rejects(first({ secret: 'swordfisH', capacity: 1 }), { message: 'invalid secret' })
  await assert.rejects(first({ secret: '', capacity: 1 }), { message: 'invalid secret' })
  await assert.rejects(first({ secret: SECRET, capacity: 0 }), { message: 'zero capacity' })
  assert.equal(w.pool.capacity, 0)
})

test('the segment of a transcoder that is lost is given to another, and the first result counts', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  const asked = await w.ask(jobOf('a'))
  const two = await w.come('two')
  await one.vanish()
  assert.equal(two.tasks().length, 1)
  // The lost one finishes all the same, and is first.
  w.pool.finish(one.tasks()[0]!.taskId, outputOf('by one'))
  await rest()
  assert.equal(asked.result, 'by one')
  w.pool.finish(two.tasks()[0]!.taskId, outputOf('by two'))
  await w.ask(jobOf('a', 1n))
  assert.equal(two.tasks().length, 2)
})

test('a failure of a lost transcoder does not count while another works on its segment', async (t) => {
  const w = world(t)
  const [one, two] = [await w.come('one'), await w.come('two', { capacity: 1 })]
  const asked = await w.ask(jobOf('a'))
  await one.vanish()
  w.pool.finish(one.tasks()[0]!.taskId, new NodeError('remote-failure', 'execution interrupted'))
  w.pool.finish(two.tasks()[0]!.taskId, outputOf('by two'))
  await rest()
  assert.equal(asked.result, 'by two')
})

test('a segment whose only transcoder is lost waits a little: for its result, for its return, then fails', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  const [first, second, third] = [await w.ask(jobOf('a')), await w.ask(jobOf('b')), await w.ask(jobOf('c'))]
  await one.vanish()
  w.pool.finish(one.tasks()[0]!.taskId, outputOf('late but good'))
  await pass(w.clock, 1_000)
  assert.equal(first.result, 'late but good')
  assert.equal(second.result, null)
  const again = await w.come('one again', { capacity: 1 })
  assert.equal(again.tasks().length, 1)
  w.pool.finish(again.tasks()[0]!.taskId, outputOf('by another'))
  await pass(w.clock, 2_500)
  assert.deepEqual([second.result, third.result].sort(), ['by another', 'error: no transcoders available'])
})

test('the segments of a lone transcoder that starts again wait for it, those under way and those that come', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  const underWay = await w.ask(jobOf('a'))
  await one.vanish()
  await pass(w.clock, 1_000)
  const [next, ofNewSession] = [await w.ask(jobOf('a', 1n)), await w.ask(jobOf('b'))]
  await pass(w.clock, 6_500)
  assert.deepEqual([underWay.result, next.result, ofNewSession.result], [null, null, null])
  const again = await w.come('one again')
  assert.equal(again.tasks().length, 3)
  for (const { taskId } of again.tasks()) w.pool.finish(taskId, outputOf('done'))
  await rest()
  assert.deepEqual([underWay.result, next.result, ofNewSession.result], ['done', 'done', 'done'])
})

test('segments wait for a transcoder that starts again as long as their deadlines allow, and no more after half a minute', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  await one.vanish()
  const early = await w.ask(jobOf('a'))
  await pass(w.clock, 7_000)
  assert.equal(early.result, null)
  await pass(w.clock, 1_000)
  assert.equal(early.result, 'error: Remote transcoder took too long')
  await pass(w.clock, 17_000)
  const late = await w.ask(jobOf('b'))
  await pass(w.clock, 4_500)
  assert.equal(late.result, null)
  await pass(w.clock, 1_000)
  assert.equal(late.result, 'error: no transcoders available')
  assert.equal((await w.ask(jobOf('c'))).result, 'error: no transcoders available')
})

test('a segment does not wait for a transcoder that left for another reason, cannot do it, or had other sessions', async (t) => {
  const frozen = world(t)
  ;(await frozen.come('frozen')).freeze()
  await pass(frozen.clock, 20_000)
  assert.equal((await frozen.ask(jobOf('a'))).result, 'error: no transcoders available')

  const unable = world(t)
  await (await unable.come('one')).vanish()
  const capabilities = { ...defaultCapabilities(''), bitstring: bitstringOf([0, 1, 17]) }
  const job = jobOf('a')
  const asked = await unable.ask({ ...job, segment: { ...job.segment, capabilities } })
  assert.equal(asked.result, 'error: no transcoders available')

  const full = world(t)
  const lost = await full.come('lost')
  await full.ask(jobOf('a'))
  const other = await full.come('other', { capacity: 1 })
  await full.ask(jobOf('b'))
  assert.deepEqual([lost.tasks().length, other.tasks().length], [1, 1])
  await lost.vanish()
  const ofLost = await full.ask(jobOf('a', 1n))
  assert.equal((await full.ask(jobOf('c'))).result, 'error: no transcoders available')
  assert.equal(ofLost.result, null)
  const again = await full.come('lost again')
  for (const { taskId } of [...other.tasks(), ...again.tasks()]) full.pool.finish(taskId, outputOf('done'))
  await rest()
  assert.equal(ofLost.result, 'done')
})

test('what a transcoder has that was late with a segment goes to others, and new work too', async (t) => {
  const w = world(t)
  const frozen = await w.come('frozen')
  const stuck = await w.ask(jobOf('a'))
  await pass(w.clock, 4_000)
  const behind = await w.ask(jobOf('b'))
  const other = await w.come('other')
  await pass(w.clock, 4_000)
  assert.equal(stuck.result, 'error: Remote transcoder took too long')
  assert.equal(other.tasks().length, 1)
  w.pool.finish(other.tasks()[0]!.taskId, outputOf('saved'))
  await rest()
  assert.equal(behind.result, 'saved')
  const states = () => w.pool.status().map(({ address, outOfRotation }) => [address, outOfRotation])
  assert.deepEqual(states(), [
    ['frozen', 'too-late'],
    ['other', null],
  ])
  for (const id of ['c', 'd']) await w.ask(jobOf(id))
  assert.deepEqual([frozen.tasks().length, other.tasks().length], [2, 3])
  await pass(w.clock, 60_000)
  assert.deepEqual(w.lost, ['frozen too-late'])
  assert.equal(frozen.ended, 'well')
})

test('one gateway whose segments last longer than it declares drops no transcoder, several do', async (t) => {
  const w = world(t)
  await w.come('only', { capacity: 100 })
  const payer = '0x00000000000000000000000000000000000000aa'
  for (let i = 0; i < 3; i++) {
    const asked = await w.ask(jobOf(`lie${i}`, 0n, { payer }))
    await pass(w.clock, 8_000)
    assert.equal(asked.result, 'error: Remote transcoder took too long')
  }
  assert.deepEqual(w.lost, [])
  await w.ask(jobOf('honest', 0n, { payer: '0x00000000000000000000000000000000000000bb' }))
  await pass(w.clock, 8_000)
  assert.deepEqual(w.lost, ['only too-late'])
})

test('a transcoder that brings results, late ones too, is not taken to hang', async (t) => {
  const w = world(t)
  const one = await w.come('one', { capacity: 100 })
  await w.ask(jobOf('heavy'))
  await pass(w.clock, 5_000)
  await w.ask(jobOf('quick'))
  w.pool.finish(one.tasks().at(-1)!.taskId, outputOf('quick'))
  await pass(w.clock, 3_000)
  assert.equal(w.pool.status()[0]!.outOfRotation, null, 'it answered meanwhile')
  await w.ask(jobOf('heavy'))
  await pass(w.clock, 8_000)
  assert.equal(w.pool.status()[0]!.outOfRotation, 'too-late')
  assert.equal(w.pool.wanted(one.tasks().at(-1)!.taskId, null), null)
  assert.equal(w.pool.status()[0]!.outOfRotation, null, 'it brings what was late')
  await pass(w.clock, 120_000)
  assert.deepEqual(w.lost, [])
})

test('a failed segment frees its session for another transcoder', async (t) => {
  const w = world(t)
  const [one, two] = [await w.come('one'), await w.come('two', { capacity: 100 })]
  const asked = await w.ask(jobOf('a'))
  const failed = one.tasks().length === 1 ? one : two
  w.pool.finish(failed.tasks()[0]!.taskId, new NodeError('remote-failure', 'No keyframes in input'))
  await rest()
  assert.equal(asked.result, 'error: No keyframes in input')
  assert.equal(
    w.pool.status().reduce((sum, { load }) => sum + load, 0),
    0,
  )
})

test('a session that leaves a transcoder after a failure is over there, once nothing of it is left', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  await w.ask(jobOf('a', 0n))
  await w.ask(jobOf('a', 1n))
  w.pool.finish(1n, new NodeError('remote-failure', 'No keyframes in input'))
  await rest()
  const ends = () => one.told.filter(({ kind }) => kind === 'teardown')
  assert.deepEqual(ends(), [])
  w.pool.finish(2n, new NodeError('remote-failure', 'No keyframes in input'))
  await rest()
  assert.deepEqual(ends(), [{ kind: 'teardown', sessionId: 'a' }])
})

test('a gateway whose streams end the workers of transcoders is refused for a while, another is not', async (t) => {
  const w = world(t)
  await w.come('one', { capacity: 100 })
  const payer = '0x00000000000000000000000000000000000000aa'
  for (let task = 1n; task <= 9n; task++) {
    const asked = await w.ask(jobOf(`s${task}`, 0n, { payer }))
    w.pool.finish(task, new NodeError('remote-failure', 'Media worker died'))
    await rest()
    assert.equal(asked.result, 'error: Media worker died')
  }
  const refused = await w.ask(jobOf('fresh', 0n, { payer }))
  assert.equal(refused.result, 'error: This gateway ended 9 media workers: refused for 300 s')
  const other = await w.ask(jobOf('fresh', 0n, { payer: '0x00000000000000000000000000000000000000bb' }))
  w.pool.finish(10n, outputOf('done'))
  await rest()
  assert.equal(other.result, 'done')
})

test('the end of a session is told to its transcoder, which has room again', async (t) => {
  const w = world(t)
  const one = await w.come('one', { capacity: 1 })
  await w.ask(jobOf('a'))
  w.pool.finish(1n, outputOf('done'))
  w.pool.sessionEnded('a')
  w.pool.sessionEnded('unknown')
  await rest()
  assert.deepEqual(one.told.at(-1), { kind: 'teardown', sessionId: 'a' })
  await w.ask(jobOf('b'))
  assert.equal(one.tasks().length, 2)
})

test('capacities are added to what the node offers, and taken away again', async (t) => {
  const w = world(t)
  const more = { ...defaultCapabilities('1.0.0'), bitstring: bitstringOf([0, 1, 17]), capacities: new Map() }
  const one = await w.come('one', { capabilities: more })
  assert.equal(w.pool.capabilities.capacities.get(17), 1)
  assert.equal(w.pool.capabilities.capacities.get(0), 2)
  assert.ok((w.pool.capabilities.bitstring[0]! >> 17n) & 1n)
  assert.equal(w.pool.capacity, 5)
  await one.vanish()
  assert.equal(w.pool.capabilities.capacities.get(17), undefined)
  assert.equal(w.pool.capabilities.capacities.get(0), 1)
  assert.equal(((w.pool.capabilities.bitstring[0]! >> 17n) & 1n) === 0n, true)
  assert.equal(w.pool.capacity, 0)
})

test('a node with an engine of its own shares the work with transcoders of other machines', async (t) => {
  const w = world(t, { local: true, localCapacity: 2 })
  const one = await w.come('one', { capacity: 2 })
  for (const id of ['a', 'b', 'c', 'd']) await w.ask(jobOf(id))
  assert.equal(w.here.length, 2)
  assert.equal(one.tasks().length, 2)
  assert.equal(w.pool.capacity, 4)
  await one.vanish()
  assert.equal((await w.ask(jobOf('e'))).result, 'error: no transcoders available')
  w.pool.sessionEnded('a')
  w.pool.sessionEnded('b')
  assert.equal((await w.ask(jobOf('e'))).result, 'here')
})

test('a transcoder that reads nothing any more is dropped', async (t) => {
  const w = world(t)
  const stop = new AbortController()
  t.after(() => stop.abort())
  const registration = { secret: SECRET, capacity: 1_000, capabilities: null }
  const notices = w.pool.register(registration, { ...PEER, address: 'deaf' }, stop.signal)
  const first = notices.next()
  await rest()
  const asked = []
  for (let i = 0; i < 300; i++) asked.push(await w.ask(jobOf(`s${i}`)))
  await first
  assert.deepEqual(w.lost, ['deaf does-not-read'])
  await pass(w.clock, 3_000)
  assert.ok(asked.every(({ result }) => result === 'error: no transcoders available'))
})

test('a transcoder that stands still gets nothing new, and what it has is done by another within its deadline', async (t) => {
  const w = world(t)
  const frozen = await w.come('frozen', { capacity: 50 })
  const stuck = await w.ask(jobOf('a'))
  const other = await w.come('other', { capacity: 5 })
  frozen.freeze()
  await pass(w.clock, 4_000)
  assert.equal(w.pool.status().find(({ address }) => address === 'frozen')!.outOfRotation, 'silent')
  assert.deepEqual([frozen.tasks().length, other.tasks().length], [1, 1])
  await w.ask(jobOf('b'))
  assert.deepEqual([frozen.tasks().length, other.tasks().length], [1, 2])
  w.pool.finish(other.tasks()[0]!.taskId, outputOf('by another'))
  await rest()
  assert.equal(stuck.result, 'by another')
  // Alive again, it has the place that it had.
  await frozen.thaw()
  assert.equal(w.pool.status().find(({ address }) => address === 'frozen')!.outOfRotation, null)
  await w.ask(jobOf('c'))
  assert.equal(frozen.tasks().length, 2)
  assert.deepEqual(w.lost, [])
})

test('where there is no other, one that stands still for a moment keeps what it has, and its session', async (t) => {
  const w = world(t)
  const only = await w.come('only')
  const asked = await w.ask(jobOf('a'))
  only.freeze()
  await pass(w.clock, 5_000)
  const next = await w.ask(jobOf('a', 1n))
  assert.equal((await w.ask(jobOf('b'))).result, 'error: no transcoders available')
  await only.thaw()
  for (const { taskId } of only.tasks()) w.pool.finish(taskId, outputOf(`task ${taskId}`))
  await rest()
  assert.deepEqual([asked.result, next.result], ['task 1', 'task 2'])
})

test('a transcoder that gives no sign of life for long is lost', async (t) => {
  const w = world(t)
  const only = await w.come('only')
  only.freeze()
  await pass(w.clock, 17_000)
  assert.deepEqual(w.lost, [])
  await pass(w.clock, 2_000)
  assert.deepEqual(w.lost, ['only silent'])
  assert.equal(only.ended, 'well')
  assert.equal(w.pool.capacity, 0)
})

test('one that leaves with its connection standing may finish what it has, however long others wait', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  const asked = await w.ask(jobOf('a'))
  const two = await w.come('two')
  await one.leave()
  assert.deepEqual(
    w.pool.status().map(({ address, outOfRotation, running }) => [address, outOfRotation, running]),
    [
      ['two', null, 0],
      ['one', 'leaving', 1],
      ['one', 'stream-ended', 1],
    ],
  )
  await w.ask(jobOf('a', 1n))
  await pass(w.clock, 7_000)
  assert.deepEqual(
    two.tasks().map(({ segment }) => segment.seq),
    [1n],
  )
  w.pool.finish(one.tasks()[0]!.taskId, outputOf('the last'))
  await rest()
  assert.equal(asked.result, 'the last')
  assert.equal(
    w.pool.status().some(({ outOfRotation }) => outOfRotation === 'leaving'),
    false,
  )
})

test('one that leaves and whose connection breaks then too has lost its segment to another', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  await w.ask(jobOf('a'))
  const two = await w.come('two')
  await one.leave()
  assert.equal(two.tasks().length, 0)
  await one.vanish()
  assert.equal(two.tasks().length, 1)
})

test('a transcoder that got a segment late is not blamed when it times out', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  const asked = await w.ask(jobOf('a'))
  await w.come('two')
  await pass(w.clock, 6_000)
  await one.vanish()
  // It had waited behind others of its session for most of its time.
  const waited = await w.ask(jobOf('b', 0n, { deadlineMs: 2_000 }))
  await pass(w.clock, 2_000)
  for (const { result } of [asked, waited]) assert.equal(result, 'error: Remote transcoder took too long')
  assert.deepEqual(w.lost, ['one stream-ended'])
  assert.equal(w.pool.status()[0]!.load, 0)
})

test('a source waits no longer than its segment is worked on', async (t) => {
  const w = world(t)
  await w.come('one')
  await w.ask(jobOf('a'))
  assert.equal(w.sources.files, 1)
  w.pool.finish(1n, outputOf('done'))
  await rest()
  assert.equal(w.sources.files, 0)
  await w.ask(jobOf('a', 1n))
  await pass(w.clock, 8_000)
  assert.equal(w.sources.files, 0)
})

test('the engine of this node takes over what a transcoder lost, for the time that is left', async (t) => {
  const w = world(t, { local: true, localCapacity: 1 })
  const one = await w.come('one', { capacity: 100 })
  await w.ask(jobOf('first'))
  const asked = await w.ask(jobOf('a'))
  assert.equal(one.tasks().length, 1)
  w.pool.sessionEnded('first')
  await pass(w.clock, 3_000)
  await one.vanish()
  await rest()
  assert.equal(asked.result, 'here')
  assert.equal(w.here.at(-1)!.deadlineMs, 5_000)
})

test('a session of which a segment fails in this node’s own engine is over there', async (t) => {
  const w = world(t, { local: true, localCapacity: 1 })
  await w.ask(jobOf('bad'))
  assert.deepEqual(w.local.ended, ['bad'])
})

test('the operator sees when a transcoder brought something last', async (t) => {
  const w = world(t)
  await w.come('one')
  assert.equal(w.pool.status()[0]!.lastAnswerMs, null)
  await w.ask(jobOf('a'))
  await pass(w.clock, 1_500)
  w.pool.finish(1n, new NodeError('remote-failure', 'TranscoderBusy'))
  const [{ lastAnswerMs, sinceMs, done, failed }] = w.pool.status() as [
    ReturnType<typeof w.pool.status>[number],
  ]
  assert.deepEqual([lastAnswerMs! - sinceMs, done, failed], [1_500, 0, 1])
})

test('a result that broke off on its way may come again, while another does the segment too', async (t) => {
  const w = world(t)
  const one = await w.come('one')
  const asked = await w.ask(jobOf('a'))
  const two = await w.come('two')
  w.pool.resultLost(1n)
  w.pool.resultLost(100n)
  await rest()
  assert.equal(two.tasks().length, 1)
  w.pool.finish(2n, new NodeError('remote-failure', '404 Not Found'))
  await rest()
  assert.equal(asked.result, 'error: 404 Not Found')
  const alone = await w.ask(jobOf('b'))
  const its = one.tasks().at(-1)?.segment.authToken?.sessionId === 'b' ? one : two
  w.pool.resultLost(its.tasks().at(-1)!.taskId)
  w.pool.finish(its.tasks().at(-1)!.taskId, outputOf('again'))
  await rest()
  assert.equal(alone.result, 'again')
})

test('the own engine’s capacity counts as it is now', async (t) => {
  const w = world(t, { local: true, localCapacity: 2 })
  await w.come('one', { capacity: 3 })
  assert.equal(w.pool.capacity, 5)
  w.local.sessions = 7
  assert.equal(w.pool.capacity, 10)
})

test('a session that lost its place finds it again in an engine that has come to take fewer', async (t) => {
  const w = world(t, { local: true, localCapacity: 4 })
  for (const id of ['a', 'b', 'c', 'bad']) await w.ask(jobOf(id))
  w.local.sessions = 1
  assert.equal(w.pool.capacity, 1)
  assert.equal((await w.ask(jobOf('bad', 1n))).result, 'error: No keyframes in input')
})

test('whether a segment can be done in time is asked of the own engine, where it would go there', async (t) => {
  const w = world(t, { local: true })
  const next = (sessionId: string) => ({
    sessionId,
    durationMs: 2_000,
    limitMs: 8_000,
    before: { count: 0, durationMs: 0 },
  })
  await w.ask(jobOf('here'))
  assert.equal(w.pool.canFinish(next('here')), true)
  w.local.isLate = true
  assert.deepEqual([w.pool.canFinish(next('here')), w.pool.canFinish(next('new'))], [false, false])
  const one = await w.come('one', { capacity: 1 })
  assert.equal(w.pool.canFinish(next('here')), false, 'its session stays where it is')
  assert.equal(w.pool.canFinish(next('new')), true, 'another has room')
  await w.ask(jobOf('new'))
  assert.equal(one.tasks().length, 1, 'and gets it, whatever the loads')
  assert.equal(w.pool.canFinish(next('new')), true)
  assert.equal(w.pool.canFinish(next('newer')), false, 'the other is full')
})
