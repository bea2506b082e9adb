import { z } from 'zod'
import type { WrittenPrice } from '../domain/price.ts'
import { parsePriceFlag } from '../domain/price.ts'
import { type Address, parseAddress } from '../lib/crypto.ts'
import { messageOf } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import { SettingsError, shown } from './load-flags.ts'

/** The price for one gateway: an amount in a currency for a number of pixels. */
export interface GatewayPrice {
  readonly price: WrittenPrice
  readonly pixelsPerUnit: bigint
}

/** A longer list is treated as a mistake. */
const MAX_GATEWAYS = 10_000

/** A JSON number as text: money must not pass through floating point. */
class WrittenNumber {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

const number = z.custom<WrittenNumber>(
  (value) => value instanceof WrittenNumber,
  'must be a number without quotes',
)
const entry = z.looseObject({
  ethaddress: z.string(),
  priceperunit: number,
  currency: z.string().nullish(),
  pixelsperunit: number,
})
const list = z.array(entry).max(MAX_GATEWAYS)
const shape = z
  .looseObject({ gateways: list.optional(), broadcasters: list.optional() })
  .refine(
    ({ gateways, broadcasters }) => gateways !== undefined || broadcasters !== undefined,
    'the array "gateways" is missing',
  )

/**
 * Parses the JSON of -pricePerGateway (payments.md §8). Throws SettingsError rather than fall back to the default
 * price.
 */
export function parseGatewayPrices(spelled: string, text: string): ReadonlyMap<Address, GatewayPrice> {
  const read = shape.safeParse(parseJson(spelled, text))
  if (!read.success) {
    const issue = read.error.issues[0]!
    const where = issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''
    throw refusal(spelled, `${where}${issue.message}`)
  }
  const prices = new Map<Address, GatewayPrice>()
  for (const { ethaddress, priceperunit, currency, pixelsperunit } of [
    ...(read.data.broadcasters ?? []),
    ...(read.data.gateways ?? []),
  ]) {
    const address = attempt(spelled, () => parseAddress(ethaddress))
    if (prices.has(address)) throw refusal(spelled, `${address} has two prices`)
    const amount = attempt(spelled, () => Rational.parse(priceperunit.text))
    if (amount.sign < 0) throw refusal(spelled, `priceperunit of ${address} is below 0`)
    const price = { amount, currency: attempt(spelled, () => parsePriceFlag(`0${currency ?? ''}`)).currency }
    const pixelsPerUnit = parsePixels(pixelsperunit.text)
    if (pixelsPerUnit === null) {
      throw refusal(spelled, `pixelsperunit of ${address} is not a whole number above 0`)
    }
    prices.set(address, { price, pixelsPerUnit })
  }
  return prices
}

/** Parses a number of pixels, including `1e12` and `4/2`; null unless it is a positive integer (operations.md §1.2). */
export function parsePixels(text: string): bigint | null {
  try {
    const pixels = Rational.parse(text)
    return pixels.den === 1n && pixels.num > 0n && pixels.num < 2n ** 63n ? pixels.num : null
  } catch {
    return null
  }
}

function parseJson(spelled: string, text: string): unknown {
  try {
    return JSON.parse(text, keepNumbers as (key: string, value: unknown) => unknown)
  } catch {
    throw refusal(spelled, `${shown(text)} is neither JSON nor a readable file`)
  }
}

function keepNumbers(_key: string, value: unknown, context: { source: string }): unknown {
  return typeof value === 'number' ? new WrittenNumber(context.source) : value
}

function attempt<T>(spelled: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw refusal(spelled, messageOf(error))
  }
}

function refusal(spelled: string, reason: string): SettingsError {
  return new SettingsError('bad-setting', `${spelled}: ${reason}`)
}
