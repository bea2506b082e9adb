import { Rational } from './rational.ts'

const WEI_PER_GWEI = 10n ** 9n
const WEI_PER_MICROETHER = 10n ** 12n

/** An amount in ETH, gwei or wei, whichever is readable; rounded down. */
export function ether(wei: bigint): string {
  if (wei < 0n) return `-${ether(-wei)}`
  if (wei === 0n || wei >= WEI_PER_MICROETHER) return `${decimal(wei / WEI_PER_MICROETHER, 6)} ETH`
  return wei >= WEI_PER_GWEI ? `${decimal(wei / (WEI_PER_GWEI / 1000n), 3)} gwei` : `${wei} wei`
}

/** An amount to be reached, so rounded up: in ETH with six decimals, or in wei below a millionth. */
export function etherAtLeast(wei: bigint): string {
  if (wei < WEI_PER_MICROETHER) return ether(wei)
  return ether(((wei + WEI_PER_MICROETHER - 1n) / WEI_PER_MICROETHER) * WEI_PER_MICROETHER)
}

/** A gas price in gwei, rounded down to three decimals, or in wei where it is smaller. */
export function gwei(wei: bigint): string {
  const isReadable = wei === 0n || wei >= WEI_PER_GWEI / 1000n
  return isReadable ? `${decimal(wei / (WEI_PER_GWEI / 1000n), 3)} gwei` : `${wei} wei`
}

/** An amount of LPT, given in its smallest unit of which a token has 10^18; rounded down to six decimals. */
export function livepeerTokens(lptu: bigint): string {
  const isReadable = lptu === 0n || lptu >= WEI_PER_MICROETHER
  return isReadable ? `${decimal(lptu / WEI_PER_MICROETHER, 6)} LPT` : `${lptu} LPTU`
}

/** A price per pixel, in wei with three decimals; a smaller one with its first three digits. */
export function perPixel(wei: Rational): string {
  let digits = 3
  for (let rest = wei; rest.sign > 0 && rest.cmp(TENTH) < 0 && digits < MOST_DIGITS; digits++) {
    rest = rest.mul(TEN)
  }
  return `${withoutZeros(wei.toFixed(digits))} wei`
}

const TEN = Rational.of(10n)
const TENTH = Rational.of(1n, 10n)
/** The smallest win probability has 78 digits, and nothing is paid in so small a part of a wei. */
const MOST_DIGITS = 30

/** A count of units of 10^-digits as a decimal number without trailing zeros. */
function decimal(units: bigint, digits: number): string {
  const text = units.toString().padStart(digits + 1, '0')
  return withoutZeros(`${text.slice(0, -digits)}.${text.slice(-digits)}`)
}

function withoutZeros(text: string): string {
  return text.replace(/\.?0+$/, '')
}
