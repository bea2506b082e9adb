import assert from 'node:assert/strict'
import { ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { profileOf } from '../../../test/media.ts'
import { eventually } from '../../../test/until.ts'
import type { MediaAbilities } from '../../domain/media-abilities.ts'
import { WORKER_DIED } from '../../domain/offences.ts'
import { systemClock } from '../../lib/clock.ts'
import { openLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import type { TranscodeJob } from '../../services/orchestrator.ts'
import { MediaEngine, type MediaEngineNeeds, TOO_LATE } from './engine.ts'
import { MediaError } from './media-error.ts'
import { openWorkFolder } from './work-folder.ts'
import { WorkerProcess } from './worker-process.ts'

// The engine's own part in all this, with workers that only pretend to have a GPU (test/fake-gpu-worker.ts).

const signal = AbortSignal.timeout(120_000)

/** What a GPU says that is tried out and does not work. */
const broken = () => Promise.reject(new MediaError('No such device'))

async function setUp(needs: Partial<MediaEngineNeeds> & { gpus?: number }) {
  const lines: string[] = []
  const { gpus = 0, ...rest } = needs
  const engine = new MediaEngine({
    clock: systemClock,
    log: openLog({ level: 'debug', write: (line) => lines.push(line) }),
    workers: 1,
    devices: Array.from({ length: gpus }, (_, index) => abilitiesOf(String(index))),
    launch: (worker) =>
      new WorkerProcess(new URL('../../../test/fake-gpu-worker.ts', import.meta.url), worker),
    ...rest,
  })
  const supervisor = new Supervisor()
  await supervisor.start(engine)
  /** Resolves with the device that did the segment. */
  const done = async (sessionId: string, provider = 'ok', changes: Partial<TranscodeJob> = {}) => {
    const { renditions } = await engine.transcode(jobOf({ sessionId, provider, ...changes }), signal)
    return new TextDecoder().decode(renditions[0]!.bytes)
  }
  return { engine, done, lines, [Symbol.asyncDispose]: () => supervisor.stop() }
}

function abilitiesOf(device: string): MediaAbilities {
  return { device, capabilities: [], decodes: ['h264'], encodes: ['h264'], encoderFault: null }
}

function jobOf(changes: Partial<TranscodeJob>): TranscodeJob {
  return {
    ...{ sessionId: 'a', source: new Uint8Array(1), profiles: [profileOf({ fps: 30 })], durationMs: 2000 },
    ...{ deadlineMs: 20_000, provider: 'ok', clip: null, calcPerceptualHash: false },
    ...changes,
  }
}

suite('sessions on several GPUs', { concurrency: 1 }, () => {
  test('are spread by what they cost, and stay where they are until they end', async () => {
    await using set = await setUp({ gpus: 2 })
    const large = [profileOf({ width: 1920, height: 1080, fps: 30 })]
    assert.equal(await set.done('large', 'ok', { profiles: large }), '0')
    assert.equal(await set.done('b'), '1')
    assert.equal(await set.done('c'), '1', 'two small ones cost less than the large one')
    assert.equal(await set.done('large', 'ok', { profiles: large }), '0')
    set.engine.sessionEnded('large')
    assert.equal(await set.done('d'), '0')
    assert.deepEqual(set.engine.state.devices, [
      { device: '0', sessions: 1, outOfService: null },
      { device: '1', sessions: 2, outOfService: null },
    ])
  })

  const outOf = async ({ engine }: Awaited<ReturnType<typeof setUp>>, gpu: number) => {
    await eventually('the GPU is out', () => engine.state.devices[gpu]!.outOfService !== null)
    return engine.state.devices[gpu]!.outOfService
  }

  test('leave a GPU that fails three times in a row and when tried out, which is named; no segment is lost', async () => {
    await using set = await setUp({ gpus: 2, tryOut: broken })
    for (let i = 0; i < 2; i++) assert.equal(await set.done('a', 'GPU 0 fails'), 'cores for GPU 0')
    assert.equal(await set.done('a'), '0', 'one that succeeds in between is kept')
    for (let i = 0; i < 3; i++) assert.equal(await set.done('a', 'GPU 0 fails'), 'cores for GPU 0')
    assert.equal(await outOf(set, 0), 'No such device')
    assert.equal(await set.done('a', 'GPU 0 fails'), '1')
    assert.equal(await set.done('b'), '1')
    const told = set.lines.filter((line) => line.includes('a GPU is taken out of service'))
    assert.equal(told.length, 1)
    assert.match(told[0]!, /"gpu":"0","reason":"Unknown error occurred".*"tryOut":"No such device"/)
  })

  test('stay on a GPU that works when tried out: then it was the stream', async () => {
    const tried: string[] = []
    const tryOut = async (device: string) => void tried.push(device)
    await using set = await setUp({ gpus: 2, tryOut })
    for (let i = 0; i < 9; i++) assert.equal(await set.done('bad', 'GPU 0 fails'), 'cores for GPU 0')
    assert.equal(await set.done('bad'), '0')
    assert.deepEqual(tried, ['0'], 'not again at once')
    assert.ok(set.lines.some((line) => line.includes('works when tried out: it stays in service')))
  })

  test('go on on the cores when the last GPU is out', async () => {
    await using set = await setUp({ gpus: 1, tryOut: broken })
    for (let i = 0; i < 3; i++) await set.done('a', 'GPU 0 fails')
    await outOf(set, 0)
    assert.equal(await set.done('a', 'GPU 0 fails'), 'cores')
    assert.ok(set.lines.some((line) => line.includes('the last GPU is taken out of service')))
  })

  test('leave a broken GPU under which three workers died, and are not blamed for it', async () => {
    await using set = await setUp({ gpus: 1, tryOut: broken })
    for (let i = 0; i < 3; i++) await assert.rejects(set.done('a', 'die'), { message: WORKER_DIED })
    assert.equal(await outOf(set, 0), 'No such device')
    assert.equal(await set.done('a'), 'cores')
  })

  test('do not make a GPU suspect by being called off', async () => {
    const tried: string[] = []
    await using set = await setUp({ gpus: 1, tryOut: async (device) => void tried.push(device) })
    for (let i = 0; i < 3; i++) {
      const abort = new AbortController()
      const call = set.engine.transcode(jobOf({ provider: 'hang' }), abort.signal)
      await eventually('it is at work', () => set.engine.state.workers[0]!.isBusy)
      await sleep(50)
      abort.abort()
      await assert.rejects(call, { name: 'AbortError' })
      await eventually('its worker is replaced', () => set.engine.state.workers[0]!.replaced === i + 1)
    }
    assert.equal(await set.done('a'), '0')
    assert.deepEqual(tried, [])
  })

  test('find all workers on the GPUs that are left', async () => {
    await using set = await setUp({ gpus: 2, workers: 2, tryOut: broken })
    for (let i = 0; i < 3; i++) await set.done('a', 'GPU 0 fails')
    await outOf(set, 0)
    const work = ['a', 'b', 'c', 'd'].map((session) => set.done(session, 'leak 0'))
    assert.deepEqual(await Promise.all(work), ['1', '1', '1', '1'])
    const hanging = ['e', 'f', 'g', 'h'].map((session) => set.done(session, 'hang', { deadlineMs: 3_000 }))
    await eventually('all four work', () => set.engine.state.workers.every(({ isBusy }) => isBusy))
    await Promise.allSettled(hanging)
  })
})

suite('what a segment does to its worker', { concurrency: 1 }, () => {
  test('a stream that ended three workers is refused for a while, others are not', async () => {
    await using set = await setUp({ workers: 2 })
    for (let i = 0; i < 3; i++) await assert.rejects(set.done('bad', 'die'), { message: WORKER_DIED })
    await assert.rejects(set.done('bad'), {
      message: /^This stream ended 3 media workers: refused for (59|60) s$/,
    })
    assert.equal(await set.done('good'), 'cores')
  })

  test('a gateway whose streams ended nine workers is refused whatever the stream, another is not', async () => {
    await using set = await setUp({ workers: 2 })
    const payer = '0x00000000000000000000000000000000000000aa'
    for (let i = 0; i < 9; i++)
      await assert.rejects(set.done(`s${i}`, 'die', { payer }), { message: WORKER_DIED })
    await assert.rejects(set.done('fresh', 'ok', { payer }), {
      message: /^This gateway ended 9 media workers: refused for (299|300) s$/,
    })
    assert.equal(
      await set.done('fresh', 'ok', { payer: '0x00000000000000000000000000000000000000bb' }),
      'cores',
    )
  })

  test('a stream whose segments wait in a row is refused as soon as it has ended three', async () => {
    await using set = await setUp({ workers: 2 })
    const payer = '0x00000000000000000000000000000000000000aa'
    const all = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => set.done(`s${index}`, 'die', { payer })),
    )
    const dead = all.filter((one) => one.status === 'rejected' && one.reason.message === WORKER_DIED)
    assert.ok(dead.length >= 9 && dead.length <= 10, `${dead.length} workers`)
  })

  test('a stream whose segments cannot be looked at without harm is refused too', async () => {
    await using set = await setUp({})
    const look = () => set.engine.probe(new Uint8Array(1), signal, 'input')
    for (let i = 0; i < 3; i++) await assert.rejects(look(), { message: WORKER_DIED })
    await assert.rejects(look(), { message: /^This stream ended 3 media workers: refused for/ })
    await assert.rejects(set.engine.probe(new Uint8Array(1), signal, 'other'), { message: WORKER_DIED })
  })

  for (const what of ['nothing', 'nonsense', 'huge', 'misshapen'])
    test(`a worker that says ${what} is ended, and nobody else notices`, async () => {
      await using set = await setUp({ workers: 2 })
      const [bad, good] = await Promise.allSettled([set.done('bad', what), set.done('good')])
      assert.equal(bad.status === 'rejected' && bad.reason.message, WORKER_DIED)
      assert.equal(good.status === 'fulfilled' && good.value, 'cores')
      const told = () => set.lines.find((line) => line.includes('a media worker ended and is replaced'))
      await eventually('it is told', () => told() !== undefined)
      assert.match(told()!, /"stderr":"it said /)
      assert.equal(await set.done('good'), 'cores')
    })

  test('a worker that ends while it is idle fails nobody, and nobody is blamed', async () => {
    await using set = await setUp({})
    for (let i = 0; i < 5; i++) {
      await eventually('it is ready', () => set.engine.state.workers[0]!.pid !== null)
      process.kill(set.engine.state.workers[0]!.pid!, 'SIGKILL')
      assert.equal(await set.done('a'), 'cores')
    }
    assert.equal(set.engine.state.workers[0]!.replaced, 5)
  })

  test('what a stream leaves in its worker’s memory is not the next one’s fault', async () => {
    await using set = await setUp({ maxWorkerBytes: 400 << 20 })
    const [before] = set.engine.state.workers
    assert.equal(await set.done('leaky', 'leak 250'), 'cores')
    assert.equal(await set.done('innocent', 'leak 250'), 'cores')
    assert.notEqual(set.engine.state.workers[0]!.pid, before!.pid)
    assert.deepEqual(
      set.lines.filter((line) => line.includes('outgrew')),
      [],
    )
  })

  test('sessions keep to workers of their own where there are enough', async () => {
    await using set = await setUp({ workers: 3 })
    const workerOf = async (session: string) => {
      const work = set.done(session, 'leak 0')
      const pid = set.engine.state.workers.find(({ isBusy }) => isBusy)!.pid
      await work
      return pid
    }
    const [a, b, c] = [await workerOf('a'), await workerOf('b'), await workerOf('c')]
    assert.equal(new Set([a, b, c]).size, 3)
    for (const [session, pid] of [
      ['b', b],
      ['a', a],
      ['c', c],
    ] as const)
      assert.equal(await workerOf(session), pid)
  })

  test('work that did not come to be begun in time is told from work that took too long', async () => {
    await using set = await setUp({})
    const first = set.done('a', 'hang', { deadlineMs: 300 })
    const second = set.done('b', 'ok', { deadlineMs: 300 })
    await assert.rejects(first, { name: 'MediaError', message: TOO_LATE })
    await assert.rejects(second, { name: 'BusyError', message: 'Too much media work is waiting' })
  })

  test('where no worker can be started, it is tried until one can', async () => {
    let isBroken = false
    await using set = await setUp({
      launch: (worker) => {
        if (isBroken) throw new Error('spawn ENOMEM')
        return new WorkerProcess(new URL('../../../test/fake-gpu-worker.ts', import.meta.url), worker)
      },
    })
    isBroken = true
    await assert.rejects(set.done('a', 'die'), { message: WORKER_DIED })
    await eventually('it is told', () => set.lines.some((line) => line.includes('spawn ENOMEM')))
    const work = set.done('a')
    isBroken = false
    assert.equal(await work, 'cores')
  })

  test('where somebody clears the temporary files away, the next worker makes its folder anew', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'livepeer-test-'))
    const before = process.env.TMPDIR
    try {
      process.env.TMPDIR = parent
      await using set = await setUp({})
      rmSync(parent, { recursive: true })
      await assert.rejects(set.done('a', 'die'), { message: WORKER_DIED })
      assert.equal(await set.done('a'), 'cores')
    } finally {
      if (before === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = before
      rmSync(parent, { recursive: true, force: true })
    }
  })

  test('a worker that never comes back ends with its process, killed as that may be', async () => {
    const here = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
    const script = `const { WorkerProcess } = await import(${here('./worker-process.ts')})
      const worker = new WorkerProcess(new URL(${here('../../../test/fake-gpu-worker.ts')}))
      await worker.ready
      worker.call('transcode', { provider: 'loop' })
      console.log(worker.pid); setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script])
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    await sleep(200)
    assert.equal(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'), '1000\n')
    parent.kill('SIGKILL')
    await eventually('it is gone', () => !existsSync(`/proc/${pid}`))
  })

  test('a worker that a kill does not end counts as gone after a while', async (t) => {
    await using set = await setUp({})
    const { pid } = set.engine.state.workers[0]!
    const kill = t.mock.method(ChildProcess.prototype, 'kill', () => true)
    const hanging = set.done('a', 'hang', { deadlineMs: 200 })
    const next = set.done('a')
    await assert.rejects(hanging, { message: TOO_LATE })
    await eventually('it was to be killed', () => kill.mock.callCount() > 0)
    kill.mock.restore()
    assert.equal(await next, 'cores')
    assert.notEqual(set.engine.state.workers[0]!.pid, pid)
    assert.ok(set.lines.some((line) => line.includes('it is still there 5 s after a kill -9')))
    process.kill(pid!, 'SIGKILL')
  })

  test('one that outgrows its memory fails, is ended and replaced, and its neighbours notice nothing', async () => {
    await using set = await setUp({ workers: 2, maxWorkerBytes: 300 << 20 })
    const grown = assert.rejects(set.done('bad', 'grow'), { message: WORKER_DIED })
    assert.equal(await set.done('good'), 'cores')
    await grown
    assert.ok(set.lines.some((line) => line.includes('a media worker outgrew its memory and is ended')))
    assert.equal(await set.done('good'), 'cores')
  })

  test('files of a worker that is killed are removed, and everything when the engine stops', async () => {
    const ours = () => readdirSync(tmpdir()).filter((name) => name.startsWith('livepeer-media-'))
    const before = new Set(ours())
    {
      await using set = await setUp({})
      const [folder] = ours().filter((name) => !before.has(name))
      const left = () => readdirSync(join(tmpdir(), folder!), { recursive: true }).map(String)
      const call = set.done('a', 'leave', { deadlineMs: 1_000 })
      await assert.rejects(call, { message: 'Media work took too long' })
      await eventually('the file gone', () => !left().some((name) => name.includes('left-')))
      assert.equal(await set.done('b'), 'cores')
    }
    assert.deepEqual(
      ours().filter((name) => !before.has(name)),
      [],
    )
  })

  test('what a killed process left is removed by the next, and nothing of one that lives', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'livepeer-test-'))
    const script = `const { openWorkFolder } = await import(${JSON.stringify(new URL('./work-folder.ts', import.meta.url).href)})
      console.log((await openWorkFolder(${JSON.stringify(parent)})).path); setInterval(() => {}, 1000)`
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script])
    try {
      const [line] = (await once(owner.stdout, 'data')) as [Buffer]
      const stale = line.toString().trim()
      const empty = mkdtempSync(join(parent, 'livepeer-media-'))
      const mine = await openWorkFolder(parent)
      assert.deepEqual([existsSync(stale), existsSync(empty)], [true, true], 'one lives, one is being made')
      owner.kill('SIGKILL')
      await once(owner, 'exit')
      utimesSync(empty, 0, 0)
      const next = await openWorkFolder(parent)
      assert.deepEqual([stale, empty, mine.path, next.path].map(existsSync), [false, false, true, true])
      await mine.remove()
      await next.remove()
      assert.deepEqual(readdirSync(parent), [])
    } finally {
      owner.kill('SIGKILL')
      rmSync(parent, { recursive: true })
    }
  })

  test('a left folder that is not ours to remove, or a socket of another shape, is left alone', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'livepeer-test-'))
    try {
      mkdirSync(join(parent, 'livepeer-media-odd', 'alive'), { recursive: true })
      writeFileSync(join(parent, 'livepeer-media-file'), '')
      const mine = await openWorkFolder(parent)
      await mine.remove()
      await assert.rejects(openWorkFolder(join(parent, 'missing')), {
        code: 'no-work-folder',
        message: /^no folder for temporary files can be made in .*missing \(.*\): set TMPDIR to another$/,
      })
    } finally {
      rmSync(parent, { recursive: true })
    }
  })
})
