import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rational } from '../lib/rational.ts'
import { dayOf, gasFor, gasOf, mondayOf, NO_MONEY, partsOf, plus, startOfDay, weiOfParts } from './money.ts'
import { expectedValue, MAX_WIN_PROB } from './ticket.ts'

test('days are counted in UTC, and weeks begin on Monday', () => {
  for (const [day, monday] of [
    ['2026-11-29T23:59:59.999Z', '2026-11-23'],
    ['2026-11-30T00:00:00.000Z', '2026-11-30'],
    ['2026-12-06T12:00:00.000Z', '2026-11-30'],
    ['1970-01-05T00:00:00.000Z', '1970-01-05'],
  ] as const) {
    const at = dayOf(Date.parse(day))
    assert.equal(new Date(startOfDay(at)).toISOString().slice(0, 10), day.slice(0, 10))
    assert.equal(new Date(startOfDay(mondayOf(at))).toISOString().slice(0, 10), monday, day)
  }
})

test('the fee of a transaction is counted by its purpose', () => {
  assert.deepEqual(gasFor('redeem 0x01 0x02', 5n), { redeemGas: 5n })
  assert.deepEqual(gasFor('reward 0x7099', 5n), { rewardGas: 5n })
  assert.deepEqual(gasFor('initialize round', 5n), { otherGas: 5n })
  assert.deepEqual(gasFor('fill nonce 7', 5n), { otherGas: 5n })
  const money = [gasFor('redeem 0x01', 1n), gasFor('reward 0x', 10n), gasFor('initialize round', 100n)]
  assert.equal(gasOf(money.reduce(plus, NO_MONEY)), 111n)
})

test('expected values add up exactly, whatever their denominators', () => {
  let parts = 0n
  let exact = Rational.zero
  const winProbs = [1n, 2n ** 200n + 1n, MAX_WIN_PROB / 3n, MAX_WIN_PROB - 1n, MAX_WIN_PROB]
  for (let i = 0; i < 1_000; i++) {
    const value = expectedValue(10n ** 18n + BigInt(i), winProbs[i % winProbs.length]!)
    parts += partsOf(value)
    exact = exact.add(value)
  }
  assert.ok(Rational.of(parts, MAX_WIN_PROB).equals(exact))
  assert.equal(weiOfParts(parts), exact.floor())
})
