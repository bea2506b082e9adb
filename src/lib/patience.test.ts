import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from './clock.ts'
import { isDoneWithin, TimeLimit, unlessAborted } from './patience.ts'

test('work is waited for, but no longer than for its time; its failure is passed on', async () => {
  const clock = new ManualClock()
  assert.equal(await isDoneWithin(clock, 1_000, Promise.resolve()), true)
  await assert.rejects(isDoneWithin(clock, 1_000, Promise.reject(new Error('failed'))), { message: 'failed' })
  const work = Promise.withResolvers<void>()
  const waiting = isDoneWithin(clock, 1_000, work.promise)
  await clock.wind(1_000)
  assert.equal(await waiting, false)
  // A failure after that is not unhandled.
  work.reject(new Error('late'))
})

test('work that takes no notice of a signal is waited for until that is aborted', async () => {
  const ended = new AbortController()
  assert.equal(await unlessAborted(Promise.resolve(7), ended.signal), 7)
  const work = Promise.withResolvers<void>()
  const waiting = unlessAborted(work.promise, ended.signal)
  ended.abort()
  await assert.rejects(waiting, { name: 'AbortError' })
  await assert.rejects(unlessAborted(work.promise, ended.signal), { name: 'AbortError' })
  // A failure after that is not unhandled.
  work.reject(new Error('late'))
})

test('a limit aborts after its time, and never once it is disposed of', async () => {
  const clock = new ManualClock()
  const passed = new TimeLimit(clock, 1_000)
  const kept = new TimeLimit(clock, 1_000)
  await clock.wind(999)
  assert.equal(passed.signal.aborted, false)
  kept[Symbol.dispose]()
  await clock.wind(1)
  assert.deepEqual([passed.signal.aborted, kept.signal.aborted], [true, false])
})
