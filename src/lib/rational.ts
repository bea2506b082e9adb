import { NodeError } from './errors.ts'

/** Why there is no such fraction. */
export type RationalFault = 'bad-number' | 'division-by-zero'

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/

/** An exact fraction of big integers, always reduced, with a positive denominator. Immutable. */
export class Rational {
  readonly num: bigint
  readonly den: bigint

  private constructor(num: bigint, den: bigint) {
    this.num = num
    this.den = den
  }

  static readonly zero = new Rational(0n, 1n)
  static readonly one = new Rational(1n, 1n)

  /** The fraction num/den. Throws NodeError `division-by-zero` when den is 0. */
  static of(num: bigint, den = 1n): Rational {
    if (den === 0n)
      throw new NodeError<RationalFault>('division-by-zero', 'the denominator of a fraction must not be 0')
    const divisor = gcd(num < 0n ? -num : num, den < 0n ? -den : den)
    if (divisor === 1n && den > 0n) return new Rational(num, den)
    const sign = den < 0n ? -1n : 1n
    return new Rational((sign * num) / divisor, (sign * den) / divisor)
  }

  /** Parses `12`, `-0.5`, `1e12` or `1/3`. Throws NodeError `bad-number`. */
  static parse(text: string): Rational {
    const slash = text.split('/')
    if (slash.length === 2 && /^-?\d{1,200}$/.test(slash[0]!) && /^\d{1,200}$/.test(slash[1]!)) {
      return Rational.of(BigInt(slash[0]!), BigInt(slash[1]!))
    }
    const match = text.length <= 200 ? DECIMAL.exec(text) : null
    if (!match) throw new NodeError<RationalFault>('bad-number', `not a number: ${text.slice(0, 80)}`)
    const [, sign, whole, fraction = '', exponent = '0'] = match
    const scale = Number(exponent) - fraction.length
    const digits = BigInt(`${whole}${fraction}`) * (sign === '-' ? -1n : 1n)
    return scale >= 0
      ? Rational.of(digits * 10n ** BigInt(scale))
      : Rational.of(digits, 10n ** BigInt(-scale))
  }

  add(other: Rational): Rational {
    return Rational.of(this.num * other.den + other.num * this.den, this.den * other.den)
  }

  sub(other: Rational): Rational {
    return Rational.of(this.num * other.den - other.num * this.den, this.den * other.den)
  }

  mul(other: Rational): Rational {
    return Rational.of(this.num * other.num, this.den * other.den)
  }

  div(other: Rational): Rational {
    return Rational.of(this.num * other.den, this.den * other.num)
  }

  /** Negative, zero or positive when this is less than, equal to or greater than `other`. */
  cmp(other: Rational): number {
    const difference = this.num * other.den - other.num * this.den
    return difference < 0n ? -1 : difference > 0n ? 1 : 0
  }

  equals(other: Rational): boolean {
    return this.num === other.num && this.den === other.den
  }

  /** -1, 0 or 1. */
  get sign(): number {
    return this.num < 0n ? -1 : this.num > 0n ? 1 : 0
  }

  /** The largest integer not above this. */
  floor(): bigint {
    const quotient = this.num / this.den
    return this.num < 0n && quotient * this.den !== this.num ? quotient - 1n : quotient
  }

  /** The smallest integer not below this. */
  ceil(): bigint {
    return -Rational.of(-this.num, this.den).floor()
  }

  /** Rounded towards zero. */
  trunc(): bigint {
    return this.num / this.den
  }

  /** With `digits` decimals, rounded half away from zero. For texts only. */
  toFixed(digits: number): string {
    const scale = 10n ** BigInt(digits)
    const magnitude = this.num < 0n ? -this.num : this.num
    const rounded = (magnitude * scale * 2n + this.den) / (this.den * 2n)
    const text = rounded.toString().padStart(digits + 1, '0')
    const body = digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`
    return this.num < 0n && rounded !== 0n ? `-${body}` : body
  }

  /** `5` for whole numbers, otherwise `1/3`. */
  toString(): string {
    return this.den === 1n ? this.num.toString() : `${this.num}/${this.den}`
  }

  /** The nearest double. For display and metrics, never for money. */
  toNumber(): number {
    const shift = BigInt(Math.max(0, bitLength(this.num) - 1000, bitLength(this.den) - 1000))
    return Number(this.num >> shift) / Number(this.den >> shift)
  }

  toJSON(): string {
    return this.toString()
  }
}

/** Requires `a` ≥ 0 and `b` > 0. */
function gcd(a: bigint, b: bigint): bigint {
  if (b === 1n) return 1n
  if (a === 0n) return b
  // Fees have large powers of two in the denominator: remove the common ones by shifting.
  const either = a | b
  return (either & -either) * oddGcd(a, b / (b & -b))
}

/** For any `a` and an odd `b`. Once both fit, doubles are ten times faster and equally exact. */
function oddGcd(a: bigint, b: bigint): bigint {
  while (b > LARGEST_EXACT) [a, b] = [b, a % b]
  if (b === 0n) return a
  let x = Number(b)
  let y = Number(a % b)
  while (y !== 0) [x, y] = [y, x % y]
  return BigInt(x)
}

const LARGEST_EXACT = BigInt(Number.MAX_SAFE_INTEGER)

function bitLength(value: bigint): number {
  return (value < 0n ? -value : value).toString(2).length
}
