import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock, settle } from '../../lib/clock.ts'
import { Glimpse } from './glimpse.ts'

test('a chain that does not answer holds up the status for less than a second, then it gets the last value', async () => {
  const clock = new ManualClock()
  let answer = Promise.withResolvers<number>()
  const glimpse = new Glimpse(() => answer.promise, clock)
  const first = glimpse.look()
  await clock.wind(999)
  assert.equal(await first, null)
  answer.resolve(7)
  await settle()
  assert.equal(await glimpse.look(), 7)
  answer = Promise.withResolvers<number>()
  await clock.wind(60_000)
  const second = glimpse.look()
  await clock.wind(999)
  assert.equal(await second, 7)
})
