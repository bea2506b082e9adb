import { z } from 'zod'

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
 * Arbitrum's chain id) or not at all, and then the block's own number is meant (chain.md §10, B5).
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
