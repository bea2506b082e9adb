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
import { FAKE_WORKER, fakedEngine } from '../../../../test/fakes/engine-of-fakes.ts'
import { useOwnTmpdir } from '../../../../test/tools/own-tmpdir.ts'
import { eventually } from '../../../../test/tools/until.ts'
import { WORKER_DIED } from '../../../domain/offences.ts'
import { TOO_LATE } from './engine.ts'
import { openWorkFolder } from './work-folder.ts'
import { WorkerProcess } from './worker-process.ts'

useOwnTmpdir()
/** For whatever hangs; the whole file may take minutes on a busy machine. */
const signal = AbortSignal.timeout(10 * 60_000)

suite('what a segment does to its worker', { concurrency: 1 }, () => {
  test('a stream that ended three workers is refused for a while, others are not', async () => {
    await using set = await fakedEngine({ workers: 2 })
    for (let i = 0; i < 3; i++) await assert.rejects(set.done('bad', 'die'), { message: WORKER_DIED })
    await assert.rejects(set.done('bad'), {
      message: /^This stream ended 3 media workers: refused for (59|60) s$/,
    })
    assert.equal(await set.done('good'), 'cores')
  })

  test('a gateway whose streams ended nine workers is refused whatever the stream, another is not', async () => {
    await using set = await fakedEngine({ workers: 2 })
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
    await using set = await fakedEngine({ workers: 2 })
    const payer = '0x00000000000000000000000000000000000000aa'
    const all = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => set.done(`s${index}`, 'die', { payer })),
    )
    const dead = all.filter((one) => one.status === 'rejected' && one.reason.message === WORKER_DIED)
    assert.ok(dead.length >= 9 && dead.length <= 10, `${dead.length} workers`)
  })

  test('a stream whose segments cannot be looked at without harm is refused too', async () => {
    await using set = await fakedEngine({})
    const look = () => set.engine.probe(new Uint8Array(1), signal, 'input')
    for (let i = 0; i < 3; i++) await assert.rejects(look(), { message: WORKER_DIED })
    await assert.rejects(look(), { message: /^This stream ended 3 media workers: refused for/ })
    await assert.rejects(set.engine.probe(new Uint8Array(1), signal, 'other'), { message: WORKER_DIED })
  })

  const LIES = [
    ...['nothing', 'nonsense', 'huge', 'misshapen', 'unasked', 'twice', 'negative', 'negative-rendition'],
    ...['countless-pixels', 'endless-frames', 'more-renditions', 'long-fault'],
  ]
  for (const what of LIES)
    test(`a worker that says ${what} is killed without effect on others`, async () => {
      await using set = await fakedEngine({ workers: 2 })
      const [bad, good] = await Promise.allSettled([set.done('bad', what), set.done('good')])
      assert.equal(bad.status === 'rejected' && bad.reason.message, WORKER_DIED)
      assert.equal(good.status === 'fulfilled' && good.value, 'cores')
      const told = () => set.lines.find((line) => line.includes('media worker ended, replacing it'))
      await eventually('it is told', () => told() !== undefined)
      assert.match(told()!, /"stderr":"it said /)
      assert.equal(await set.done('good'), 'cores')
    })

  test('a worker that ends while idle fails no segment and is blamed on no stream', async () => {
    await using set = await fakedEngine({})
    for (let i = 0; i < 5; i++) {
      await eventually('it is ready', () => set.engine.state.workers[0]!.pid !== null)
      process.kill(set.engine.state.workers[0]!.pid!, 'SIGKILL')
      assert.equal(await set.done('a'), 'cores')
    }
    assert.equal(set.engine.state.workers[0]!.replaced, 5)
  })

  test('what a stream leaves in its worker’s memory is not the next one’s fault', async () => {
    await using set = await fakedEngine({ maxWorkerBytes: 400 << 20 })
    const [before] = set.engine.state.workers
    assert.equal(await set.done('leaky', 'leak 250'), 'cores')
    assert.equal(await set.done('innocent', 'leak 250'), 'cores')
    assert.notEqual(set.engine.state.workers[0]!.pid, before!.pid)
    assert.deepEqual(
      set.lines.filter((line) => line.includes('outgrew')),
      [],
    )
  })

  test('work that did not come to be begun in time is told from work that took too long', async () => {
    await using set = await fakedEngine({})
    const first = set.done('a', 'hang', { deadlineMs: 300 })
    const second = set.done('b', 'ok', { deadlineMs: 300 })
    await assert.rejects(first, { name: 'MediaError', message: TOO_LATE })
    await assert.rejects(second, { name: 'BusyError', message: 'Too much media work is waiting' })
  })

  test('where no worker can be started, it is tried until one can', async () => {
    let isBroken = false
    await using set = await fakedEngine({
      launch: (worker) => {
        if (isBroken) throw new Error('spawn ENOMEM')
        return new WorkerProcess(FAKE_WORKER, worker)
      },
    })
    isBroken = true
    await assert.rejects(set.done('a', 'die'), { message: WORKER_DIED })
    await eventually('it is told', () => set.lines.some((line) => line.includes('spawn ENOMEM')))
    const work = set.done('a')
    isBroken = false
    assert.equal(await work, 'cores')
  })

  test('if the temporary files are deleted, the next worker recreates its folder', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'livepeer-test-'))
    const before = process.env.TMPDIR
    try {
      process.env.TMPDIR = parent
      await using set = await fakedEngine({})
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
      const worker = new WorkerProcess(new URL(${JSON.stringify(FAKE_WORKER.href)}))
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
    await using set = await fakedEngine({})
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
    await using set = await fakedEngine({ workers: 2, maxWorkerBytes: 300 << 20 })
    const grown = assert.rejects(set.done('bad', 'grow'), { message: WORKER_DIED })
    assert.equal(await set.done('good'), 'cores')
    await grown
    assert.ok(set.lines.some((line) => line.includes('media worker killed: it outgrew its memory')))
    assert.equal(await set.done('good'), 'cores')
  })

  test('files of a worker that is killed are removed, and everything when the engine stops', async () => {
    const ours = () => readdirSync(tmpdir()).filter((name) => name.startsWith('livepeer-media-'))
    const before = new Set(ours())
    {
      await using set = await fakedEngine({})
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
        message: /^cannot create a temporary folder in .*missing \(.*\): set TMPDIR to another folder$/,
      })
    } finally {
      rmSync(parent, { recursive: true })
    }
  })
})
