import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { FAKE_WORKER, fakedEngine } from '../../../../test/fakes/engine-of-fakes.ts'
import { eventually } from '../../../../test/tools/until.ts'
import { WorkerProcess } from './worker-process.ts'

/** Workers that start only when work waits for one. */

type Engine = Awaited<ReturnType<typeof fakedEngine>>['engine']

const started = (engine: Engine) => engine.state.workers.map(({ pid }) => pid !== null)
const busy = (engine: Engine) => engine.state.workers.map(({ isBusy }) => isBusy)

/** A job that is worked on until the gate opens. */
function gateOf(t: TestContext): { readonly provider: string; open(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'gate-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'open')
  return { provider: `wait ${path}`, open: () => writeFileSync(path, '') }
}

test('otherwise all workers start with the engine, those of every GPU', async () => {
  await using set = await fakedEngine({ workers: 2, gpus: 2 })
  assert.deepEqual(started(set.engine), [true, true, true, true])
})

test('one worker does the work that comes in turn', async () => {
  await using set = await fakedEngine({ workers: 3, growsOnDemand: true })
  assert.deepEqual(started(set.engine), [true, false, false])
  for (const session of ['a', 'b', 'c']) assert.equal(await set.done(session), 'cores')
  assert.deepEqual(started(set.engine), [true, false, false])
})

test('another worker starts for each job that has to wait, as far as there are any', async (t) => {
  await using set = await fakedEngine({ workers: 3, growsOnDemand: true })
  const gate = gateOf(t)
  const first = set.done('a', gate.provider)
  await eventually('the first is busy', () => busy(set.engine)[0]!)
  // It does not wait for the busy one.
  assert.equal(await set.done('b'), 'cores')
  assert.deepEqual(started(set.engine), [true, true, false])
  const others = ['c', 'd', 'e'].map((session) => set.done(session, gate.provider))
  await eventually('all are busy', () => busy(set.engine).every(Boolean))
  gate.open()
  assert.deepEqual(await Promise.all([first, ...others]), ['cores', 'cores', 'cores', 'cores'])
  assert.deepEqual(
    set.lines.filter((line) => /"level":"(warn|error)"/.test(line)),
    [],
  )
})

test('a segment of a session that is being worked on starts no worker', async (t) => {
  await using set = await fakedEngine({ workers: 2, growsOnDemand: true })
  const gate = gateOf(t)
  const both = [set.done('a', gate.provider), set.done('a', gate.provider)]
  await eventually('it is busy', () => busy(set.engine)[0]!)
  assert.deepEqual(started(set.engine), [true, false])
  gate.open()
  await Promise.all(both)
  assert.deepEqual(started(set.engine), [true, false])
})

test('a worker that cannot be started when it is needed is started again', async (t) => {
  let launches = 0
  await using set = await fakedEngine({
    ...{ workers: 2, growsOnDemand: true },
    launch: (setUp) => {
      if (++launches === 2) throw new Error('spawn EAGAIN')
      return new WorkerProcess(FAKE_WORKER, setUp)
    },
  })
  const gate = gateOf(t)
  const first = set.done('a', gate.provider)
  await eventually('the first is busy', () => busy(set.engine)[0]!)
  assert.equal(await set.done('b'), 'cores')
  assert.equal(launches, 3)
  const warned = set.lines.filter((line) => line.includes('"level":"warn"'))
  assert.deepEqual(
    warned.map((line) => JSON.parse(line).error),
    ['spawn EAGAIN'],
  )
  gate.open()
  assert.equal(await first, 'cores')
})
