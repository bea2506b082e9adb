import { parsePercent, parseRecipient, parseUint256 } from '../../domain/chain-amounts.ts'
import { exactAmount, parseTypedAmount, type TypedCurrency } from '../../domain/typed-amount.ts'
import type { Address } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import { isUnspecified } from '../../lib/hosts.ts'
import { Rational } from '../../lib/rational.ts'

/** Why an answer is refused. */
export type AnswerFault = 'bad-answer'

const MAX_URI_CHARS = 500
const MAX_PRICE_CHARS = 60

/** An amount from `least` to `most`. */
export function amountIn(
  currency: TypedCurrency,
  {
    least = 0n,
    most,
    mostIs,
  }: { readonly least?: bigint; readonly most?: bigint; readonly mostIs?: string } = {},
): (answer: string) => bigint {
  return (answer) => {
    const amount = parseTypedAmount(answer, currency)
    if (amount < least) {
      throw refusal(
        `${exactAmount(amount, currency)} is too little: at least ${exactAmount(least, currency)}`,
      )
    }
    if (most !== undefined && amount > most) {
      throw refusal(
        `${exactAmount(amount, currency)} is more than ${mostIs ?? 'there is'}, ${exactAmount(most, currency)}`,
      )
    }
    return amount
  }
}

/** An address of an account or a contract. */
export function address(answer: string): Address {
  return parseRecipient(answer)
}

/** A whole number that is one of some. */
export function oneOf(numbers: readonly bigint[], what: string): (answer: string) => bigint {
  return (answer) => {
    const value = /^\d{1,78}$/.test(answer) ? BigInt(answer) : null
    if (value !== null && numbers.includes(value)) return value
    throw refusal(`${JSON.stringify(answer)} is no ${what} of the list: ${numbers.join(', ')}`)
  }
}

/** Some of these numbers, with commas between, each once. */
export function someOf(count: number, what: string): (answer: string) => readonly number[] {
  const read = oneOf(
    Array.from({ length: count }, (_, i) => BigInt(i)),
    what,
  )
  return (answer) => [...new Set(answer.split(',').map((part) => Number(read(part.trim()))))]
}

/** A whole number that a contract takes. */
export function whole(answer: string): bigint {
  return parseUint256(answer)
}

/** A share in percent, as parts of a million. */
export function percent(answer: string): bigint {
  if (!/^\d{1,3}(\.\d{1,4})?$/.test(answer)) {
    throw refusal(
      `${JSON.stringify(answer)} is not a percentage: write a number from 0 to 100 with at most 4 decimals`,
    )
  }
  return parsePercent(answer)
}

/** How many pixels a price is for; `1 pixel` is 1. */
export function pixels(answer: string): string {
  const [, digits] = /^(\d{1,30})( pixels?)?$/.exec(answer) ?? []
  if (digits === undefined || BigInt(digits) === 0n) {
    throw refusal(`${JSON.stringify(answer)} is not a number of pixels: write a whole number above 0`)
  }
  return BigInt(digits).toString()
}

/** The name of a currency. */
export function currency(answer: string): string {
  if (/^[A-Za-z][A-Za-z0-9]{0,19}$/.test(answer)) return answer
  throw refusal(
    `${JSON.stringify(answer)} is not a currency: write Wei, ETH, or the one of the node’s price feed, such as USD`,
  )
}

/** A price, 0 or above, as it is sent. */
export function price(answer: string): string {
  try {
    if (answer.length > MAX_PRICE_CHARS) throw new Error('long')
    if (Rational.parse(answer).sign >= 0) return answer
  } catch {
    throw refusal(
      `${JSON.stringify(answer.slice(0, MAX_PRICE_CHARS))} is not a price: write a number, such as 1200 or 0.5`,
    )
  }
  throw refusal(`${answer} is negative, and a price is not`)
}

/** The address at which gateways reach an orchestrator, with its port. */
export function serviceUri(answer: string): string {
  const url = /^https?:\/\//.test(answer) && answer.length <= MAX_URI_CHARS ? URL.parse(answer) : null
  if (url === null || url.hostname === '') {
    throw refusal(`${JSON.stringify(answer.slice(0, 80))} is not an address: write https://HOST:PORT`)
  }
  if (!/^https?:\/\/[^/?#]*:\d+(?=[/?#]|$)/.test(answer)) {
    throw refusal(
      `${answer} has no port: write https://${url.hostname}:8935, or the port that gateways reach`,
    )
  }
  if (isUnspecified(url.hostname)) throw refusal(`${url.hostname} is not a host that gateways can call`)
  return answer
}

/** A number of sessions above 0, or auto. */
export function sessions(answer: string): string {
  if (answer === 'auto' || /^[1-9]\d{0,5}$/.test(answer)) return answer
  throw refusal("Max Sessions must be 'auto' or greater than zero, at most 999999")
}

function refusal(message: string): NodeError<AnswerFault> {
  return new NodeError<AnswerFault>('bad-answer', message)
}
