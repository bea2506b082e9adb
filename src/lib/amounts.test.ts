import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ether, gwei, livepeerTokens, perPixel } from './amounts.ts'
import { Rational } from './rational.ts'

const ETH = 10n ** 18n

const amounts: [print: (amount: bigint) => string, amount: bigint, printed: string][] = [
  [ether, 0n, '0 ETH'],
  [ether, 12_300_000_000_000_000n, '0.0123 ETH'],
  [ether, 100n * ETH, '100 ETH'],
  [ether, ETH + 999_999n, '1 ETH'],
  [ether, 8_000_000_000n, '8 gwei'],
  [ether, 999_999n, '999999 wei'],
  [ether, -ETH / 2n, '-0.5 ETH'],
  [gwei, 21_400_000_000n, '21.4 gwei'],
  [gwei, 10_000_000n, '0.01 gwei'],
  [gwei, 0n, '0 gwei'],
  [gwei, 1_000_000_000_000n, '1000 gwei'],
  [gwei, 7n, '7 wei'],
  [livepeerTokens, ETH + ETH / 4n, '1.25 LPT'],
  [livepeerTokens, 3n, '3 LPTU'],
]
for (const [print, amount, printed] of amounts) {
  test(`${print.name} prints ${amount} as ${printed}`, () => assert.equal(print(amount), printed))
}

const prices: [price: Rational, printed: string][] = [
  [Rational.of(1200n), '1200 wei'],
  [Rational.of(2401n, 2n), '1200.5 wei'],
  [Rational.zero, '0 wei'],
  [Rational.of(123n, 100_000n), '0.00123 wei'],
  [Rational.of(1n, 3n), '0.333 wei'],
]
for (const [price, printed] of prices) {
  test(`a price per pixel of ${price} is printed as ${printed}`, () => assert.equal(perPixel(price), printed))
}
