import { z } from 'zod'
import { ChainError } from './chain-error.ts'

/** A block as raw JSON: generic block types drop the L1 number (chain.md §10). */
export interface RawHeader {
  readonly number: bigint
  readonly hash: `0x${string}`
  readonly parentHash: `0x${string}`
  readonly timestamp: bigint
  readonly l1Block: bigint
  /** Null on a chain without EIP-1559. */
  readonly baseFee: bigint | null
}

const quantity = z
  .string()
  .regex(/^0x[0-9a-f]{1,64}$/i)
  .transform(BigInt)
const hash = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/i)
  .transform((text) => text.toLowerCase() as `0x${string}`)

/**
 * A block's header out of raw JSON. The L1 number comes as hexadecimal text (Arbitrum), as a JSON number (anvil under
 * Arbitrum's chain id) or not at all, and then the block's own number is meant (chain.md §20, B5).
 */
export const headerSchema = z
  .object({
    number: quantity,
    hash,
    parentHash: hash,
    timestamp: quantity,
    baseFeePerGas: quantity.nullish(),
    l1BlockNumber: z
      .union([quantity, z.int().nonnegative().transform(BigInt), z.literal('').transform(() => null)])
      .nullish(),
  })
  .transform(
    (block): RawHeader => ({
      number: block.number,
      hash: block.hash,
      parentHash: block.parentHash,
      timestamp: block.timestamp,
      l1Block: block.l1BlockNumber ?? block.number,
      baseFee: block.baseFeePerGas ?? null,
    }),
  )

/** A quantity as JSON-RPC writes it. */
export const quantitySchema = quantity

/** Asks one method of the chain. */
export type ChainRequest = (method: string, params: readonly unknown[]) => Promise<unknown>

/** A header by number, or the newest; null when there is none. */
export async function fetchHeader(
  request: ChainRequest,
  block: bigint | 'latest',
): Promise<RawHeader | null> {
  const tag = block === 'latest' ? block : toQuantity(block)
  return headerOf(await request('eth_getBlockByNumber', [tag, false]))
}

/** The header in an answer about a block; null when there is no such block. Throws ChainError `bad-answer`. */
export function headerOf(raw: unknown): RawHeader | null {
  if (raw === null) return null
  const parsed = headerSchema.safeParse(raw)
  if (!parsed.success) throw new ChainError('bad-answer', 'the RPC answered with a block that has no header')
  return parsed.data
}

/** Reads a quantity out of an answer. */
export function parseQuantity(method: string, answer: unknown): bigint {
  const parsed = quantitySchema.safeParse(answer)
  if (!parsed.success) throw new ChainError('bad-answer', `the RPC answered ${method} in another form`)
  return parsed.data
}

/** Writes a quantity as JSON-RPC wants it. */
export function toQuantity(value: bigint): `0x${string}` {
  return `0x${value.toString(16)}`
}
