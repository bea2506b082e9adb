import { z } from 'zod'
import { parsePercent, parseRecipient, parseUint256 } from '../../domain/chain-amounts.ts'
import { messageOf } from '../../lib/errors.ts'

/*
 * The kinds of parameters that routes take. A schema's message is the refusal, in peers' words where they have some; its
 * description and pattern tell clients what to send.
 */

/** A text that a function turns into a value; what it throws is the refusal, after these words. */
function parsed<T>(parse: (text: string) => T, { about, words = '' }: { about: string; words?: string }) {
  return z
    .string()
    .transform((text, context) => {
      try {
        return parse(text)
      } catch (error) {
        context.addIssue(`${words}${messageOf(error)}`)
        return z.NEVER
      }
    })
    .meta({ description: about })
}

/** A whole number from 0 to 2^256 − 1. */
export function integer(about: string, words = '') {
  return parsed(parseUint256, { about, words })
}

/** An amount of LPT in its smallest unit, of which a token has 10^18. */
export function lptu(about: string, words = '') {
  return integer(`${about}, in LPT’s smallest unit (10^18 of them are 1 LPT)`, words)
}

/** An amount of LPT as `lptu`, or `all`. */
export function lptuOrAll(about: string) {
  const unit = 'LPT’s smallest unit (10^18 of them are 1 LPT)'
  return parsed((text) => (text === 'all' ? 'all' : parseUint256(text)), {
    about: `${about}, in ${unit}; or all`,
  })
}

/** An amount of wei, or `all`. */
export function weiOrAll(about: string, words: string) {
  return parsed((text) => (text === 'all' ? 'all' : parseUint256(text)), {
    about: `${about}, in wei; or all`,
    words,
  })
}

/** An amount of wei, with one refusal for whatever is none. */
export function weiOr(about: string, refusal: string) {
  const parse = (text: string) => {
    try {
      return parseUint256(text)
    } catch {
      throw new Error(refusal)
    }
  }
  return parsed(parse, { about: `${about}, in wei` })
}

/** An amount of wei. */
export function wei(about: string, words = '') {
  return integer(`${about}, in wei`, words)
}

/** An address with its checksum, if it has one; never the zero address. */
export function address(about: string, words = '') {
  return parsed(parseRecipient, { about: `${about}: 0x and 40 hexadecimal digits`, words })
}

/** A share in percent, as parts of a million. */
export function percent(about: string, words = '') {
  return parsed(parsePercent, { about: `${about}, in percent from 0 to 100`, words })
}

/** Any text. */
export function words(about: string) {
  return z.string().meta({ description: about })
}

/** A number from 0 to `most`, one of several choices. */
export function choice(about: string, name: string, most: number) {
  return parsed(
    (text) => {
      if (!/^[+-]?\d{1,200}$/.test(text)) throw new Error(`${name} is not a valid integer value`)
      const value = BigInt(text.replace(/^\+/, ''))
      if (value < 0n || value > BigInt(most)) throw new Error(`invalid ${name}`)
      return Number(value)
    },
    { about },
  )
}

/** Whether a setting outlasts a restart. */
export const persist = z
  .enum(['true', 'false'], { error: 'persist must be true or false' })
  .optional()
  .transform((text) => text === 'true')
  .meta({ description: 'true to keep the setting over a restart' })
