import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from './clock.ts'

test('sleepers of a manual clock wake in order and see the time they asked for', async () => {
  const clock = new ManualClock(1000)
  const seen: string[] = []
  const sleeper = async (name: string, ms: number) => {
    await clock.sleep(ms)
    seen.push(`${name} at ${clock.now()}`)
  }
  void sleeper('late', 300)
  void sleeper('early', 100).then(() => sleeper('again', 100))
  await clock.wind(250)
  assert.deepEqual(seen, ['early at 1100', 'again at 1200'])
  await clock.wind(50)
  assert.deepEqual(seen.at(-1), 'late at 1300')
  assert.equal(clock.now(), 1300)
})

test('an aborted sleep rejects with an AbortError and is removed', async () => {
  const clock = new ManualClock()
  const abort = new AbortController()
  const sleeping = clock.sleep(1000, abort.signal)
  abort.abort()
  await assert.rejects(sleeping, { name: 'AbortError' })
  assert.equal(clock.sleepers, 0)
  await assert.rejects(clock.sleep(1, abort.signal), { name: 'AbortError' })
})
