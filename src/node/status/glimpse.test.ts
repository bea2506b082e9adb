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

test('a value is read again once it is older than its reader allows, and a failure leaves the last one', async () => {
  const clock = new ManualClock()
  let read = 0
  const glimpse = new Glimpse(
    async () => {
      if (++read === 3) throw new Error('connection refused')
      return read
    },
    clock,
    500,
  )
  const seen: (number | null)[] = []
  for (let i = 0; i < 5; i++) {
    seen.push(await glimpse.look())
    await clock.wind(300)
  }
  assert.deepEqual(seen, [1, 1, 2, 2, 2])
  assert.equal(read, 3)
})
