import { z } from 'zod'
import { ETH_TYPED, exactAmount } from '../../domain/typed-amount.ts'
import { etherAtLeast } from '../../lib/amounts.ts'
import { plain } from '../status/answer.ts'

/*
 * What a node answers to dryRun=true and details=true, and how it is shown. Nodes are not trusted with a terminal: each text
 * is one line of bounded length without control characters.
 */

const MAX_STEPS = 100
const MAX_TEXT = 1_500

const text = z.string().transform((given) => plain(given, MAX_TEXT))
const integer = z
  .union([z.string().regex(/^\d{1,80}$/), z.number().int().nonnegative()])
  .transform((value) => BigInt(value))
const hex = z.string().regex(/^0x[0-9a-f]*$/)
const argument = z.object({ name: text, value: text, words: text })
const worded = {
  ...{ contract: text, address: text, method: text, about: text },
  ...{ args: z.array(argument).max(20), valueWei: integer },
}

const transaction = z.object({
  ...{ nonce: z.number().int().nonnegative(), to: text, data: hex.max(20_002), value: integer },
  ...{ gas: integer, maxFeePerGas: integer, maxPriorityFeePerGas: integer },
})

const plannedCall = z.object({
  ...worded,
  ...{ purpose: text, transaction, maxCostWei: integer, maxCost: text, open: hex.nullable() },
})

const stepOf = <T extends z.ZodType>(call: T) =>
  z.object({ step: text.nullable(), isDone: z.boolean(), call: call.nullable() })

/** The answer to dryRun=true. */
export const dryRunSchema = z.object({
  dryRun: z.literal(true),
  ...{ chainId: integer, from: text, maxCostWei: integer, maxCost: text },
  steps: z.array(stepOf(plannedCall)).max(MAX_STEPS),
})

/** What a node would send. */
export type DryRun = z.output<typeof dryRunSchema>

/** The call of one step of it. */
export type PlannedCall = z.output<typeof plannedCall>

const sentCall = z.object({ ...worded, hash: hex, block: integer, feeWei: integer })

/** The answer to details=true. */
export const sentSchema = z.object({
  dryRun: z.literal(false),
  steps: z.array(stepOf(sentCall)).max(MAX_STEPS),
})

/** What a node has sent. */
export type Sent = z.output<typeof sentSchema>

/** What would be sent, as lines: each step with its contract, its arguments in words and what it may cost. */
export function linesOfDryRun({ from, maxCostWei, steps }: DryRun): string[] {
  const lines = steps.flatMap(({ call, isDone, step }, index) => {
    const head = `${steps.length > 1 ? `${index + 1}. ` : ''}${step === null ? '' : `${step}: `}`
    if (isDone) return [`${head}done already`]
    if (!call) return [`${head}on this node alone, without a transaction`]
    return [`${head}${call.about}`, ...linesOfCall(call).map((line) => `     ${line}`)]
  })
  const count = steps.filter(({ call }) => call !== null).length
  const sum =
    count === 0
      ? ['nothing is to be sent']
      : [
          `${count === 1 ? 'one transaction' : `${count} transactions`} of ${from}, for at most ${etherAtLeast(maxCostWei)} of gas`,
        ]
  return [...lines, ...sum]
}

/** A call in lines: the function that is called, each argument, what is sent along and the most that it costs. */
export function linesOfCall(call: {
  readonly contract: string
  readonly address: string
  readonly method: string
  readonly args: readonly { readonly name: string; readonly words: string }[]
  readonly valueWei: bigint
  readonly maxCostWei: bigint
  readonly open?: string | null
}): string[] {
  const { address, args, contract, maxCostWei, method, open = null, valueWei } = call
  return [
    `calls ${contract}.${method} at ${address}`,
    ...args.map(({ name, words }) => `  ${name}: ${words}`),
    ...(valueWei > 0n ? [`sends ${exactAmount(valueWei, ETH_TYPED)} along`] : []),
    open === null
      ? `costs at most ${etherAtLeast(maxCostWei)} of gas`
      : `was sent before as ${open} and waits to be mined: it is waited for`,
  ]
}

/** What was sent, as lines. */
export function linesOfSent({ steps }: Sent): string[] {
  return steps.flatMap(({ call, isDone, step }) => {
    const head = step === null ? '' : `${step}: `
    if (isDone) return [`${head}done before`]
    if (!call) return [`${head}done`]
    return [
      `${head}${call.about}`,
      `  mined in block ${call.block} as ${call.hash}, for ${exactAmount(call.feeWei, ETH_TYPED)} of gas`,
    ]
  })
}
