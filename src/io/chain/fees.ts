import type { Fees } from '../../domain/transaction.ts'
import { larger } from '../../lib/bigints.ts'
import { ChainError } from './chain-error.ts'
import { parseQuantity, type Rpc } from './rpc.ts'

/** What a chain asks for now. */
export interface FeeMarket {
  readonly baseFee: bigint
  readonly tip: bigint
}

/** Reads the newest base fee and the tip; a chain that suggests no tip is paid the difference to its gas price. */
export async function readFeeMarket(rpc: Rpc, signal?: AbortSignal): Promise<FeeMarket> {
  const header = await rpc.header('latest', signal)
  if (header?.baseFee == null) {
    throw new ChainError(
      'no-base-fee',
      'this chain has no base fee: transactions of the old kind are not supported',
    )
  }
  const { baseFee } = header
  const tip = await rpc.quantity('eth_maxPriorityFeePerGas', [], signal).catch(async (error) => {
    if (error instanceof ChainError && error.code !== 'rpc-refused') throw error
    const gasPrice = parseQuantity('eth_gasPrice', await rpc.request('eth_gasPrice', [], signal))
    return gasPrice > baseFee ? gasPrice - baseFee : 0n
  })
  return { baseFee, tip }
}

/**
 * The offer for a new transaction: room for the base fee to double, and for the tip. With a maximum the offer ends
 * there, and the tip gives way (C1). Throws ChainError `gas-price-too-high` when even the base fee is above it.
 */
export function offerFor({ baseFee, tip }: FeeMarket, max: bigint): Fees {
  const wanted = 2n * baseFee + tip
  if (max === 0n || wanted <= max) return { maxFeePerGas: wanted, maxPriorityFeePerGas: tip }
  if (baseFee > max) throw gasPriceTooHigh(baseFee, max)
  return { maxFeePerGas: max, maxPriorityFeePerGas: tip < max ? tip : max }
}

/**
 * The offer for a replacement: 11 % more of both, rounded up (chain.md §6), or what the market asks by now if that is
 * more. Null when the maximum does not allow a replacement that a node would accept.
 */
export function replacementFor(previous: Fees, market: FeeMarket, max: bigint): Fees | null {
  const least = { fee: raised(previous.maxFeePerGas), tip: raised(previous.maxPriorityFeePerGas) }
  if (max !== 0n && least.fee > max) return null
  const wanted = larger(least.fee, 2n * market.baseFee + market.tip)
  const maxFeePerGas = max !== 0n && wanted > max ? max : wanted
  const tip = larger(least.tip, market.tip)
  const maxPriorityFeePerGas = tip < maxFeePerGas ? tip : maxFeePerGas
  return maxPriorityFeePerGas < least.tip ? null : { maxFeePerGas, maxPriorityFeePerGas }
}

/** The refusal to pay so much, in the words that operators know (chain.md §6). */
export function gasPriceTooHigh(current: bigint, max: bigint): ChainError {
  return new ChainError(
    'gas-price-too-high',
    `current gas price exceeds maximum gas price max=${gwei(max)} GWei current=${gwei(current)} GWei`,
    { details: { max, current } },
  )
}

function raised(value: bigint): bigint {
  return (value * 111n + 99n) / 100n
}

function gwei(wei: bigint): string {
  const text = wei.toString().padStart(10, '0')
  return `${text.slice(0, -9)}.${text.slice(-9)}`.replace(/\.?0+$/, '')
}
