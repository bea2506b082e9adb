import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { ManualClock } from '../../lib/clock.ts'
import { AwaitedResults } from './awaited-results.ts'

const bytes = Uint8Array.of(1)

test('a result is awaited until it is fetched, removed, dropped with its session, or too old to be fetched', async () => {
  const clock = new ManualClock()
  const results = new AwaitedResults(new MemoryObjects({ baseUrl: 'https://o/stream/' }), clock)
  assert.equal(results.areLeft, false)
  assert.equal(await results.save('a/P/0.ts', bytes), 'https://o/stream/a/P/0.ts')
  await results.save('a/Q/0.ts', bytes)
  assert.deepEqual(await results.load('a/P/0.ts'), bytes)
  assert.equal(results.areLeft, true)
  await results.load('a/Q/0.ts')
  assert.equal(results.areLeft, false)

  await results.save('a/P/1.ts', bytes)
  await results.remove('a/P/1.ts')
  assert.equal(results.areLeft, false)

  await results.save('a/P/2.ts', bytes)
  await results.save('b/P/2.ts', bytes)
  await results.drop('a/')
  assert.equal(results.areLeft, true)
  await clock.wind(4_999)
  assert.equal(results.areLeft, true)
  await results.save('c/P/2.ts', bytes)
  await clock.wind(1)
  assert.equal(results.areLeft, true)
  await clock.wind(4_999)
  assert.equal(results.areLeft, false)
  assert.deepEqual(await results.load('b/P/2.ts'), bytes, 'it is still there')
})
