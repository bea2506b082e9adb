import { z } from 'zod'
import { bigintsAsTexts } from '../../lib/bigints.ts'
import type { Hex } from '../../lib/bytes.ts'
import { type Address, parseAddress } from '../../lib/crypto.ts'
import { escaped } from '../../lib/printable.ts'

/*
 * The file that carries transactions between a node, the machine that has the key, and a node again. Whoever carries it may
 * have changed it: each reader takes only what it checks itself.
 */

const MAX_FILE_CHARS = 512 * 1024
/** An activation has four. */
const MAX_TRANSACTIONS = 20
const MAX_DATA_CHARS = 12_002
const MAX_RAW_CHARS = 12_002
const FORMAT = 'livepeer-transactions'
const VERSION = 1

const HEX = /^0x([0-9a-f]{2})*$/
const hexOf = (most: number) =>
  z
    .string()
    .max(most)
    .regex(HEX)
    .transform((text) => text as Hex)
const integer = z
  .string()
  .regex(/^(0|[1-9]\d{0,77})$/)
  .transform((text) => BigInt(text))
const address = z.string().transform((text, context): Address => {
  try {
    return parseAddress(text)
  } catch {
    context.addIssue('no address')
    return z.NEVER
  }
})

const unsignedTransaction = z.strictObject({
  /** What it does, in words. */
  about: z.string().max(2_000),
  nonce: z.number().int().nonnegative(),
  to: address,
  data: hexOf(MAX_DATA_CHARS),
  value: integer,
  gas: integer,
  maxFeePerGas: integer,
  maxPriorityFeePerGas: integer,
})

const head = {
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  chainId: integer,
  from: address,
  /** The command that asked for them. */
  command: z.string().max(200),
}

const unsignedSchema = z.strictObject({
  ...head,
  state: z.literal('unsigned'),
  transactions: z.array(unsignedTransaction).min(1).max(MAX_TRANSACTIONS),
})

const signedSchema = z.strictObject({
  ...head,
  state: z.literal('signed'),
  transactions: z
    .array(z.strictObject({ about: z.string().max(2_000), raw: hexOf(MAX_RAW_CHARS) }))
    .min(1)
    .max(MAX_TRANSACTIONS),
})

/** Transactions that wait for a signature; amounts in wei. */
export type UnsignedFile = z.output<typeof unsignedSchema>

/** One of them. */
export type UnsignedTransaction = UnsignedFile['transactions'][number]

/** Transactions that were signed. */
export type SignedFile = z.output<typeof signedSchema>

/** What a file's text holds. Throws a sentence for what is no such file. */
export function readTransactionFile(text: string, name: string): UnsignedFile | SignedFile {
  if (text.length > MAX_FILE_CHARS) throw new Error(`${name} is larger than ${MAX_FILE_CHARS} characters`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new Error(`${name} is no JSON: it is not a file of livepeer --unsigned or livepeer tx sign`)
  }
  const read = z.discriminatedUnion('state', [unsignedSchema, signedSchema]).safeParse(json)
  if (read.success) return read.data
  const { message, path } = read.error.issues[0]!
  const place = path.length === 0 ? '' : ` at ${escaped(path.join('.')).slice(0, 100)}`
  throw new Error(
    `${name} is not a file of livepeer --unsigned or livepeer tx sign of this version: ${escaped(message).slice(0, 200)}${place}`,
  )
}

/** A file's text. */
export function writeTransactionFile(
  content: Omit<UnsignedFile, 'format' | 'version'> | Omit<SignedFile, 'format' | 'version'>,
): string {
  const { state, ...rest } = content
  const text = JSON.stringify({ format: FORMAT, version: VERSION, state, ...rest }, bigintsAsTexts, 2)
  return `${text}\n`
}
