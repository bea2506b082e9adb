import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Alarm } from './alarm.ts'
import { ManualClock, settle } from './clock.ts'

test('ringing an alarm wakes its loop once, even when it rang before the wait', async () => {
  const clock = new ManualClock()
  const alarm = new Alarm()
  const { signal } = new AbortController()
  alarm.ring()
  alarm.ring()
  await alarm.wait(clock, 1000, signal)
  let woken = false
  const waiting = alarm.wait(clock, 1000, signal).then(() => {
    woken = true
  })
  await settle()
  assert.equal(woken, false)
  alarm.ring()
  await waiting
  assert.equal(clock.sleepers, 0)
})

test('an alarm that does not ring wakes its loop after the timeout, and stops waiting on abort', async () => {
  const clock = new ManualClock()
  const alarm = new Alarm()
  const stop = new AbortController()
  const waiting = alarm.wait(clock, 1000, stop.signal)
  await clock.wind(1000)
  await waiting
  const stopped = alarm.wait(clock, 1000, stop.signal)
  stop.abort()
  await assert.rejects(stopped, { name: 'AbortError' })
  assert.equal(clock.sleepers, 0)
})
