import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fakedEngine, mediaJob } from '../../../../test/fakes/engine-of-fakes.ts'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { eventually } from '../../../../test/tools/until.ts'
import { WORKER_DIED } from '../../../domain/offences.ts'
import { MediaError } from './media-error.ts'

// The engine's own part in all this, with workers that only pretend to have a GPU.

/** What a GPU says that is tried out and does not work. */
const broken = () => Promise.reject(new MediaError('No such device'))

suite('sessions on several GPUs', { concurrency: 1 }, () => {
  test('are spread by what they cost, and stay where they are until they end', async () => {
    await using set = await fakedEngine({ gpus: 2 })
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

  const outOf = async ({ engine }: Awaited<ReturnType<typeof fakedEngine>>, gpu: number) => {
    await eventually('the GPU is out', () => engine.state.devices[gpu]!.outOfService !== null)
    return engine.state.devices[gpu]!.outOfService
  }

  test('leave a GPU that fails three times in a row and when tried out, which is named; no segment is lost', async () => {
    await using set = await fakedEngine({ gpus: 2, tryOut: broken })
    for (let i = 0; i < 2; i++) assert.equal(await set.done('a', 'GPU 0 fails'), 'cores for GPU 0')
    assert.equal(await set.done('a'), '0', 'one that succeeds in between is kept')
    for (let i = 0; i < 3; i++) assert.equal(await set.done('a', 'GPU 0 fails'), 'cores for GPU 0')
    assert.equal(await outOf(set, 0), 'No such device')
    assert.equal(await set.done('a', 'GPU 0 fails'), '1')
    assert.equal(await set.done('b'), '1')
    const told = set.lines.filter((line) => line.includes('GPU taken out of service'))
    assert.equal(told.length, 1)
    assert.match(told[0]!, /"gpu":"0","reason":"Unknown error occurred".*"tryOut":"No such device"/)
  })

  test('stay on a GPU that works when tried out: then it was the stream', async () => {
    const tried: string[] = []
    const tryOut = async (device: string) => void tried.push(device)
    await using set = await fakedEngine({ gpus: 2, tryOut })
    for (let i = 0; i < 9; i++) assert.equal(await set.done('bad', 'GPU 0 fails'), 'cores for GPU 0')
    assert.equal(await set.done('bad'), '0')
    assert.deepEqual(tried, ['0'], 'not again at once')
    assert.ok(set.lines.some((line) => line.includes('passed its test: it stays in service')))
  })

  test('go on on the cores when the last GPU is out', async () => {
    await using set = await fakedEngine({ gpus: 1, tryOut: broken })
    for (let i = 0; i < 3; i++) await set.done('a', 'GPU 0 fails')
    await outOf(set, 0)
    assert.equal(await set.done('a', 'GPU 0 fails'), 'cores')
    assert.ok(set.lines.some((line) => line.includes('last GPU taken out of service')))
  })

  test('leave a broken GPU under which three workers died, and are not blamed for it', async () => {
    await using set = await fakedEngine({ gpus: 1, tryOut: broken })
    for (let i = 0; i < 3; i++) await assert.rejects(set.done('a', 'die'), { message: WORKER_DIED })
    assert.equal(await outOf(set, 0), 'No such device')
    assert.equal(await set.done('a'), 'cores')
  })

  test('do not make a GPU suspect by being called off', async () => {
    const tried: string[] = []
    await using set = await fakedEngine({ gpus: 1, tryOut: async (device) => void tried.push(device) })
    for (let i = 0; i < 3; i++) {
      const abort = new AbortController()
      const call = set.engine.transcode(mediaJob({ provider: 'hang' }), abort.signal)
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
    await using set = await fakedEngine({ gpus: 2, workers: 2, tryOut: broken })
    for (let i = 0; i < 3; i++) await set.done('a', 'GPU 0 fails')
    await outOf(set, 0)
    const work = ['a', 'b', 'c', 'd'].map((session) => set.done(session, 'leak 0'))
    assert.deepEqual(await Promise.all(work), ['1', '1', '1', '1'])
    const hanging = ['e', 'f', 'g', 'h'].map((session) => set.done(session, 'hang', { deadlineMs: 3_000 }))
    await eventually('all four work', () => set.engine.state.workers.every(({ isBusy }) => isBusy))
    await Promise.allSettled(hanging)
  })
})
