import { ZodError, z } from 'zod'
import type { Fees } from '../../domain/transaction.ts'
import { larger, smaller } from '../../lib/bigints.ts'
import { ChainError } from './chain-error.ts'
import { headerOf, parseQuantity, quantitySchema, toQuantity } from './raw-header.ts'
import type { Rpc } from './rpc.ts'

/** Blocks whose tips bound what is offered as one. */
const HISTORY_BLOCKS = 20n
/** The percentile of the tips in each of them, by gas. */
const HISTORY_PERCENTILE = 60
/** A tip is accepted up to this, or up to `TIP_FACTOR` times what recent blocks were paid. */
const UNQUESTIONED_TIP = 2n * 10n ** 9n
const TIP_FACTOR = 2n

/** What a chain asks for now. */
export interface FeeMarket {
  readonly baseFee: bigint
  readonly tip: bigint
}

/**
 * Reads the newest base fee and the tip; a chain that suggests no tip is paid the difference to its gas price. No more is
 * offered as a tip than blocks were lately paid suggests, since a tip is spent in full; and of two endpoints the one that
 * asks for less is believed, except about the base fee of a transaction that is late.
 */
export async function readFeeMarket(
  rpc: Rpc,
  { isLate = false }: { /** Of two base fees the higher one is taken. */ isLate?: boolean } = {},
  signal?: AbortSignal,
): Promise<FeeMarket> {
  const { answers } = await rpc.askTwo('eth_getBlockByNumber', ['latest', false], signal)
  const baseFees = answers.flatMap((answer) => headerOf(answer)?.baseFee ?? [])
  if (baseFees.length === 0) {
    throw new ChainError(
      'no-base-fee',
      'this chain has no base fee: transactions of the old kind are not supported',
    )
  }
  const baseFee = baseFees.reduce(isLate ? larger : smaller)
  const suggested = await least(rpc, 'eth_maxPriorityFeePerGas', signal).catch(async (error) => {
    if (error instanceof ChainError && error.code !== 'rpc-refused') throw error
    const gasPrice = await least(rpc, 'eth_gasPrice', signal)
    return gasPrice > baseFee ? gasPrice - baseFee : 0n
  })
  if (suggested <= UNQUESTIONED_TIP) return { baseFee, tip: suggested }
  return {
    baseFee,
    tip: smaller(suggested, larger(UNQUESTIONED_TIP, TIP_FACTOR * (await paidTip(rpc, signal)))),
  }
}

/** The smaller of two endpoints' answers to a method without parameters; of one where there are no more. */
export async function least(rpc: Rpc, method: string, signal?: AbortSignal): Promise<bigint> {
  const { answers } = await rpc.askTwo(method, [], signal)
  return answers.map((answer) => parseQuantity(method, answer)).reduce(smaller)
}

/** The highest percentile tip of the newest blocks, in wei per unit of gas; 0 where no endpoint tells. */
async function paidTip(rpc: Rpc, signal?: AbortSignal): Promise<bigint> {
  const params = [toQuantity(HISTORY_BLOCKS), 'latest', [HISTORY_PERCENTILE]]
  try {
    const { answers } = await rpc.askTwo('eth_feeHistory', params, signal)
    const tips = answers.map((answer) =>
      historySchema
        .parse(answer)
        .reward.map(([tip = 0n]) => tip)
        .reduce(larger, 0n),
    )
    return tips.reduce(smaller)
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof ZodError || (error instanceof ChainError && error.code === 'rpc-refused')) return 0n
    throw error
  }
}

const historySchema = z.object({ reward: z.array(z.array(quantitySchema)) })

/** What limits an offer: `-maxGasPrice`, what stands for it where that is not set, or what the transaction earns. */
export type LimitSource = 'flag' | 'default' | 'earnings'

/**
 * The offer for a new transaction: room for the base fee to double, and for the tip. With a maximum the offer ends
 * there, and the tip gives way (chain.md §20, C1). Throws ChainError `gas-price-too-high` when even the base fee is above it.
 */
export function offerFor({ baseFee, tip }: FeeMarket, max: bigint, source: LimitSource = 'flag'): Fees {
  const wanted = 2n * baseFee + tip
  if (max === 0n || wanted <= max) return { maxFeePerGas: wanted, maxPriorityFeePerGas: tip }
  if (baseFee > max) throw gasPriceTooHigh(baseFee, max, source)
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

/** The refusal to pay this gas price, in the words that operators know (chain.md §6). */
export function gasPriceTooHigh(current: bigint, max: bigint, source: LimitSource = 'flag'): ChainError {
  return new ChainError(
    'gas-price-too-high',
    `current gas price exceeds maximum gas price max=${gwei(max)} GWei current=${gwei(current)} GWei${WHY_LIMITED[source]}`,
    { details: { max, current } },
  )
}

const WHY_LIMITED: Readonly<Record<LimitSource, string>> = {
  flag: '',
  default: ': that is the maximum while -maxGasPrice is not set; set it to allow more',
  earnings: ': more would cost more than the tickets pay',
}

function raised(value: bigint): bigint {
  return (value * 111n + 99n) / 100n
}

function gwei(wei: bigint): string {
  const text = wei.toString().padStart(10, '0')
  return `${text.slice(0, -9)}.${text.slice(-9)}`.replace(/\.?0+$/, '')
}
