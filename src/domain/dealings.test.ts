import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALLOWED_LOST_PAYMENTS, banMs, isOverpaid, noDealings, withOutcome } from './dealings.ts'

const MINUTES = 60_000

test('an orchestrator is overpaid above twice its price, beyond some payments that may come to nothing', () => {
  const largest = 10n
  const allowed = ALLOWED_LOST_PAYMENTS * largest
  const table: readonly [earned: bigint, lost: bigint, overpaid: boolean][] = [
    [0n, 0n, false],
    [0n, allowed, false],
    [0n, allowed + 1n, true],
    [1000n, 1000n + allowed, false],
    [1000n, 1001n + allowed, true],
  ]
  for (const [earned, lost, overpaid] of table) {
    assert.equal(isOverpaid({ earned, lost, largest, sinceMs: 0 }), overpaid, `${earned} ${lost}`)
  }
})

test('what is counted adds up, the largest payment is kept, and each half hour halves the past', () => {
  let dealings = noDealings(0)
  dealings = withOutcome(dealings, { paid: 7n, earned: 4n, lost: 1n }, 0)
  dealings = withOutcome(dealings, { paid: 5n, earned: 4n, lost: 3n }, 30 * MINUTES - 1)
  assert.deepEqual(dealings, { earned: 8n, lost: 4n, largest: 7n, sinceMs: 0 })
  dealings = withOutcome(dealings, { paid: 1n, earned: 1n, lost: 1n }, 30 * MINUTES)
  assert.deepEqual(dealings, { earned: 5n, lost: 3n, largest: 3n, sinceMs: 30 * MINUTES })
  dealings = withOutcome(dealings, { paid: 0n, earned: 0n, lost: 0n }, 91 * MINUTES)
  assert.deepEqual(dealings, { earned: 1n, lost: 0n, largest: 0n, sinceMs: 90 * MINUTES })
  dealings = withOutcome(dealings, { paid: 2n, earned: 1n, lost: 1n }, 10 ** 12)
  assert.deepEqual([dealings.earned, dealings.lost, dealings.largest], [1n, 1n, 2n])
})

test('each ban is twice as long as the one before, up to an hour', () => {
  assert.deepEqual(
    [1, 2, 3, 7, 8, 9, 2000].map(banMs),
    [30_000, 60_000, 120_000, 1_920_000, 3_600_000, 3_600_000, 3_600_000],
  )
})
