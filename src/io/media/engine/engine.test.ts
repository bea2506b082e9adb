import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { fakedEngine, mediaJob } from '../../../../test/fakes/engine-of-fakes.ts'
import { BAD_TEXT, fateIn } from '../../../../test/fakes/held-engine.ts'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { makeSegment } from '../../../../test/media/media.ts'
import {
  type TranscoderWorld,
  testCallingOff,
  testTranscoder,
  testTurns,
} from '../../../../test/suites/transcoders.ts'
import { eventually } from '../../../../test/tools/until.ts'
import type { WorkDone } from '../../../domain/failed-work.ts'
import { WORKER_DIED } from '../../../domain/offences.ts'
import { ManualClock, systemClock } from '../../../lib/clock.ts'
import { seededDice } from '../../../lib/dice.ts'
import { silentLog } from '../../../lib/log.ts'
import { Supervisor } from '../../../lib/service.ts'
import type { TranscodeJob } from '../../../services/transcoding/transcoder.ts'
import { MediaEngine, TOO_LATE } from './engine.ts'
import type { MediaError } from './media-error.ts'

/** For whatever hangs; the whole file may take minutes on a busy machine. */
const signal = AbortSignal.timeout(10 * 60_000)
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

async function engineOf(workers: number): Promise<{ engine: MediaEngine } & AsyncDisposable> {
  const engine = new MediaEngine({ clock: systemClock, log: silentLog, workers })
  const supervisor = new Supervisor()
  await supervisor.start(engine)
  return { engine, [Symbol.asyncDispose]: () => supervisor.stop() }
}

function jobOf(source: Uint8Array, changes: Partial<TranscodeJob> = {}): TranscodeJob {
  const provider = 'Livepeer Transcoder 1.2.3 (offchain)'
  return mediaJob({ source, provider, deadlineMs: 30_000, ...changes })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A process whose parent does not wait for it stays in the table as a zombie.
    return !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

suite('the media engine', () => {
  let short: Uint8Array = new Uint8Array(0)
  let long: Uint8Array = new Uint8Array(0)
  let running: Awaited<ReturnType<typeof engineOf>>
  before(async () => {
    short = await makeSegment({ frames: 10 })
    long = await makeSegment({ width: 640, height: 360, durationMs: 6000, audio: false })
    running = await engineOf(2)
  })
  after(() => running[Symbol.asyncDispose]())

  test('stops at the pixels that a job may take, and tells what was done', async () => {
    const { engine } = running
    const frame = 36_864n
    const job = (maxPixels: bigint) =>
      jobOf(short, {
        profiles: [profileOf({ fps: 30 }), profileOf({ fps: 30 })],
        maxPixels,
      })
    assert.equal((await engine.transcode(job(20n * frame), signal)).renditions.length, 2)
    await assert.rejects(engine.transcode(job(20n * frame - 1n), signal), (error: MediaError) => {
      assert.equal(error.code, 'media')
      assert.equal(
        error.message,
        `Segment goes beyond its declared duration: it takes more than ${20n * frame - 1n} pixels`,
      )
      const { decodedPixels, encodedPixels } = error.details.workDone as WorkDone
      assert.equal(encodedPixels, 19n * frame)
      assert.equal(decodedPixels, 10n * frame)
      return true
    })
  })

  const busyPids = (engine: MediaEngine) =>
    engine.state.workers.filter(({ isBusy }) => isBusy).map(({ pid }) => pid!)

  test('gives the renditions, and counts and describes what it is given', async () => {
    const { engine } = running
    const { decodedPixels, renditions } = await engine.transcode(
      jobOf(short, { profiles: [profileOf({ fps: 30 }), profileOf({ format: 'mp4' })] }),
      signal,
    )
    assert.equal(decodedPixels, 10n * 36_864n)
    assert.deepEqual(
      renditions.map(({ pixels }) => pixels),
      [10n * 36_864n, 10n * 36_864n],
    )
    assert.equal(await engine.countPixels(renditions[1]!.bytes, signal), renditions[1]!.pixels)
    assert.deepEqual(await engine.inspect(renditions[1]!.bytes, signal), {
      ...{ pixels: renditions[1]!.pixels, sound: 'whole' },
    })
    const probed = await engine.probe(renditions[1]!.bytes, signal)
    assert.deepEqual([probed.container, probed.videoCodec, probed.audioCodec], ['mp4', 'h264', 'aac'])
  })

  test('passes the exact texts of bad input on', async () => {
    const { engine } = running
    await assert.rejects(engine.transcode(jobOf(new Uint8Array(5)), signal), {
      name: 'MediaError',
      code: 'media',
      message: 'TranscoderInvalidVideo',
    })
    await assert.rejects(engine.probe(new Uint8Array(5), signal), { code: 'media' })
    assert.equal(await engine.countPixels(short, signal), 10n * 36_864n)
  })

  test('fails only the job of a worker that is killed, and replaces the worker', async () => {
    const { engine } = running
    const victim = engine.transcode(jobOf(long), signal)
    await eventually('a worker is busy', () => busyPids(engine).length === 1)
    const [pid] = busyPids(engine)
    const neighbour = engine.transcode(jobOf(short, { sessionId: 'b' }), signal)
    // One that has not begun yet would be given to another worker.
    await sleep(50)
    process.kill(pid!, 'SIGKILL')
    await assert.rejects(victim, { code: 'media-death', message: WORKER_DIED })
    assert.equal((await neighbour).renditions.length, 1)
    await eventually('the worker is replaced', () =>
      engine.state.workers.every((worker) => worker.pid !== pid && worker.pid !== null),
    )
    assert.equal((await engine.transcode(jobOf(short), signal)).renditions.length, 1)
  })

  test('gives up a worker that hangs at its deadline, and goes on with another', async () => {
    const { engine } = running
    const late = engine.transcode(jobOf(long, { deadlineMs: 400 }), signal)
    await eventually('a worker is busy', () => busyPids(engine).length === 1)
    const [pid] = busyPids(engine)
    process.kill(pid!, 'SIGSTOP')
    const next = engine.transcode(jobOf(short), signal)
    await assert.rejects(late, { code: 'media-late', message: TOO_LATE })
    assert.equal((await next).renditions.length, 1)
    assert.equal(isAlive(pid!), false)
  })

  test('keeps the worker of work that is called off', async () => {
    const { engine } = running
    const pids = engine.state.workers.map(({ pid }) => pid)
    const abort = new AbortController()
    const work = engine.transcode(jobOf(long), abort.signal)
    const waiting = engine.transcode(jobOf(short), abort.signal)
    await eventually('a worker is busy', () => busyPids(engine).length === 1)
    abort.abort()
    await assert.rejects(work, { name: 'AbortError' })
    await assert.rejects(waiting, { name: 'AbortError' })
    await eventually('no worker is busy', () => busyPids(engine).length === 0)
    assert.deepEqual(
      engine.state.workers.map(({ pid }) => pid),
      pids,
    )
  })

  test('forgets what is done while its caller’s signal lives on', async () => {
    const { engine } = running
    const { signal } = new AbortController()
    const work = [1, 2, 3].map(() => engine.transcode(jobOf(short), signal))
    assert.equal(getEventListeners(signal, 'abort').length, 3)
    // What is to happen when they are done must outlive a collection.
    await new Promise(setImmediate)
    collectGarbage()
    await Promise.all(work)
    assert.equal(getEventListeners(signal, 'abort').length, 0)
    await assert.rejects(engine.transcode(jobOf(Buffer.from('?')), signal))
    await assert.rejects(engine.transcode(jobOf(long, { deadlineMs: 1 }), signal))
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  test('survives segments damaged in hundreds of ways', async () => {
    const { engine } = running
    const mp4 = await makeSegment({ frames: 6, format: 'mp4' })
    const ts = await makeSegment({ frames: 6 })
    const dice = seededDice('damage')
    const outcomes = { made: 0, refused: 0 }
    const work = Array.from({ length: 250 }, (_, index) => damaged(index % 2 === 0 ? ts : mp4, index, dice))
    await Promise.all(
      work.map(async (source, index) => {
        const job = jobOf(source, { sessionId: `damaged ${index}`, deadlineMs: 60_000 })
        try {
          await engine.transcode(job, signal)
          outcomes.made++
        } catch (error) {
          const { code, message } = error as { code?: string; message: string }
          assert.equal(code, 'media', String(error))
          assert.ok(message !== WORKER_DIED && message !== TOO_LATE, `segment ${index}: ${message}`)
          outcomes.refused++
        }
      }),
    )
    assert.ok(outcomes.made > 20 && outcomes.refused > 20, JSON.stringify(outcomes))
    assert.equal((await engine.transcode(jobOf(short), signal)).renditions.length, 1)
  })
})

/** An engine on one GPU with two fake workers, on a clock that the test moves. */
async function suiteWorld(t: TestContext): Promise<TranscoderWorld> {
  const clock = new ManualClock()
  const set = await fakedEngine({ clock, workers: 2, gpus: 1 })
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-engine-'))
  t.after(async () => {
    await set[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })
  const { engine } = set
  const held = new Set<string>()
  return {
    transcode: (job, signal) => {
      const { fate, name } = fateIn(job.source)
      const path = join(folder, name)
      const provider = { ok: 'ok', bad: `fail ${BAD_TEXT}`, held: `wait ${path}` }[fate]
      const onBegin = () => {
        held.add(path)
        job.onBegin?.()
      }
      return engine.transcode({ ...job, provider, onBegin }, signal)
    },
    sessionEnded: (sessionId) => engine.sessionEnded(sessionId),
    release: () => {
      for (const path of held) writeFileSync(path, '')
    },
    pass: (ms) => clock.wind(ms),
    working: () => engine.state.workers.filter(({ isBusy }) => isBusy).length,
    sessions: () => engine.state.devices[0]!.sessions,
  }
}

testTranscoder('the engine', TOO_LATE, suiteWorld)
testCallingOff('the engine', suiteWorld)
testTurns('the engine', { lateText: TOO_LATE, busyText: 'Too much media work is waiting' }, suiteWorld)

test('an engine that is not running does nothing', async () => {
  const engine = new MediaEngine({ clock: systemClock, log: silentLog, workers: 1 })
  await assert.rejects(engine.probe(new Uint8Array(1), signal), {
    message: 'The media engine is not running',
  })
})

test('a worker retires after its jobs and no job notices', async () => {
  const engine = new MediaEngine({ clock: systemClock, log: silentLog, workers: 1, maxJobsPerWorker: 2 })
  await using supervisor = new Supervisor()
  await supervisor.start(engine)
  const [first] = engine.state.workers
  const source = await makeSegment({ frames: 2 })
  const probes = await Promise.all([1, 2, 3].map(() => engine.probe(source, signal)))
  assert.equal(probes.length, 3)
  assert.notEqual(engine.state.workers[0]!.pid, first!.pid)
})

test('stopping leaves no process and answers what was asked', async () => {
  const source = await makeSegment({ durationMs: 4000 })
  const { engine, [Symbol.asyncDispose]: stop } = await engineOf(2)
  const pids = engine.state.workers.map(({ pid }) => pid!)
  const open = [1, 2, 3].map((index) => engine.transcode(jobOf(source, { sessionId: String(index) }), signal))
  await eventually('all workers are busy', () => engine.state.workers.every(({ isBusy }) => isBusy))
  const answers = Promise.allSettled(open)
  await stop()
  for (const answer of await answers) {
    assert.equal(answer.status === 'rejected' && answer.reason.name, 'AbortError')
  }
  assert.deepEqual(pids.map(isAlive), [false, false])
})

suite('a process with a media engine', () => {
  /** Runs the engine in a process of its own, which prints one line of JSON once it has worked, and stays. */
  async function engineProcess(): Promise<{
    child: ChildProcess
    said: SaidByProcess
    stderr: () => string
  }> {
    const here = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
    const script = `
      import { MediaEngine } from ${here('./engine.ts')}
      import { livePattern } from ${here('./pattern.ts')}
      import { Supervisor } from ${here('../../../lib/service.ts')}
      import { systemClock } from ${here('../../../lib/clock.ts')}
      import { silentLog } from ${here('../../../lib/log.ts')}
      const engine = new MediaEngine({ clock: systemClock, log: silentLog, workers: 2 })
      await new Supervisor().start(engine)
      const signal = AbortSignal.timeout(60000)
      const pattern = livePattern({ width: 256, height: 144, isPaced: false }, signal)
      const { value } = await pattern.next()
      await engine.probe(value.bytes, signal)
      await engine.probe(new Uint8Array(100), signal).catch(() => {})
      await engine.transcode({ ...${JSON.stringify({ ...jobOf(new Uint8Array(0)), source: null })}, source: value.bytes }, signal)
      console.log(JSON.stringify({
        workers: engine.state.workers.map(({ pid }) => pid),
        libraries: process.report.getReport().sharedObjects,
      }))
    `
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let stderr = ''
    let stdout = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    await eventually('it says its workers', () => stdout.includes('\n') || child.exitCode !== null)
    assert.equal(child.exitCode, null, stderr)
    return { child, said: JSON.parse(stdout) as SaidByProcess, stderr: () => stderr }
  }

  interface SaidByProcess {
    readonly workers: readonly number[]
    readonly libraries: readonly string[]
  }

  test('loads no native media code, hears nothing of the workers’ chatter, and takes them along when killed', async () => {
    const { child, said, stderr } = await engineProcess()
    const pattern = childrenOf(child.pid!).filter((pid) => !said.workers.includes(pid))
    assert.deepEqual([said.workers.map(isAlive), pattern.map(isAlive)], [[true, true], [true]])
    assert.deepEqual(
      said.libraries.filter((path) => path.includes('node-av')),
      [],
    )
    child.kill('SIGKILL')
    await eventually('all workers are gone', () => ![...said.workers, ...pattern].some(isAlive))
    assert.equal(stderr(), '')
  })

  test('decides when its workers end: Ctrl-C reaches all of them and only the process obeys', async () => {
    const { child, said } = await engineProcess()
    for (const pid of said.workers) process.kill(pid, 'SIGINT')
    for (const pid of said.workers) process.kill(pid, 'SIGTERM')
    await sleep(200)
    assert.deepEqual(said.workers.map(isAlive), [true, true])
    process.kill(-child.pid!, 'SIGINT')
    await eventually('the workers are gone', () => !said.workers.some(isAlive))
  })
})

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}

/** A segment with bytes changed, cut out, doubled or cut off, differently for each index. */
function damaged(source: Uint8Array, index: number, dice: { fraction(): number }): Uint8Array {
  const at = () => Math.floor(dice.fraction() * source.length)
  const bytes = Uint8Array.from(source)
  switch (index % 5) {
    case 0:
      for (let count = 0; count < 1 + (index % 40); count++) bytes[at()] = Math.floor(dice.fraction() * 256)
      return bytes
    case 1:
      return bytes.subarray(0, at())
    case 2: {
      const from = at()
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + 1 + (index % 700))])
    }
    case 3: {
      const from = at()
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(Math.max(0, from - 1000))])
    }
    default:
      // The headers come first: damage there reaches further.
      for (let count = 0; count < 1 + (index % 10); count++) {
        bytes[Math.floor(dice.fraction() * Math.min(1500, bytes.length))] = Math.floor(dice.fraction() * 256)
      }
      return bytes
  }
}
