import assert from 'node:assert/strict'
import { test } from 'node:test'
import payments from '../../test/vectors/payments.json' with { type: 'json' }
import { Rational } from '../lib/rational.ts'
import {
  autoAdjustedPrice,
  currencyToWei,
  ethIsBaseOf,
  feedPrice,
  needsFeed,
  parseAmount,
  parsePriceFlag,
  priceHasDoubled,
  priceInfoOf,
  pricePerPixel,
  toFixedPoint,
} from './price.ts'

const MAX_INT64 = 2n ** 63n - 1n

const WRITTEN: [string, string, string][] = [
  ['500', '500', ''],
  ['0', '0', ''],
  ['0.5USD', '1/2', 'USD'],
  ['1.25wei', '5/4', 'wei'],
  ['0.0001eth', '1/10000', 'eth'],
  ['7x9', '7', 'x9'],
  ['1e3', '1', 'e3'],
]

for (const [text, amount, currency] of WRITTEN) {
  test(`the price ${text} is understood`, () => {
    const price = parsePriceFlag(text)
    assert.equal(price.amount.toString(), amount)
    assert.equal(price.currency, currency)
  })
}

const AMOUNTS: [string, string | null][] = [
  ['500', '500'],
  ['1.25', '5/4'],
  ['21gwei', '21000000000'],
  ['0.5ETH', '500000000000000000'],
  ['7wei', '7'],
  ['0.5USD', null],
  ['-1gwei', null],
  ['1 gwei', null],
  ['', null],
  ['9'.repeat(101), null],
]
for (const [text, wei] of AMOUNTS) {
  test(`the amount ${JSON.stringify(text.slice(0, 20))} is ${wei === null ? 'refused' : `${wei} wei`}`, () => {
    assert.equal(parseAmount(text)?.toString() ?? null, wei)
  })
}

for (const text of ['', '-5', '.5', '5.', '5 USD', 'USD', '1/3', '5$', '5USD/ETH', '9'.repeat(101)]) {
  test(`the price ${JSON.stringify(text.slice(0, 20))} is refused with an explanation`, () => {
    assert.throws(() => parsePriceFlag(text), {
      code: 'bad-price',
      message: /is not a price: write a number/,
    })
  })
}

for (const [price, fixed] of payments.toFixedPoint) {
  test(`${price} is ${fixed} thousandths`, () => {
    assert.equal(toFixedPoint(Rational.parse(price!)), BigInt(fixed!))
  })
}

for (const [base, multiplier, price] of payments.adjusted) {
  test(`the price ${base} becomes ${price} if a winning ticket pays ${multiplier} times its cost`, () => {
    const adjusted = autoAdjustedPrice(Rational.parse(base!), Rational.parse(multiplier!))
    assert.deepEqual(adjusted, Rational.parse(price!))
  })
}

test('a price is not adjusted when the redemption cost is unknown', () => {
  assert.deepEqual(autoAdjustedPrice(Rational.of(7n), Rational.zero), Rational.of(7n))
  assert.deepEqual(autoAdjustedPrice(Rational.zero, Rational.of(100n)), Rational.zero)
})

test('a price below a thousandth of a wei stays exact and never becomes free', () => {
  const adjusted = autoAdjustedPrice(Rational.of(1n, 5000n), Rational.of(100n))
  assert.deepEqual(adjusted, Rational.of(101n, 500000n))
  assert.deepEqual(priceInfoOf(adjusted), { pricePerUnit: 101n, pixelsPerUnit: 500000n })
})

test('an adjusted price saturates at the largest number on the wire', () => {
  const adjusted = autoAdjustedPrice(Rational.of(10n ** 30n), Rational.of(100n))
  assert.deepEqual(adjusted, Rational.of(MAX_INT64, 1000n))
})

test('a price per pixel that is undefined or negative is refused', () => {
  const cases: [bigint, bigint, string][] = [
    [0n, 0n, 'pixels per unit is 0'],
    [1n, -1n, 'pixels per unit is negative'],
    [-1n, 1n, 'price per unit is negative'],
  ]
  for (const [pricePerUnit, pixelsPerUnit, message] of cases) {
    assert.throws(() => pricePerPixel({ pricePerUnit, pixelsPerUnit }), { code: 'no-price', message })
  }
  assert.deepEqual(pricePerPixel({ pricePerUnit: 2n, pixelsPerUnit: 6n }), Rational.of(1n, 3n))
})

const TRAVELLING: [string, Rational, bigint, bigint][] = [
  ['exact if it fits', Rational.of(101n, 100n), 101n, 100n],
  ['zero', Rational.zero, 0n, 1n],
  ['the largest', Rational.of(MAX_INT64), MAX_INT64, 1n],
  ['beyond the largest', Rational.of(MAX_INT64 + 1n), MAX_INT64, 1n],
  ['far beyond the largest', Rational.of(2n ** 200n), MAX_INT64, 1n],
  ['far below the smallest', Rational.of(1n, 2n ** 200n), 1n, 2n ** 62n],
]

for (const [name, price, pricePerUnit, pixelsPerUnit] of TRAVELLING) {
  test(`a price is sent as two 64-bit numbers: ${name}`, () => {
    assert.deepEqual(priceInfoOf(price), { pricePerUnit, pixelsPerUnit })
  })
}

test('a price that does not fit is rounded up very slightly', () => {
  const price = Rational.of(2n ** 100n + 1n, 3n ** 60n)
  const travelled = pricePerPixel(priceInfoOf(price))
  assert.ok(travelled.cmp(price) >= 0)
  assert.ok(
    travelled
      .sub(price)
      .div(price)
      .cmp(Rational.of(1n, 10n ** 8n)) < 0,
  )
  assert.throws(() => priceInfoOf(Rational.of(-1n)), { code: 'bad-price' })
})

const CURRENCIES: [string, string, string, string, string | null][] = [
  ['2', 'USD', '20000000000000000', 'ETH / USD', '100'],
  ['50', 'USD', '50000000000000000/3', 'ETH / USD', '3000'],
  ['66', 'usd', '1100000000000000000/7', 'USD / ETH', '1/420'],
  ['5', '', '5', '', null],
  ['5', 'WEI', '5', '', null],
  ['0.5', 'ETH', '500000000000000000', '', null],
  ['1.5', 'gwei', '1500000000', '', null],
  ['0.5', 'Ether', '500000000000000000', '', null],
]

for (const [amount, currency, wei, description, price] of CURRENCIES) {
  test(`${amount} ${currency || 'without a currency'} at ${description || 'no feed'} ${price ?? ''} is ${wei} wei`, () => {
    const feed = price && { ethIsBase: ethIsBaseOf(description, currency), price: Rational.parse(price) }
    assert.equal(currencyToWei(Rational.parse(amount), currency, feed || null).toString(), wei)
    assert.equal(needsFeed(currency), feed !== null)
  })
}

test("a feed's answer is scaled by its decimals", () => {
  assert.deepEqual(feedPrice(420666000n, 6), Rational.of(210333n, 500n))
})

test('an unusable feed is refused with an explanation and without a division by zero', () => {
  for (const description of ['BTC / USD', 'ETH', 'ETH / EUR', 'USD / USD', 'ETH / USD / EUR', '']) {
    assert.throws(() => ethIsBaseOf(description, 'USD'), {
      code: 'unusable-price-feed',
      message: `the price feed is for ${JSON.stringify(description)}, not for ETH and USD`,
    })
  }
  for (const [answer, decimals] of [
    [0n, 8],
    [-1n, 8],
    [1n, -1],
    [1n, 256],
  ] as const) {
    assert.throws(() => feedPrice(answer, decimals), { code: 'unusable-price-feed' })
  }
  const zero = { ethIsBase: true, price: Rational.zero }
  assert.throws(() => currencyToWei(Rational.one, 'USD', zero), { code: 'unusable-price-feed' })
  assert.throws(() => currencyToWei(Rational.one, 'USD', null), { code: 'unusable-price-feed' })
})

test('a price may double within a session but not rise further', () => {
  assert.equal(priceHasDoubled(Rational.of(1n, 6n), Rational.of(1n, 3n)), false)
  assert.equal(priceHasDoubled(Rational.of(1000n, 6001n), Rational.of(1n, 3n)), true)
  assert.equal(priceHasDoubled(Rational.zero, Rational.of(1n, 1000n)), true)
  assert.equal(priceHasDoubled(Rational.zero, Rational.zero), false)
})
