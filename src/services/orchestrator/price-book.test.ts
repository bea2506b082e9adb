import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { Rational } from '../../lib/rational.ts'
import { PriceBook } from './price-book.ts'

const price = (wei: number) => Rational.of(BigInt(wei))
const address = (number: number) => `0x${number.toString(16).padStart(40, '0')}` as Address

test('a price that a webhook agrees goes before all others for half an hour', async () => {
  const clock = new ManualClock()
  const book = new PriceBook(() => price(1), [[address(2), () => price(2)]], clock)
  const prices = () => [1, 2].map((number) => book.basePrice(address(number)).toString())
  assert.deepEqual(prices(), ['1', '2'])
  for (const number of [1, 2]) book.agree(address(number), price(9))
  assert.deepEqual(prices(), ['9', '9'])
  book.agree(address(1), null)
  assert.deepEqual(prices(), ['1', '9'])
  await clock.wind(30 * 60_000)
  assert.deepEqual(prices(), ['1', '2'])
})

test('agreed prices are remembered for the latest 10,000 gateways', () => {
  const book = new PriceBook(() => price(1))
  for (let number = 0; number <= 10_000; number++) book.agree(address(number), price(2))
  assert.equal(book.basePrice(address(0)).toString(), '1')
  assert.equal(book.basePrice(address(1)).toString(), '2')
})
