import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock, settle } from '../../lib/clock.ts'
import { Refresher } from './refresher.ts'

/** A refresher on a manual clock, which notes when it reads; a reading takes as long as the test says. */
function refresher() {
  const clock = new ManualClock(0)
  const readAt: number[] = []
  let reading = Promise.withResolvers<void>()
  reading.resolve()
  const timers = {
    now: () => clock.now(),
    after: (ms: number, act: () => void) => {
      const late = new AbortController()
      clock.sleep(ms, late.signal).then(act, () => {})
      return () => late.abort()
    },
  }
  const made = new Refresher(async () => {
    readAt.push(clock.now())
    await reading.promise
  }, timers)
  return {
    ...{ clock, made, readAt },
    slow: () => {
      reading = Promise.withResolvers<void>()
      return () => reading.resolve()
    },
  }
}

test('figures are read at once, every few seconds, and soon after an event', async () => {
  const { clock, made, readAt } = refresher()
  made.poke()
  await clock.wind(5_000)
  assert.deepEqual(readAt, [0, 2_000, 4_000])
  for (let i = 0; i < 50; i++) made.poke()
  await clock.wind(100)
  assert.deepEqual(readAt.slice(3), [5_000], 'at once, since the last reading was a second ago')
  for (let i = 0; i < 50; i++) {
    made.poke()
    await clock.wind(10)
  }
  await clock.wind(400)
  assert.deepEqual(readAt.slice(4), [6_000], 'not more than once a second, whatever happens')
})

test('two readings never overlap, and what happens during one leads to another', async () => {
  const { clock, made, readAt, slow } = refresher()
  const finish = slow()
  made.poke()
  await clock.wind(0)
  made.poke()
  await clock.wind(10_000)
  assert.deepEqual(readAt, [0])
  finish()
  await settle()
  await clock.wind(1)
  assert.deepEqual(readAt, [0, 10_000])
})

test('nothing is read while nobody looks', async () => {
  const { clock, made, readAt } = refresher()
  made.poke()
  await clock.wind(100)
  made.pause()
  made.poke()
  await clock.wind(60_000)
  assert.deepEqual(readAt, [0])
  made.resume()
  await clock.wind(1)
  assert.deepEqual(readAt, [0, 60_100])
})
