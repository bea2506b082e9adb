import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request as it passes; `forward` asks the real endpoint, for something else if told so. Throw `RpcFault` to answer with an error. */
export interface PassingRequest {
  readonly method: string
  readonly params: readonly unknown[]
  forward(method?: string, params?: readonly unknown[]): Promise<unknown>
}

/** An error that the shim is to answer with. */
export class RpcFault extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Stands between a node and an RPC endpoint and changes, fails or delays what passes. */
export class RpcShim implements AsyncDisposable {
  readonly #server: Server
  /** What is done with each request; replace it at will. Answering `undefined` cuts the connection. */
  intercept: (request: PassingRequest) => Promise<unknown>
  /** How often each method was asked. */
  readonly asked = new Map<string, number>()

  private constructor(target: () => string, intercept?: (request: PassingRequest) => Promise<unknown>) {
    this.intercept = intercept ?? ((request) => request.forward())
    this.#server = createServer(async (incoming, outgoing) => {
      const { id, method, params } = JSON.parse(await textOf(incoming))
      this.asked.set(method, (this.asked.get(method) ?? 0) + 1)
      const forward = (instead = method, by = params) => ask(target(), instead, by)
      try {
        const result = await this.intercept({ method, params, forward })
        if (result === undefined) return incoming.socket.destroy()
        outgoing.end(JSON.stringify({ jsonrpc: '2.0', id, result }))
      } catch (error) {
        const { code, message } = error as RpcFault
        outgoing.end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: code ?? -32000, message } }))
      }
    })
  }

  /** The target may become known only later. */
  static async start(
    target: string | (() => string),
    intercept?: (request: PassingRequest) => Promise<unknown>,
  ): Promise<RpcShim> {
    const shim = new RpcShim(typeof target === 'string' ? () => target : target, intercept)
    await new Promise<void>((resolve) => shim.#server.listen(0, '127.0.0.1', resolve))
    return shim
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

async function ask(url: string, method: string, params: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
  const { result, error } = (await response.json()) as {
    result: unknown
    error?: { code: number; message: string }
  }
  if (error) throw new RpcFault(error.code, error.message)
  return result
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
