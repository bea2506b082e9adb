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

/** A count of units of 10^-digits as a decimal number without trailing zeros. */
function decimal(units: bigint, digits: number): string {
  const text = units.toString().padStart(digits + 1, '0')
  const fraction = text.slice(-digits).replace(/0+$/, '')
  return fraction === '' ? text.slice(0, -digits) : `${text.slice(0, -digits)}.${fraction}`
}
