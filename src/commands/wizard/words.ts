import { ETH_TYPED, exactAmount, LPT_TYPED, WEI_TYPED } from '../../domain/typed-amount.ts'
import { perPixel } from '../../lib/amounts.ts'
import { NodeError } from '../../lib/errors.ts'
import { Rational } from '../../lib/rational.ts'

/** An amount of LPT, to the last digit. */
export function lpt(lptu: bigint): string {
  return exactAmount(lptu, LPT_TYPED)
}

/** An amount of ether, to the last digit. */
export function etherWords(wei: bigint): string {
  return exactAmount(wei, ETH_TYPED)
}

/** A gas price. */
export function gasPriceWords(wei: bigint): string {
  const gwei = Rational.of(wei, 10n ** 9n)
  return wei < 10n ** 6n ? `${wei} wei` : `${gwei.toFixed(9).replace(/\.?0+$/, '')} gwei`
}

/** Parts of a million as percent, without its sign. */
export function percentWords(parts: bigint): string {
  return shareWords(parts, 1_000_000n)
}

/** Parts of a whole as percent, without its sign. */
export function shareWords(parts: bigint, whole: bigint): string {
  if (whole === 0n) return '0'
  return Rational.of(parts * 100n, whole)
    .toFixed(7)
    .replace(/\.?0+$/, '')
}

/** A price that a node tells as a fraction of wei; nothing where it tells none. */
export function priceWords(fraction: string | null | undefined): string {
  const price = priceIn(fraction)
  return price === null ? '' : `${perPixel(price)}/pixel`
}

/** A price that a node tells as a fraction of wei; null where it tells none. */
export function priceIn(fraction: string | null | undefined): Rational | null {
  if (!fraction) return null
  try {
    return Rational.parse(fraction)
  } catch (error) {
    if (error instanceof NodeError) return null
    throw error
  }
}

/** An amount of wei as it is typed where wei is the unit. */
export function weiWords(wei: bigint): string {
  return exactAmount(wei, WEI_TYPED)
}
