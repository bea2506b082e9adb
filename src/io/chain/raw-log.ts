import { z } from 'zod'
import type { Hex } from '../../lib/bytes.ts'
import { type Address, parseAddress } from '../../lib/crypto.ts'
import { quantitySchema } from './raw-header.ts'

const bytes = z
  .string()
  .regex(/^0x([0-9a-f]{2})*$/i)
  .transform((text) => text.toLowerCase() as Hex)
const address = z
  .string()
  .regex(/^0x[0-9a-f]{40}$/i)
  .transform((text): Address => parseAddress(text.toLowerCase()))

/** A log as JSON-RPC carries it. */
export const logSchema = z.object({
  address,
  topics: z.array(bytes).max(4),
  data: bytes,
  blockNumber: quantitySchema,
  blockHash: bytes,
  transactionHash: bytes,
  logIndex: quantitySchema.transform(Number),
  removed: z.boolean().optional(),
})

/** A log of a block. */
export type RawLog = z.infer<typeof logSchema>

/** A receipt as JSON-RPC carries it. */
export const receiptSchema = z.object({
  transactionHash: bytes,
  from: address,
  blockNumber: quantitySchema,
  blockHash: bytes,
  status: quantitySchema.transform((status) => status === 1n),
  gasUsed: quantitySchema,
  effectiveGasPrice: quantitySchema,
  logs: z.array(logSchema),
})

/** The receipt of a transaction. */
export type RawReceipt = z.infer<typeof receiptSchema>
