import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  afterRefresh,
  NO_SUSPENSIONS,
  penaltyOf,
  refreshThreshold,
  remainingPenalty,
  requestedSessions,
  type Suspensions,
  suspend,
} from './suspension.ts'

function refreshed(suspensions: Suspensions, times: number): Suspensions {
  for (let i = 0; i < times; i++) suspensions = afterRefresh(suspensions)
  return suspensions
}

test('a penalty lasts its number of refreshes, regardless of earlier refreshes', () => {
  for (const before of [0, 1, 2, 100])
    for (const penalty of [1, 2, 5]) {
      const suspended = suspend(refreshed(NO_SUSPENSIONS, before), 'https://a', penalty)
      for (let later = 0; later <= penalty; later++) {
        assert.equal(remainingPenalty(refreshed(suspended, later), 'https://a'), penalty - later)
      }
    }
})

test('penalties of one orchestrator add up, and expired ones are removed', () => {
  const twice = suspend(suspend(refreshed(NO_SUSPENSIONS, 3), 'https://a', 2), 'https://a', 2)
  assert.equal(remainingPenalty(twice, 'https://a'), 4)
  assert.equal(remainingPenalty(twice, 'https://b'), 0)
  assert.equal(refreshed(twice, 4).until.size, 0)
})

test('a failure in a pool of 40 that asked for 8 costs 5 refreshes', () => {
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
