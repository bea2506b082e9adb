import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ETH_NAMED,
  ETH_TYPED,
  exactAmount,
  LPT_NAMED,
  LPT_TYPED,
  parseTypedAmount,
  WEI_TYPED,
} from './typed-amount.ts'

const LPT = 10n ** 18n

test('an amount is read in the unit that it names, and without one in the currency’s own', () => {
  const rows: [string, typeof LPT_TYPED, bigint][] = [
    ['100 LPT', LPT_TYPED, 100n * LPT],
    ['100lpt', LPT_TYPED, 100n * LPT],
    ['0.5 LPT', LPT_TYPED, LPT / 2n],
    ['.5LPT', LPT_TYPED, LPT / 2n],
    ['1.0 LPTU', LPT_TYPED, 1n],
    ['100', LPT_TYPED, 100n],
    ['7 lptu', LPT_TYPED, 7n],
    ['1', ETH_TYPED, LPT],
    ['0.000000000000000001', ETH_TYPED, 1n],
    ['3 gwei', ETH_TYPED, 3_000_000_000n],
    ['3', WEI_TYPED, 3n],
    ['1.5 gwei', WEI_TYPED, 1_500_000_000n],
    ['0', WEI_TYPED, 0n],
    [(2n ** 256n - 1n).toString(), WEI_TYPED, 2n ** 256n - 1n],
  ]
  for (const [text, currency, amount] of rows) assert.equal(parseTypedAmount(text, currency), amount, text)
})

test('what is not an amount, or is ambiguous or out of range, is refused with the reason', () => {
  const rows: [string, typeof LPT_TYPED, RegExp][] = [
    ['', LPT_TYPED, /is not an amount/],
    ['.', LPT_TYPED, /is not an amount/],
    ['x', LPT_TYPED, /"x" is not an amount: write a number, such as 1\.5 LPT/],
    ['1e18', LPT_TYPED, /is not an amount/],
    ['1,5 LPT', LPT_TYPED, /is not an amount/],
    ['-1', ETH_TYPED, /-1 is negative/],
    ['1.5', LPT_TYPED, /1\.5 is in LPTU, which has no fractions/],
    ['1 ETH', LPT_TYPED, /ETH is not a unit here: write LPT, LPTU/],
    ['1.1234567890123456789', ETH_TYPED, /more than the 18 decimals of ETH/],
    [(2n ** 256n + 1n).toString(), LPT_TYPED, /larger than 2\^256 − 1/],
    [`${2n ** 256n} LPT`, LPT_TYPED, /larger than 2\^256 − 1/],
    ['1'.repeat(101), LPT_TYPED, /is not an amount/],
    ['1.5', LPT_NAMED, /^1\.5 has no unit: write 1\.5LPT or 1\.5LPTU$/],
    ['7', ETH_NAMED, /^7 has no unit: write 7ETH or 7gwei or 7wei$/],
  ]
  for (const [text, currency, words] of rows) {
    assert.throws(() => parseTypedAmount(text, currency), { code: 'bad-amount', message: words }, text)
  }
})

test('0 needs no unit', () => {
  for (const text of ['0', '0.0', '0wei']) assert.equal(parseTypedAmount(text, ETH_NAMED), 0n)
})

test('amounts are shown to the last digit', () => {
  assert.equal(exactAmount(0n, LPT_TYPED), '0 LPTU')
  assert.equal(exactAmount(7n, LPT_TYPED), '7 LPTU')
  assert.equal(exactAmount(100n * LPT, LPT_TYPED), '100 LPT')
  assert.equal(exactAmount(4909999999999999999993n, LPT_TYPED), '4909.999999999999999993 LPT')
  assert.equal(exactAmount(LPT / 2n, ETH_TYPED), '0.5 ETH')
  assert.equal(exactAmount(21_000n, WEI_TYPED), '21000 wei')
  assert.equal(exactAmount(-LPT, ETH_TYPED), '-1 ETH')
})

test('what is shown is read back as the same amount', () => {
  for (const amount of [0n, 1n, 10n ** 12n, 10n ** 12n - 1n, 123_456_789n * 10n ** 13n, 5n * LPT + 1n]) {
    assert.equal(parseTypedAmount(exactAmount(amount, LPT_TYPED), LPT_TYPED), amount)
  }
})
