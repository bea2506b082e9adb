import * as z from 'zod'
import { plain } from '../../commands/status/answer.ts'
import { parsedJson } from '../../lib/parsed-json.ts'

/** Figures of a node, or a sentence on why there are none. */
export type Figures<T> = { readonly value: T } | { readonly fault: string }

/** The longest list that is read. */
const MAX_ENTRIES = 5_000

/** A text of a node: one line of bounded length. */
export const text = z.string().transform((given) => plain(given))
/** A whole number of any size, which nodes send as text. */
export const whole = z
  .union([z.string().regex(/^-?\d{1,200}$/), z.number().int()])
  .transform((written) => BigInt(written))
export const count = z.number().int().nonnegative()

/** A list of bounded length. */
export function list<T extends z.ZodType>(entry: T) {
  return z.array(entry).max(MAX_ENTRIES)
}

/** Reads an answer by its schema. Anything else than figures becomes a sentence. */
export function read<T>(
  schema: z.ZodType<T>,
  { body, httpStatus }: { readonly httpStatus: number; readonly body: string },
): Figures<T> {
  if (httpStatus !== 200) return { fault: plain(body) || `the node answered ${httpStatus}` }
  const parsed = schema.safeParse(parsedJson(body))
  return parsed.success ? { value: parsed.data } : { fault: 'the figures have a form that is not known here' }
}
