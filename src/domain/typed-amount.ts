import { NodeError } from '../lib/errors.ts'
import { MAX_UINT256 } from './chain-amounts.ts'

/** Why an amount that somebody typed is refused. */
export type TypedAmountFault = 'bad-amount'

/** A currency as people type it: its units, and that of a number without one. */
export interface TypedCurrency {
  /** By name: how many of the smallest units each has, as a power of ten. The first is the one to show. */
  readonly units: Readonly<Record<string, number>>
  /** The unit of a number without one; null where each amount but 0 names its unit. */
  readonly bare: string | null
}

const LPT_UNITS = { LPT: 18, LPTU: 0 } as const
const ETHER_UNITS = { ETH: 18, gwei: 9, wei: 0 } as const

/** LPT, of which a number without a unit is in the smallest one, LPTU. */
export const LPT_TYPED: TypedCurrency = { units: LPT_UNITS, bare: 'LPTU' }
/** Ether, of which a number without a unit is in ETH. */
export const ETH_TYPED: TypedCurrency = { units: ETHER_UNITS, bare: 'ETH' }
/** Ether, of which a number without a unit is in wei. */
export const WEI_TYPED: TypedCurrency = { units: ETHER_UNITS, bare: 'wei' }

/** LPT with its unit, for what is not asked again. */
export const LPT_NAMED: TypedCurrency = { units: LPT_UNITS, bare: null }
/** Ether with its unit. */
export const ETH_NAMED: TypedCurrency = { units: ETHER_UNITS, bare: null }

const MOST_DIGITS = 100

/**
 * An amount in the smallest unit, from a text such as `100 LPT`, `0.5ETH`, `7 LPTU` or `1000`. Throws NodeError `bad-amount`: for
 * text that is no decimal number, an unknown unit, more decimals than the unit has, or more than 2^256 − 1.
 */
export function parseTypedAmount(text: string, { bare, units }: TypedCurrency): bigint {
  const [, sign, whole = '', fraction = '', unit = ''] =
    /^\s*(-?)(\d*)(?:\.(\d*))?\s*([A-Za-z]*)\s*$/.exec(text) ?? []
  if (sign === undefined || whole + fraction === '' || text.length > MOST_DIGITS) {
    throw refusal(
      `${JSON.stringify(text.slice(0, 80))} is not an amount: write a number, such as ${exampleOf(units)}`,
    )
  }
  if (sign === '-') throw refusal(`${text.trim()} is negative, and an amount is not`)
  const names = Object.keys(units)
  if (unit === '' && bare === null && /[1-9]/.test(whole + fraction)) {
    throw refusal(
      `${text.trim()} has no unit: write ${names.map((one) => `${text.trim()}${one}`).join(' or ')}`,
    )
  }
  const given = unit === '' ? (bare ?? names[0]!) : unit
  const name = names.find((one) => one.toLowerCase() === given.toLowerCase())
  const decimals = name === undefined ? undefined : units[name]
  if (decimals === undefined) {
    throw refusal(`${unit} is not a unit here: write ${names.join(', ')}`)
  }
  const digits = fraction.replace(/0+$/, '')
  if (digits.length > decimals) {
    throw refusal(
      decimals === 0
        ? `${text.trim()} is in ${name}, which has no fractions: write ${exampleOf(units)} for another unit`
        : `${text.trim()} has more than the ${decimals} decimals of ${name}`,
    )
  }
  const value = BigInt(whole + digits.padEnd(decimals, '0'))
  if (value > MAX_UINT256)
    throw refusal(`${text.trim()} is larger than 2^256 − 1, the largest amount there is`)
  return value
}

/** The whole amount in the currency's first unit, to the last digit, or in its smallest where that is easier to read. */
export function exactAmount(amount: bigint, { units }: TypedCurrency): string {
  const [[name, decimals] = ['', 0]] = Object.entries(units)
  const smallest = Object.keys(units).at(-1)!
  if (amount < 0n) return `-${exactAmount(-amount, { units, bare: name })}`
  if (amount < 10n ** BigInt(decimals - 6)) return `${amount} ${smallest}`
  const digits = amount.toString().padStart(decimals + 1, '0')
  const fraction = digits.slice(-decimals).replace(/0+$/, '')
  return `${digits.slice(0, -decimals)}${fraction === '' ? '' : `.${fraction}`} ${name}`
}

function exampleOf(units: Readonly<Record<string, number>>): string {
  return `1.5 ${Object.keys(units)[0]}`
}

function refusal(message: string): NodeError<TypedAmountFault> {
  return new NodeError<TypedAmountFault>('bad-amount', message)
}
