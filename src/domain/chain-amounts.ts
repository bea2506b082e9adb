import { type Address, parseAddress, ZERO_ADDRESS } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'

/** Why an argument of a contract's function is refused. */
export type ArgumentFault = 'bad-argument'

/** The largest number that a contract takes. */
export const MAX_UINT256 = 2n ** 256n - 1n
const MAX_AMOUNT_CHARS = 120
const AMOUNT = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)?$/
const UNIT = 10n ** 18n

/** Cuts are parts of this (operations.md §4). */
const PARTS_OF_CUT = 1_000_000n
const PARTS_OF_PERCENT = 10_000n

/**
 * A whole number that a contract takes: from 0 up to 2^256 − 1, so that none wraps around. Throws NodeError `bad-argument`,
 * for text that is not an integer in peers' words.
 */
export function parseUint256(text: string): bigint {
  if (!/^[+-]?\d{1,200}$/.test(text)) throw refusal('failed to parse big integer')
  const value = BigInt(text.replace(/^\+/, ''))
  if (value < 0n) throw refusal(`${text} is negative, and must be at least 0`)
  if (value > MAX_UINT256) throw refusal(`${text} is larger than 2^256 − 1, the largest amount there is`)
  return value
}

/**
 * An account's or a contract's address: 20 bytes, with the right checksum where it has one, and not the zero address, to which
 * what is sent is lost. Throws NodeError `bad-argument`.
 */
export function parseRecipient(text: string): Address {
  let address: Address
  try {
    address = parseAddress(text)
  } catch {
    throw refusal(
      `${JSON.stringify(text.slice(0, 80))} is no address: write 0x and 40 hexadecimal digits, with the right checksum if they are of both cases`,
    )
  }
  if (address === ZERO_ADDRESS) throw refusal('the zero address is nobody’s: what is sent there is lost')
  return address
}

/**
 * A share in percent as parts of a million, cut off as peers do. Throws NodeError `bad-argument` unless it is a decimal number
 * from 0 to 100.
 */
export function parsePercent(text: string): bigint {
  const match = /^\+?(\d{1,3}(?:\.\d{0,30})?)(?:[eE]([+-]?\d))?$/.exec(text)
  if (!match)
    throw refusal(`strconv.ParseFloat: parsing ${JSON.stringify(text.slice(0, 80))}: invalid syntax`)
  const [, digits, exponent] = match
  const percent = Rational.parse(`${digits!.replace(/\.$/, '')}${exponent ? `e${exponent}` : ''}`)
  const parts = percent.mul(Rational.of(PARTS_OF_PERCENT)).trunc()
  if (parts > PARTS_OF_CUT) throw refusal(`${text} is more than 100 percent`)
  return parts
}

/**
 * An amount of LPT that a person writes, with its unit: `1.5LPT`, `100LPTU`. Returns it in LPT's smallest unit. Throws
 * NodeError `bad-argument`.
 */
export function parseTokens(text: string): bigint {
  return amountWithUnit(text, { LPT: UNIT, LPTU: 1n })
}

/** An amount of ether that a person writes, with its unit: `0.2ETH`, `3gwei`, `100wei`. Throws NodeError `bad-argument`. */
export function parseEther(text: string): bigint {
  return amountWithUnit(text, { ETH: UNIT, gwei: 10n ** 9n, wei: 1n })
}

/** Zero needs no unit. Units are written in any case. */
function amountWithUnit(text: string, units: Readonly<Record<string, bigint>>): bigint {
  const names = Object.keys(units)
  const [, number, unit] = (text.length <= MAX_AMOUNT_CHARS && AMOUNT.exec(text)) || []
  const shown = JSON.stringify(text.slice(0, 80))
  const example = `such as 1.5${names[0]} or 100${names.at(-1)}`
  if (number === undefined) throw refusal(`${shown} is no amount: write a number and its unit, ${example}`)
  const written = Rational.parse(number)
  if (unit === undefined && written.sign !== 0) {
    throw refusal(`${shown} has no unit: write ${names.map((name) => `${number}${name}`).join(' or ')}`)
  }
  const name = names.find((one) => one.toLowerCase() === unit?.toLowerCase())
  if (unit !== undefined && name === undefined) {
    throw refusal(`${shown} has a unit that is none here: write ${names.join(', ')}`)
  }
  const amount = written.mul(Rational.of(name === undefined ? 1n : units[name]!))
  if (amount.den !== 1n) throw refusal(`${shown} is no whole number of ${names.at(-1)}, the smallest unit`)
  return parseUint256(amount.num.toString())
}

function refusal(message: string): NodeError<ArgumentFault> {
  return new NodeError<ArgumentFault>('bad-argument', message)
}
