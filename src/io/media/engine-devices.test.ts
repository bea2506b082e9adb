import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { profileOf } from '../../../test/media.ts'
import { eventually } from '../../../test/until.ts'
import type { MediaAbilities } from '../../domain/media-abilities.ts'
import { systemClock } from '../../lib/clock.ts'
import { openLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import type { TranscodeJob } from '../../services/orchestrator.ts'
import { MediaEngine, type MediaEngineNeeds } from './engine.ts'
import { openWorkFolder } from './work-folder.ts'
import { WORKER_DIED, WorkerProcess } from './worker-process.ts'

// The engine's own part in all this, with workers that only pretend to have a GPU (test/fake-gpu-worker.ts).

const signal = AbortSignal.timeout(60_000)

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

  test('leave a GPU that fails three times in a row, which is named; no segment is lost', async () => {
    await using set = await setUp({ gpus: 2 })
    for (let i = 0; i < 2; i++) assert.equal(await set.done('a', 'GPU 0 fails'), 'cores for GPU 0')
    assert.equal(await set.done('a'), '0', 'one that succeeds in between is kept')
    for (let i = 0; i < 3; i++) assert.equal(await set.done('a', 'GPU 0 fails'), 'cores for GPU 0')
    assert.equal(await set.done('a', 'GPU 0 fails'), '1')
    assert.equal(await set.done('b'), '1')
    assert.equal(set.engine.state.devices[0]!.outOfService, 'Unknown error occurred')
    const told = set.lines.filter((line) => line.includes('a GPU is taken out of service'))
    assert.equal(told.length, 1)
    assert.match(told[0]!, /"gpu":"0"/)
  })

  test('go on on the cores when the last GPU is out', async () => {
    await using set = await setUp({ gpus: 1 })
    for (let i = 0; i < 3; i++) await set.done('a', 'GPU 0 fails')
    assert.equal(await set.done('a', 'GPU 0 fails'), 'cores')
    assert.ok(set.lines.some((line) => line.includes('the last GPU is taken out of service')))
  })

  test('leave a GPU under which three workers died', async () => {
    await using set = await setUp({ gpus: 1 })
    for (const session of ['a', 'b', 'c'])
      await assert.rejects(set.done(session, 'die'), { message: WORKER_DIED })
    assert.equal(await set.done('d'), 'cores')
    assert.equal(set.engine.state.devices[0]!.outOfService, 'its worker died')
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

  test('one that outgrows its memory fails, is ended and replaced, and its neighbours notice nothing', async () => {
    await using set = await setUp({ workers: 2, maxWorkerBytes: 300 << 20 })
    const grown = assert.rejects(set.done('bad', 'grow'), { message: WORKER_DIED })
    assert.equal(await set.done('good'), 'cores')
    await grown
    assert.ok(set.lines.some((line) => line.includes('a media worker outgrew its memory and is ended')))
    assert.equal(await set.done('good'), 'cores')
  })

  test('files of a worker that is killed are removed, and everything when the engine stops', async () => {
    const ours = () =>
      readdirSync(tmpdir()).filter((name) => name.startsWith(`livepeer-media-${process.pid}-`))
    const before = new Set(ours())
    {
      await using set = await setUp({})
      const [folder] = ours().filter((name) => !before.has(name))
      const left = () => readdirSync(join(tmpdir(), folder!), { recursive: true }).map(String)
      const call = set.done('a', 'leave a file and hang', { deadlineMs: 1_000 })
      await assert.rejects(call, { message: 'Media work took too long' })
      await eventually('the file gone', () => !left().some((name) => name.includes('left-')))
      assert.equal(await set.done('b'), 'cores')
    }
    assert.deepEqual(
      ours().filter((name) => !before.has(name)),
      [],
    )
  })

  test('what a killed process left is removed by the next', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'livepeer-test-'))
    try {
      const { pid, ended } = new WorkerProcess(new URL('../../../test/fake-gpu-worker.ts', import.meta.url))
      const stale = mkdtempSync(join(parent, `livepeer-media-${pid}-`))
      const mine = await openWorkFolder(parent)
      assert.ok(existsSync(stale), 'its process is alive')
      process.kill(pid!, 'SIGKILL')
      await ended
      const next = await openWorkFolder(parent)
      assert.deepEqual([existsSync(stale), existsSync(mine), existsSync(next)], [false, true, true])
    } finally {
      rmSync(parent, { recursive: true })
    }
  })
})
