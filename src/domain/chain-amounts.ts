import { type Address, parseAddress, ZERO_ADDRESS } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'

/** Why an argument of a contract's function is refused. */
export type ArgumentFault = 'bad-argument'

/** The largest number that a contract takes. */
export const MAX_UINT256 = 2n ** 256n - 1n
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
      `${JSON.stringify(text.slice(0, 80))} is not an address: write 0x and 40 hexadecimal digits, with the right checksum if they are of both cases`,
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

function refusal(message: string): NodeError<ArgumentFault> {
  return new NodeError<ArgumentFault>('bad-argument', message)
}
