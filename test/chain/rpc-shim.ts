import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { encodeErrorResult, parseAbi } from 'viem'
import { type CallResult, unpackCalls, type ViewCall, writeResults } from '../../src/io/chain/many-calls.ts'
import type { Hex } from '../../src/lib/bytes.ts'
import { messageOf } from '../../src/lib/errors.ts'

/** A passing request; `forward` sends it, or a replacement, to the real endpoint. */
export interface PassingRequest {
  readonly method: string
  readonly params: readonly unknown[]
  /** Whether it came in a batch. */
  readonly isBatched: boolean
  forward(method?: string, params?: readonly unknown[]): Promise<unknown>
}

/** A JSON-RPC error to answer with, by default under HTTP 200. */
export class RpcFault extends Error {
  readonly code: number
  readonly data: unknown
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: number,
    message: string,
    more: { data?: unknown; status?: number; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
    this.code = code
    this.data = more.data
    this.status = more.status ?? 200
    this.headers = more.headers ?? {}
  }
}

/** An answer that is not JSON-RPC, for a request or for its whole batch. */
export class HttpFault extends Error {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, body: string, headers: Readonly<Record<string, string>> = {}) {
    super(`HTTP ${status}`)
    this.status = status
    this.body = body
    this.headers = headers
  }
}

/**
 * How an endpoint handles a batch: answers it, refuses it with HTTP 400, answers it with one error object, or each item
 * with an error.
 */
export type BatchManner = 'answered' | 'http-400' | 'one-error' | 'item-errors'

/** Handles each request. `undefined` cuts the connection; a thrown fault is sent as the answer. */
export type Intercept = (request: PassingRequest) => Promise<unknown>

/** Options of a shim. */
export interface ShimOptions {
  /** Absent: everything passes. */
  readonly intercept?: Intercept
  /** Absent: answered. */
  readonly batches?: BatchManner
  /** Whether views packed into one request are intercepted separately; default true. */
  readonly opensCalls?: boolean
}

interface JsonRpc {
  readonly id: unknown
  readonly method: string
  readonly params: readonly unknown[]
}

/** Sits between a node and an RPC endpoint and changes, fails or delays requests. */
export class RpcShim implements AsyncDisposable {
  readonly #server: Server
  readonly #opensCalls: boolean
  readonly #target: () => string
  /** May be replaced. */
  intercept: Intercept
  /** May be replaced. */
  batches: BatchManner
  /** Number of requests by method, alone or in answered batches. */
  readonly asked = new Map<string, number>()
  /** HTTP requests. */
  posts = 0
  /** Calls of views, alone or several in one request. */
  calls = 0

  private constructor(target: () => string, options: ShimOptions) {
    this.#target = target
    this.intercept = options.intercept ?? ((request) => request.forward())
    this.batches = options.batches ?? 'answered'
    this.#opensCalls = options.opensCalls ?? true
    this.#server = createServer((incoming, outgoing) => {
      this.#serve(incoming, outgoing).catch(() => incoming.socket.destroy())
    })
  }

  /** The target may become known later. */
  static async start(
    target: string | (() => string),
    options: Intercept | ShimOptions = {},
  ): Promise<RpcShim> {
    const all = typeof options === 'function' ? { intercept: options } : options
    const shim = new RpcShim(typeof target === 'string' ? () => target : target, all)
    await new Promise<void>((resolve) => shim.#server.listen(0, '127.0.0.1', resolve))
    return shim
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** JSON-RPC requests of all methods. */
  get requests(): number {
    return [...this.asked.values()].reduce((sum, count) => sum + count, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = JSON.parse(await textOf(incoming)) as JsonRpc | JsonRpc[]
    this.posts++
    try {
      const answer = Array.isArray(body) ? await this.#answerBatch(body) : await this.#answer(body, false)
      if (answer === undefined) return void incoming.socket.destroy()
      outgoing.end(JSON.stringify(answer))
    } catch (error) {
      if (error instanceof HttpFault) outgoing.writeHead(error.status, error.headers).end(error.body)
      else if (error instanceof RpcFault) {
        const id = Array.isArray(body) ? null : body.id
        outgoing.writeHead(error.status, { 'content-type': 'application/json', ...error.headers })
        outgoing.end(JSON.stringify(errorAnswer(id, error)))
      } else throw error
    }
  }

  async #answerBatch(items: readonly JsonRpc[]): Promise<unknown> {
    const refusal = new RpcFault(-32600, 'batch requests are not supported')
    switch (this.batches) {
      case 'http-400':
        throw new HttpFault(400, 'Bad Request')
      case 'one-error':
        throw refusal
      case 'item-errors':
        return items.map(({ id }) => errorAnswer(id, refusal))
      case 'answered': {
        const answers = await Promise.all(items.map((item) => this.#answer(item, true)))
        return answers.includes(undefined) ? undefined : answers
      }
    }
  }

  /** The answer to one request; undefined cuts the connection. An answer under another HTTP status is thrown. */
  async #answer({ id, method, params }: JsonRpc, isBatched: boolean): Promise<unknown> {
    this.asked.set(method, (this.asked.get(method) ?? 0) + 1)
    const forward = (instead = method, by = params) => ask(this.#target(), instead, by)
    const views = method === 'eth_call' ? viewsIn(params) : []
    this.calls += views.length
    try {
      const result =
        views.length > 1 && this.#opensCalls
          ? await this.#answerViews(views, params[1])
          : await this.intercept({ method, params, isBatched, forward })
      return result === undefined ? undefined : { jsonrpc: '2.0', id, result }
    } catch (error) {
      if (error instanceof HttpFault) throw error
      const fault = error instanceof RpcFault ? error : new RpcFault(-32000, messageOf(error))
      // Its HTTP status applies to the whole answer.
      if (fault.status !== 200) throw fault
      return errorAnswer(id, fault)
    }
  }

  async #answerViews(views: readonly ViewCall[], block: unknown): Promise<unknown> {
    const results = await Promise.all(
      views.map(async (view): Promise<CallResult | undefined> => {
        const params = [view, block]
        const forward = (method = 'eth_call', by: readonly unknown[] = params) =>
          ask(this.#target(), method, by)
        try {
          const data = await this.intercept({ method: 'eth_call', params, isBatched: false, forward })
          return data === undefined ? undefined : { success: true, data: data as Hex }
        } catch (error) {
          if (!(error instanceof RpcFault) || error.code !== 3) throw error
          return { success: false, data: (error.data as Hex | undefined) ?? revertOf(error.message) }
        }
      }),
    )
    return results.includes(undefined) ? undefined : writeResults(results as CallResult[])
  }
}

/** The views of a call: one, or the several packed into it. */
function viewsIn(params: readonly unknown[]): ViewCall[] {
  const [{ data, to }] = params as [{ to?: Hex; data?: Hex }]
  if (to !== undefined || data === undefined) return [{ to, data } as ViewCall]
  return unpackCalls(data) ?? []
}

function revertOf(message: string): Hex {
  const abi = parseAbi(['error Error(string)'])
  return encodeErrorResult({ abi, errorName: 'Error', args: [message.replace(/^execution reverted: /, '')] })
}

function errorAnswer(id: unknown, { code, data, message }: RpcFault): unknown {
  return { jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } }
}

async function ask(url: string, method: string, params: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
  const { result, error } = (await response.json()) as {
    result: unknown
    error?: { code: number; message: string; data?: unknown }
  }
  if (error) throw new RpcFault(error.code, error.message, { data: error.data })
  return result
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
