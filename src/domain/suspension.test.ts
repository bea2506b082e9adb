import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  lasting,
  NO_SUSPENSIONS,
  penaltyOf,
  refreshThreshold,
  remainingMs,
  requestedSessions,
  SUSPENSION_MS,
  suspend,
} from './suspension.ts'

test('a penalty lasts its number of half minutes, however long the stream has run', () => {
  for (const nowMs of [0, 1, 10 ** 12])
    for (const penalty of [1, 2, 5]) {
      const suspended = suspend(NO_SUSPENSIONS, 'https://a', { penalty, nowMs })
      for (let later = 0; later <= penalty; later++) {
        const left = remainingMs(suspended, 'https://a', nowMs + later * SUSPENSION_MS)
        assert.equal(left, (penalty - later) * SUSPENSION_MS)
      }
      assert.equal(remainingMs(suspended, 'https://a', nowMs + 9 * SUSPENSION_MS), 0)
    }
})

test('penalties of one orchestrator add up, and those that have ended are forgotten', () => {
  const once = suspend(NO_SUSPENSIONS, 'https://a', { penalty: 2, nowMs: 1_000 })
  const twice = suspend(once, 'https://a', { penalty: 2, nowMs: 1_000 })
  assert.equal(remainingMs(twice, 'https://a', 1_000), 4 * SUSPENSION_MS)
  assert.equal(remainingMs(twice, 'https://b', 1_000), 0)
  assert.equal(lasting(twice, 1_000 + 4 * SUSPENSION_MS - 1).size, 1)
  assert.equal(lasting(twice, 1_000 + 4 * SUSPENSION_MS).size, 0)
})

test('a failure in a pool of 40 that asked for 8 costs 5 penalties', () => {
  const table: readonly ['trusted' | 'untrusted', number, number, number, number][] = [
    // trust, size, requested, penalty, threshold
    ['trusted', 40, 8, 5, 4],
    ['trusted', 1, 1, 1, 1],
    ['trusted', 0, 0, 1, 0],
    ['trusted', 9, 8, 2, 4],
    ['untrusted', 40, 40, 1, 8],
    ['untrusted', 3, 3, 1, 2],
  ]
  for (const [trust, size, requested, penalty, threshold] of table) {
    assert.equal(requestedSessions(trust, size), requested)
    assert.equal(penaltyOf(size, requested), penalty)
    assert.equal(refreshThreshold(requested), threshold)
  }
})
