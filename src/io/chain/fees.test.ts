import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gasPriceTooHigh, offerFor, replacementFor } from './fees.ts'

test('an offer leaves room for the base fee to double and for the tip, and ends at the maximum', () => {
  const cases: [{ baseFee: bigint; tip: bigint }, bigint, [bigint, bigint]][] = [
    [{ baseFee: 100n, tip: 3n }, 0n, [203n, 3n]],
    [{ baseFee: 100n, tip: 3n }, 1_000n, [203n, 3n]],
    [{ baseFee: 100n, tip: 3n }, 150n, [150n, 3n]],
    // A base fee that decayed far below the tip: the tip gives way (C1).
    [{ baseFee: 7n, tip: 1_000n }, 500n, [500n, 500n]],
    [{ baseFee: 7n, tip: 1_000n }, 1_014n, [1_014n, 1_000n]],
    [{ baseFee: 0n, tip: 0n }, 5n, [0n, 0n]],
  ]
  for (const [market, max, [fee, tip]] of cases) {
    assert.deepEqual(offerFor(market, max), { maxFeePerGas: fee, maxPriorityFeePerGas: tip })
  }
})

test('a base fee above the maximum is refused with both in the sentence', () => {
  assert.throws(() => offerFor({ baseFee: 2_500_000_000n, tip: 0n }, 2_000_000_000n), {
    code: 'gas-price-too-high',
    message: 'current gas price exceeds maximum gas price max=2 GWei current=2.5 GWei',
  })
  assert.equal(
    gasPriceTooHigh(7n, 100_000_000_000n).message,
    'current gas price exceeds maximum gas price max=100 GWei current=0.000000007 GWei',
  )
})

test('a replacement pays 11 % more of both, rounded up, or what the market asks by now', () => {
  const cases: [[bigint, bigint], { baseFee: bigint; tip: bigint }, bigint, [bigint, bigint] | null][] = [
    [[100n, 10n], { baseFee: 1n, tip: 1n }, 0n, [111n, 12n]],
    [[101n, 1n], { baseFee: 1n, tip: 1n }, 0n, [113n, 2n]],
    [[100n, 10n], { baseFee: 200n, tip: 50n }, 0n, [450n, 50n]],
    [[100n, 10n], { baseFee: 200n, tip: 50n }, 300n, [300n, 50n]],
    [[100n, 10n], { baseFee: 1n, tip: 1n }, 111n, [111n, 12n]],
    [[100n, 10n], { baseFee: 1n, tip: 1n }, 110n, null],
    [[100n, 100n], { baseFee: 1n, tip: 1n }, 0n, [111n, 111n]],
  ]
  for (const [[maxFeePerGas, maxPriorityFeePerGas], market, max, expected] of cases) {
    const made = replacementFor({ maxFeePerGas, maxPriorityFeePerGas }, market, max)
    assert.deepEqual(made && [made.maxFeePerGas, made.maxPriorityFeePerGas], expected)
  }
})
