import { z } from 'zod'
import { NodeError } from '../../lib/errors.ts'
import { withoutUnprintable } from '../../lib/printable.ts'
import { bytesOf, type ControlTarget, fetchFrom, silenceOf } from '../control-target.ts'

/** Why a node did not do or tell what it was asked. */
export type ControlFault =
  /** It refused, in its own words. */
  | 'refused'
  /** It gave no answer. */
  | 'silent'
  /** Another program answered, or in a form that is not known. */
  | 'stranger'

/** A failure of a call to a node, in a sentence. */
export class ControlFailure extends NodeError<ControlFault> {
  override name = 'ControlFailure'
}

/** The values of a call, by name. */
export type CallValues = Readonly<Record<string, string>>

/** A change that a node is asked for. */
export interface ControlChange {
  readonly path: string
  readonly values?: CallValues
  /** Whether the message is typed data (operations.md §4). */
  readonly isTypedData?: boolean
}

/** What reads the chain takes longer than what is in memory. */
const READ_MS = 30_000
/** A node answers once its transactions are mined; `fetch` waits no longer than this for an answer to begin. */
const CHANGE_MS = 300_000
const MAX_REFUSAL = 1_000

/** A node's control API, of this project or the Go node: its answers have the same form (operations.md §4). */
export class NodeControl {
  readonly #target: ControlTarget
  readonly #signal: AbortSignal
  #described: Promise<ReadonlyMap<string, ReadonlySet<string>>> | null = null

  constructor(target: ControlTarget, signal: AbortSignal) {
    this.#target = target
    this.#signal = signal
  }

  /** A text. Throws ControlFailure. */
  async text(path: string): Promise<string> {
    return (await this.#ask('GET', path)).toString('utf8')
  }

  /** A whole number. Throws ControlFailure. */
  async whole(path: string): Promise<bigint> {
    const text = await this.text(path)
    if (!/^-?\d{1,100}$/.test(text)) throw strange(path)
    return BigInt(text)
  }

  /** A value as JSON, whole numbers as bigints. Throws ControlFailure. */
  async json<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    return readJson(path, await this.#ask('GET', path), schema)
  }

  /** Changes something: the answer's bytes. Throws ControlFailure; `silent` does not mean that nothing was done. */
  change({ isTypedData = false, path, values = {} }: ControlChange): Promise<Buffer> {
    return this.#ask('POST', path, {
      body: new URLSearchParams(values),
      ...(isTypedData && { headers: { SigFormat: 'data/typed' } }),
    })
  }

  /**
   * Whether the node says of a path that it takes a parameter. A node without such a description would take any parameter that
   * it does not know, and do what it was asked.
   */
  async takes(path: string, parameter: string): Promise<boolean> {
    this.#described ??= this.#describedParameters()
    return (await this.#described).get(path)?.has(parameter) ?? false
  }

  async #describedParameters(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    try {
      const { paths } = await this.json('/openapi.json', description)
      return new Map(Object.entries(paths).map(([path, { post }]) => [path, namesIn(post)]))
    } catch (error) {
      if (error instanceof ControlFailure && error.code !== 'silent') return new Map()
      throw error
    }
  }

  async #ask(
    method: 'GET' | 'POST',
    path: string,
    sent: { readonly body?: URLSearchParams; readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Buffer> {
    const timeoutMs = method === 'GET' ? READ_MS : CHANGE_MS
    let response: Response
    let bytes: Buffer
    try {
      response = await fetchFrom(this.#target, path, { ...sent, method, timeoutMs, signal: this.#signal })
      bytes = await bytesOf(response)
    } catch (error) {
      if (this.#signal.aborted) throw error
      throw new ControlFailure('silent', `the node gave no answer to ${path}: ${silenceOf(error)}`, {
        cause: error,
      })
    }
    if (response.status === 200) return bytes
    if (response.status === 401) {
      throw new ControlFailure(
        'refused',
        'the node asks for its -cliToken: give it with -token or LP_CLITOKEN',
      )
    }
    throw new ControlFailure('refused', wordsOf(bytes) || `HTTP status ${response.status}`)
  }
}

/** A node's answer to a path as JSON, whole numbers as bigints. Throws ControlFailure. */
function readJson<T>(path: string, answer: Buffer, schema: z.ZodType<T>): T {
  try {
    return schema.parse(
      JSON.parse(answer.toString('utf8'), exactNumber as (key: string, value: unknown) => unknown),
    )
  } catch {
    throw strange(path)
  }
}

const parameters = z.object({
  parameters: z.array(z.object({ name: z.string() })).optional(),
  requestBody: z
    .object({
      content: z.record(
        z.string(),
        z.object({ schema: z.object({ properties: z.record(z.string(), z.unknown()) }).optional() }),
      ),
    })
    .optional(),
})
const description = z.object({ paths: z.record(z.string(), z.object({ post: parameters.optional() })) })

function namesIn(operation: z.output<typeof parameters> | undefined): ReadonlySet<string> {
  const { parameters: listed = [], requestBody } = operation ?? {}
  const fields = Object.values(requestBody?.content ?? {}).flatMap(({ schema }) =>
    Object.keys(schema?.properties ?? {}),
  )
  return new Set([...listed.map(({ name }) => name), ...fields])
}

/** Numbers of any size are written as digits. */
function exactNumber(_key: string, value: unknown, context: { source: string }): unknown {
  return typeof value === 'number' && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value
}

function strange(path: string): ControlFailure {
  return new ControlFailure('stranger', `the answer to ${path} is not that of a Livepeer node`)
}

function wordsOf(bytes: Buffer): string {
  const text = bytes.toString('utf8', 0, 2 * MAX_REFUSAL)
  return withoutUnprintable(text.replace(/\s+/g, ' ')).trim().slice(0, MAX_REFUSAL)
}
