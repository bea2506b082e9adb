import { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import type { PriceInfo, PricePerPixel } from './ticket.ts'

/** Why there is no usable price. */
export type PriceFault = 'bad-price' | 'no-price' | 'unusable-price-feed'

/** A price as an operator gives it. */
export interface WrittenPrice {
  readonly amount: Rational
  /** As given; empty for wei. */
  readonly currency: string
}

/** The value of a currency, from a price feed. */
export interface CurrencyFeed {
  /** Whether the feed has the price of one ETH in the currency, or of one unit of the currency in ETH. */
  readonly ethIsBase: boolean
  readonly price: Rational
}

const PRICE = /^(\d+(\.\d+)?)([A-z][A-z0-9]*)?$/
const MAX_PRICE_LENGTH = 100
const WEI_PER_ETH = Rational.of(10n ** 18n)
/** The units of ether, in lower case. */
const WEI_PER_UNIT: ReadonlyMap<string, Rational> = new Map([
  ['', Rational.one],
  ['wei', Rational.one],
  ['gwei', Rational.of(10n ** 9n)],
  ['eth', WEI_PER_ETH],
  ['ether', WEI_PER_ETH],
])
const MAX_INT64 = 2n ** 63n - 1n
/** Advertised prices have three decimals (payments.md §1). */
const FIXED_POINT_SCALE = 1000n

/** Parses `500`, `0.5USD` or `0.0001eth` (payments.md §1). Throws NodeError `bad-price`. */
export function parsePriceFlag(text: string): WrittenPrice {
  const match = text.length <= MAX_PRICE_LENGTH ? PRICE.exec(text) : null
  if (!match) {
    throw new NodeError<PriceFault>(
      'bad-price',
      `${JSON.stringify(text.slice(0, 80))} is not a price: write a number of at least 0, and after it a currency if it is not wei, such as 0.5USD`,
    )
  }
  return { amount: Rational.parse(match[1]!), currency: match[3] ?? '' }
}

/** An amount of wei from `21000000000`, `21gwei` or `0.5eth`; null for any other text. */
export function parseAmount(text: string): Rational | null {
  const match = text.length <= MAX_PRICE_LENGTH ? PRICE.exec(text) : null
  const unit = match && WEI_PER_UNIT.get((match[3] ?? '').toLowerCase())
  return unit ? Rational.parse(match[1]!).mul(unit) : null
}

/** Whether converting this currency to wei takes a price feed (payments.md §8). */
export function needsFeed(currency: string): boolean {
  return !WEI_PER_UNIT.has(currency.toLowerCase())
}

/**
 * The direction of a feed for a currency, from a description such as `ETH / USD` in any case. Throws NodeError
 * `unusable-price-feed` unless one side is ETH and the other is the currency (payments.md §8).
 */
export function ethIsBaseOf(description: string, currency: string): boolean {
  const sides = description.split('/').map((side) => side.trim().toUpperCase())
  const wanted = currency.toUpperCase()
  if (sides.length === 2 && sides[0] === 'ETH' && sides[1] === wanted) return true
  if (sides.length === 2 && sides[1] === 'ETH' && sides[0] === wanted) return false
  throw new NodeError<PriceFault>(
    'unusable-price-feed',
    `the price feed is for ${JSON.stringify(description.slice(0, 80))}, not for ETH and ${currency}`,
  )
}

/**
 * The price in a feed's answer, which is in units of 10^−decimals. Throws `unusable-price-feed` unless it is positive.
 */
export function feedPrice(answer: bigint, decimals: number): Rational {
  if (answer <= 0n || !Number.isInteger(decimals) || decimals < 0 || decimals > 255) {
    throw new NodeError<PriceFault>(
      'unusable-price-feed',
      `the price feed answered ${answer} with ${decimals} decimals, which is not a price`,
    )
  }
  return Rational.of(answer, 10n ** BigInt(decimals))
}

/**
 * Converts an amount to wei (payments.md §8). Throws NodeError `unusable-price-feed` if the currency needs a feed and
 * there is none, or the feed's price is not positive.
 */
export function currencyToWei(amount: Rational, currency: string, feed: CurrencyFeed | null): Rational {
  const unit = WEI_PER_UNIT.get(currency.toLowerCase())
  if (unit) return amount.mul(unit)
  if (!feed || feed.price.sign <= 0) {
    throw new NodeError<PriceFault>('unusable-price-feed', `no price is available for ETH in ${currency}`)
  }
  return amount.mul(feed.ethIsBase ? WEI_PER_ETH.div(feed.price) : WEI_PER_ETH.mul(feed.price))
}

/**
 * The price of one pixel. Throws NodeError `no-price` with the peers' text `pixels per unit is 0`, or with this node's
 * own text for a negative number, which would turn a debit into a credit.
 */
export function pricePerPixel(info: PriceInfo): PricePerPixel {
  if (info.pixelsPerUnit === 0n) throw new NodeError<PriceFault>('no-price', 'pixels per unit is 0')
  if (info.pixelsPerUnit < 0n) throw new NodeError<PriceFault>('no-price', 'pixels per unit is negative')
  if (info.pricePerUnit < 0n) throw new NodeError<PriceFault>('no-price', 'price per unit is negative')
  return Rational.of(info.pricePerUnit, info.pixelsPerUnit)
}

/** A price in thousandths of a wei, rounded towards zero (payments.md §3). */
export function toFixedPoint(price: Rational): bigint {
  return price.mul(Rational.of(FIXED_POINT_SCALE)).trunc()
}

/**
 * The price plus the cost of redemption: 1 % if a winning ticket pays 100 times its cost, more if it pays less; in
 * thousandths (payments.md §8). A price too small for thousandths is kept exact rather than rounded to free.
 */
export function autoAdjustedPrice(base: PricePerPixel, txCostMultiplier: Rational): PricePerPixel {
  const overhead =
    base.sign === 0 || txCostMultiplier.sign === 0
      ? Rational.one
      : Rational.one.add(Rational.one.div(txCostMultiplier))
  const price = base.mul(overhead)
  const thousandths = toFixedPoint(price)
  if (thousandths === 0n) return price
  return Rational.of(thousandths > MAX_INT64 ? MAX_INT64 : thousandths, FIXED_POINT_SCALE)
}

/**
 * A price for the wire, as two int64: exact if it fits, otherwise the smallest representable price that is not below
 * it, so that no price becomes zero; at most the largest int64. Throws NodeError `bad-price` for a negative price.
 */
export function priceInfoOf(price: PricePerPixel): PriceInfo {
  if (price.sign < 0) throw new NodeError<PriceFault>('bad-price', `a price is at least 0, not ${price}`)
  const excess = Math.max(bitLength(price.num), bitLength(price.den)) - 63
  if (excess <= 0) return { pricePerUnit: price.num, pixelsPerUnit: price.den }
  const pixelsPerUnit = price.den >> BigInt(excess) || 1n
  const pricePerUnit = price.mul(Rational.of(pixelsPerUnit)).ceil()
  return { pricePerUnit: pricePerUnit > MAX_INT64 ? MAX_INT64 : pricePerUnit, pixelsPerUnit }
}

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length
}

/** Whether a price is more than twice the session's initial one, which gateways refuse (payments.md §1). */
export function priceHasDoubled(initial: PricePerPixel, current: PricePerPixel): boolean {
  return current.cmp(initial.add(initial)) > 0
}
