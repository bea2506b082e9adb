import { parseAmount } from '../domain/price.ts'
import type { FlagKind } from './flags.ts'

const AMOUNT =
  'a whole number of wei, or an amount with a unit, such as 21gwei or 0.5eth, of at most 9.22 eth'

/** What each kind of flag accepts, for the sentence about a bad value. */
export const wanted: Readonly<Record<FlagKind, string>> = {
  bool: 'true or false',
  'tri-bool': 'true or false',
  int: 'a whole number',
  wei: AMOUNT,
  'tri-wei': AMOUNT,
  seconds: 'a whole number of seconds, or a duration with a unit, such as 500ms, 90s or 1h30m',
  float: 'a number',
  duration: 'a duration with a unit, such as 500ms, 90s or 1h30m',
  string: 'a text',
  'tri-string': 'a text',
}

/** Parses a flag's value as the Go node's parser does (operations.md §1.1); undefined for a bad value. */
export function flagValue(kind: FlagKind, text: string): boolean | bigint | number | string | undefined {
  switch (kind) {
    case 'bool':
    case 'tri-bool':
      return booleans.get(text)
    case 'int':
      return integerValue(text)
    case 'wei':
    case 'tri-wei':
      return integerValue(text) ?? wholeWei(text)
    case 'seconds':
      return secondsMs(text)
    case 'float':
      return floatValue(text)
    case 'duration':
      return durationMs(text)
    case 'string':
    case 'tri-string':
      return text
  }
}

const booleans: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'true', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['0', 'f', 'F', 'false', 'False', 'FALSE'].map((word) => [word, false] as const),
])

const INTEGER =
  /^([+-]?)(0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|0(?:_?[0-7])+|0|[1-9](?:_?[0-9])*)$/
const MAX_INT64 = 2n ** 63n - 1n
const MAX_NUMBER_LENGTH = 200

/** Accepts the base prefixes 0x, 0o, 0b and a leading 0 for octal, and underscores between digits; int64. */
function integerValue(text: string): bigint | undefined {
  const match = text.length <= MAX_NUMBER_LENGTH ? INTEGER.exec(text) : null
  if (!match) return undefined
  const digits = match[2]!.replaceAll('_', '')
  const magnitude = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits)
  const value = match[1] === '-' ? -magnitude : magnitude
  return value > MAX_INT64 || value < -MAX_INT64 - 1n ? undefined : value
}

/** An amount with a unit, if it is a whole number of wei; int64. */
function wholeWei(text: string): bigint | undefined {
  const amount = parseAmount(text)
  return amount?.den === 1n && amount.num <= MAX_INT64 ? amount.num : undefined
}

/** Seconds, or a duration with a unit, in milliseconds. */
function secondsMs(text: string): number | undefined {
  const seconds = integerValue(text)
  if (seconds === undefined) return durationMs(text)
  return seconds > MAX_INT64 / 1000n || seconds < -MAX_INT64 / 1000n ? undefined : Number(seconds) * 1000
}

const FLOAT = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

function floatValue(text: string): number | undefined {
  const value = text.length <= MAX_NUMBER_LENGTH && FLOAT.test(text) ? Number(text) : Number.NaN
  return Number.isFinite(value) ? value : undefined
}

const nanosecondsOf: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}
const DURATION = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/
const DURATION_PART = /(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)/g

/** `1h30m`, `1.5s`, `-2ms` or `0`, in milliseconds. */
function durationMs(text: string): number | undefined {
  if (/^[+-]?0$/.test(text)) return 0
  const match = text.length <= MAX_NUMBER_LENGTH ? DURATION.exec(text) : null
  if (!match) return undefined
  let nanoseconds = 0n
  for (const [, whole, fraction, unit] of match[2]!.matchAll(DURATION_PART)) {
    const digits = BigInt(`${whole}${fraction}` || '0')
    nanoseconds += (digits * nanosecondsOf[unit!]!) / 10n ** BigInt(fraction!.length)
  }
  if (nanoseconds > MAX_INT64) return undefined
  const ms = Number(nanoseconds) / 1e6
  return match[1] === '-' ? -ms : ms
}
