import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle } from '../lib/clock.ts'
import { abortError, NodeError } from '../lib/errors.ts'
import { silentLog } from '../lib/log.ts'
import { Drain } from './drain.ts'

/** Parts whose drain goes on until it is released or aborted. */
function world() {
  const done: string[] = []
  const health: (string | null)[] = []
  const held = Promise.withResolvers<void>()
  const stop = new AbortController()
  const parts = {
    drain: (signal: AbortSignal) => {
      done.push('drain')
      const aborted = Promise.withResolvers<never>()
      const onAbort = () => aborted.reject(abortError(signal))
      if (signal.aborted) onAbort()
      signal.addEventListener('abort', onAbort)
      return Promise.race([held.promise, aborted.promise])
    },
    undrain: async () => void done.push('undrain'),
  }
  const drain = new Drain({
    parts: () => parts,
    waitFor: (what) => void health.push(what),
    signal: stop.signal,
    log: silentLog,
  })
  return { done, drain, health, parts, stop, release: () => held.resolve() }
}

test('a drain turns health red first, is begun once, and is over when what runs is finished', async () => {
  const { done, drain, health, release } = world()
  assert.equal(drain.state, null)
  assert.equal(drain.begin(), 'draining')
  assert.equal(drain.begin(), 'draining')
  assert.deepEqual([done, health], [['drain'], ['running work to finish']])
  release()
  await settle()
  assert.equal(drain.state, 'drained')
  assert.equal(drain.begin(), 'drained')
  assert.deepEqual([done, health], [['drain'], ['running work to finish', 'livepeer undrain']])
})

test('a drain is undone during it and after it, and nothing is done where there is none', async () => {
  const { done, drain, health, release } = world()
  await drain.undo()
  assert.deepEqual(done, [])
  drain.begin()
  await drain.undo()
  assert.deepEqual([drain.state, done, health.at(-1)], [null, ['drain', 'undrain'], null])
  release()
  drain.begin()
  await settle()
  assert.equal(drain.state, 'drained')
  await drain.undo()
  assert.deepEqual([drain.state, health.at(-1)], [null, null])
})

test('a node that ends drains for good: it goes on with a drain that runs, and does not take work again', async () => {
  const { done, drain, release } = world()
  drain.begin()
  const finished = drain.finish()
  await assert.rejects(drain.undo(), { code: 'stopping' })
  release()
  await finished
  assert.deepEqual([done, drain.state], [['drain'], 'drained'])
})

test('a node that ends while it is taking work again drains once it has', async () => {
  const { done, drain, parts, release } = world()
  const listening = Promise.withResolvers<void>()
  parts.undrain = async () => {
    await listening.promise
    done.push('undrain')
  }
  drain.begin()
  const undone = drain.undo()
  const finished = drain.finish()
  await settle()
  listening.resolve()
  await undone
  release()
  await finished
  assert.deepEqual(done, ['drain', 'undrain', 'drain'])
})

test('a second signal ends the waiting, and what fails a drain ends the node', async () => {
  const one = world()
  const finished = one.drain.finish()
  one.stop.abort()
  await finished

  const other = world()
  other.parts.drain = async () => {
    throw new NodeError('broken', 'the port is gone')
  }
  other.drain.begin()
  await assert.rejects(other.drain.finish(), { code: 'broken' })
})

test('a node that cannot take work again stays drained', async () => {
  const { drain, parts, release } = world()
  release()
  drain.begin()
  await settle()
  const undrain = parts.undrain
  parts.undrain = async () => {
    throw new NodeError('cannot-listen', 'another process uses that port')
  }
  await assert.rejects(drain.undo(), { code: 'cannot-listen' })
  assert.equal(drain.state, 'drained')
  parts.undrain = undrain
  await drain.undo()
  assert.equal(drain.state, null)
})
