import { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'

/** A price as an operator sets it: an amount in a currency for a number of pixels. */
export interface SetPrice {
  readonly amount: Rational
  /** Empty for wei. */
  readonly currency: string
  readonly pixels: Rational
}

/** Why a price is refused. */
export type SetPriceFault = 'bad-price'

/** How peers begin their refusals, which differ from path to path (operations.md §4). */
export interface PriceWords {
  readonly parsing: 'Error parsing' | 'error parsing'
}

const MAX_CHARS = 100
const CURRENCY = /^[A-Za-z][A-Za-z0-9]{0,19}$/

/**
 * A price from the texts that peers accept: `0.5`, `1/3`, `1e3`, `0x10`, `1_000`. Throws NodeError `bad-price` in their words;
 * a price may be negative here, since some clear a price so.
 */
export function parseSetPrice(
  given: { readonly pricePerUnit: string; readonly pixelsPerUnit: string; readonly currency: string },
  { parsing }: PriceWords,
): SetPrice {
  const amount = fraction(given.pricePerUnit)
  if (amount === null) throw refusal(`${parsing} pricePerUnit value: ${shown(given.pricePerUnit)}`)
  const pixels = fraction(given.pixelsPerUnit)
  if (pixels === null) throw refusal(`${parsing} pixelsPerUnit value: ${shown(given.pixelsPerUnit)}`)
  if (pixels.sign <= 0) {
    throw refusal(`pixels per unit must be greater than 0, provided ${given.pixelsPerUnit}`)
  }
  const { currency } = given
  if (currency !== '' && !CURRENCY.test(currency)) throw refusal(`${shown(currency)} is no currency`)
  return { amount, currency: currency.toLowerCase() === 'wei' ? '' : currency, pixels }
}

/** Throws NodeError `bad-price` for a price below 0. */
export function assertNotNegative({ amount }: SetPrice): void {
  if (amount.sign < 0) {
    throw refusal(`price unit must be greater than or equal to 0, provided ${amount.num}`)
  }
}

/** A price as it is kept. */
export function writeSetPrice({ amount, currency, pixels }: SetPrice): string {
  return `${amount} ${currency === '' ? 'wei' : currency} per ${pixels}`
}

/** A price that was kept. Throws NodeError `bad-price`. */
export function readSetPrice(text: string): SetPrice {
  const [, pricePerUnit, currency, pixelsPerUnit] = /^(\S+) (\S+) per (\S+)$/.exec(text) ?? []
  if (pricePerUnit === undefined) throw refusal(`${shown(text)} is no price`)
  const given = { pricePerUnit, currency: currency!, pixelsPerUnit: pixelsPerUnit! }
  return parseSetPrice(given, { parsing: 'error parsing' })
}

function fraction(text: string): Rational | null {
  if (text.length > MAX_CHARS) return null
  const plain = text.replace(/(?<=[0-9a-fA-F])_(?=[0-9a-fA-F])/g, '')
  if (/^0x[0-9a-fA-F]+$/.test(plain)) return Rational.of(BigInt(plain))
  try {
    return Rational.parse(plain.replace(/^\+/, ''))
  } catch {
    return null
  }
}

function shown(text: string): string {
  return text.slice(0, MAX_CHARS)
}

function refusal(message: string): NodeError<SetPriceFault> {
  return new NodeError<SetPriceFault>('bad-price', message)
}
