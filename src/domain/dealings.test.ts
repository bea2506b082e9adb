import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALLOWED_LOSSES, banMs, isOverpaid, noDealings, withOutcome } from './dealings.ts'

const MINUTES = 60_000

test('an orchestrator counts as overpaid above twice its price, after more losses than can happen by accident', () => {
  const table: readonly [earned: bigint, lost: bigint, losses: number, overpaid: boolean][] = [
    [0n, 0n, 0, false],
    [0n, 1000n, ALLOWED_LOSSES, false],
    [0n, 1000n, ALLOWED_LOSSES + 1, true],
    [1000n, 1000n, 100, false],
    [1000n, 1001n, 100, true],
  ]
  for (const [earned, lost, losses, overpaid] of table) {
    assert.equal(isOverpaid({ earned, lost, losses, sinceMs: 0 }), overpaid, `${earned} ${lost} ${losses}`)
  }
})

test('outcomes add up, and each half hour halves the past', () => {
  let dealings = noDealings(0)
  dealings = withOutcome(dealings, { earned: 4n, lost: 1n }, 0)
  dealings = withOutcome(dealings, { earned: 4n, lost: 0n }, 0)
  dealings = withOutcome(dealings, { earned: 4n, lost: 3n }, 30 * MINUTES - 1)
  assert.deepEqual(dealings, { earned: 12n, lost: 4n, losses: 2, sinceMs: 0 })
  dealings = withOutcome(dealings, { earned: 1n, lost: 1n }, 30 * MINUTES)
  assert.deepEqual(dealings, { earned: 7n, lost: 3n, losses: 2, sinceMs: 30 * MINUTES })
  dealings = withOutcome(dealings, { earned: 0n, lost: 0n }, 91 * MINUTES)
  assert.deepEqual(dealings, { earned: 1n, lost: 0n, losses: 0, sinceMs: 90 * MINUTES })
  dealings = withOutcome(dealings, { earned: 1n, lost: 1n }, 10 ** 12)
  assert.deepEqual([dealings.earned, dealings.lost, dealings.losses], [1n, 1n, 1])
})

test('each ban is twice as long as the one before, up to an hour', () => {
  assert.deepEqual(
    [1, 2, 3, 10, 11, 12, 2000].map(banMs),
    [5_000, 10_000, 20_000, 2_560_000, 3_600_000, 3_600_000, 3_600_000],
  )
})
