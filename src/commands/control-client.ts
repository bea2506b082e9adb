import type { z } from 'zod'
import { ANSWER_TIMEOUT_MS, type ControlTarget, fetchFrom, silenceOf, textOf } from './control-target.ts'
import { plain } from './status/answer.ts'

/** A refusal names what was done, addresses and numbers. */
const MAX_REFUSAL = 1_000

/** Asks a node's control API; every failure is a sentence for the operator. */
export class ControlClient {
  readonly #target: ControlTarget
  readonly #timeoutMs: number

  /** `timeoutMs`: how long an answer may take; what sends a transaction takes as long as that is mined. */
  constructor(
    target: ControlTarget,
    { timeoutMs = ANSWER_TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
  ) {
    this.#target = target
    this.#timeoutMs = timeoutMs
  }

  /** What a path answers, in the form of a schema. Throws a sentence, also where the node does not know the path. */
  async read<T>(path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return parsed(await this.#ask('GET', path, null, signal), schema)
  }

  /** Changes something. Returns the answer in the form of a schema. Throws the node's own words when it refuses. */
  async change<T>(
    path: string,
    values: Readonly<Record<string, string>>,
    schema: z.ZodType<T>,
    signal: AbortSignal,
  ): Promise<T> {
    return parsed(await this.#ask('POST', path, new URLSearchParams(values), signal), schema)
  }

  /** Changes something. Returns the answer as it is. Throws the node's own words when it refuses. */
  async send(path: string, values: Readonly<Record<string, string>>, signal: AbortSignal): Promise<string> {
    return this.#ask('POST', path, new URLSearchParams(values), signal)
  }

  async #ask(
    method: 'GET' | 'POST',
    path: string,
    body: URLSearchParams | null,
    signal: AbortSignal,
  ): Promise<string> {
    const response = await fetchFrom(this.#target, path, {
      ...{ method, signal, timeoutMs: this.#timeoutMs },
      ...(body && body.size > 0 && { body }),
    }).catch((error) => {
      throw new Error(`no answer: ${silenceOf(error)}`)
    })
    const text = await textOf(response)
    if (response.status === 404 || response.status === 405) {
      throw new Error(
        `it knows no ${path.slice(1).split('?', 1)[0]}: it is another program, or an older version`,
      )
    }
    if (response.status === 401) throw new Error('it asks for its token: give it with --token or LP_CLITOKEN')
    if (response.status !== 200) throw new Error(plain(text, MAX_REFUSAL))
    return text
  }
}

function parsed<T>(text: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(exactJson(text))
  } catch {
    throw new Error('its answer is not that of a livepeer-ts node')
  }
}

/** JSON whose integers beyond a float's precision become texts, as the control API writes them bare. */
function exactJson(text: string): unknown {
  return JSON.parse(text, ((_: string, value: unknown, { source = '' }: { source?: string } = {}) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source)
      ? source
      : value) as Parameters<typeof JSON.parse>[1])
}
