import { z } from 'zod'
import { messageOf } from '../../lib/errors.ts'
import { ChainError, translateRpcError } from './chain-error.ts'

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

/** An answer larger than this is not read to its end: the largest regular ones are log windows of a few MiB. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

const answerSchema = z.object({
  result: z.unknown().optional(),
  error: z
    .object({ code: z.number().optional(), message: z.string(), data: z.unknown().optional() })
    .nullish(),
})

/** Errors after which another endpoint may well answer: limits, lagging replicas, broken proxies (chain.md §3.4). */
const TRANSIENT_TEXT =
  /^(EOF|tls: use of closed connection|unsupported block number)|rate limit|too many requests|header not found|unknown block|service unavailable|internal error|backend/i
const TRANSIENT_CODES = new Set([-32005, 429])

/** One URL of `-ethUrl`: sends a request and says plainly what is wrong with it. */
export class RpcEndpoint {
  /** The URL without what may be a secret: no path, no query, no user. */
  readonly label: string
  readonly #url: string
  readonly #headers: Record<string, string>
  #requests = 0

  /** Throws ChainError `bad-endpoint` for a URL that is not http or https. */
  constructor(text: string) {
    let url: URL
    try {
      url = new URL(text)
    } catch {
      throw new ChainError(
        'bad-endpoint',
        `-ethUrl: ${shorten(text)} is not a URL, such as http://localhost:8545`,
      )
    }
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      throw new ChainError(
        'bad-endpoint',
        `-ethUrl: ${url.protocol}//${url.host} cannot be used, only http:// and https:// are supported`,
      )
    }
    this.label = `${url.protocol}//${url.host}`
    this.#headers = { 'content-type': 'application/json' }
    if (url.username || url.password) {
      const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
      this.#headers.authorization = `Basic ${Buffer.from(credentials).toString('base64')}`
      url.username = ''
      url.password = ''
    }
    this.#url = url.href
  }

  /** Sends one request. Throws ChainError: what the endpoint said, or why it said nothing. */
  async request(
    method: string,
    params: readonly unknown[],
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<unknown> {
    const timeout = AbortSignal.timeout(timeoutMs)
    let text: string
    let status: number
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: this.#headers,
        body: JSON.stringify({ jsonrpc: '2.0', id: ++this.#requests, method, params }),
        signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
      })
      status = response.status
      text = await readLimited(response)
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof ChainError) throw error
      if (timeout.aborted) {
        throw new ChainError(
          'rpc-timeout',
          `${this.label} did not answer ${method} within ${timeoutMs / 1000} s`,
        )
      }
      throw new ChainError('rpc-unreachable', `${this.label}: ${connectionProblem(error)}`)
    }
    return this.#resultOf(method, text, status)
  }

  #resultOf(method: string, text: string, status: number): unknown {
    let parsed: z.infer<typeof answerSchema> | null = null
    try {
      parsed = answerSchema.parse(JSON.parse(text))
    } catch {
      if (status === 200) throw new ChainError('bad-answer', `${this.label} did not answer with JSON-RPC`)
    }
    if (parsed?.error) throw translateRpcError(method, parsed.error)
    if (status !== 200 || parsed === null) {
      throw new ChainError(
        'rpc-unreachable',
        `${this.label} answers with HTTP status ${status}${meaning(status)}`,
      )
    }
    if (parsed.result === undefined) {
      throw new ChainError('bad-answer', `${this.label} answered ${method} with neither result nor error`)
    }
    return parsed.result
  }
}

/** Whether the endpoint rather than the question was the trouble, so that asking elsewhere makes sense. */
export function isEndpointTrouble(error: unknown): boolean {
  if (!(error instanceof ChainError)) return false
  if (error.code === 'rpc-unreachable' || error.code === 'rpc-timeout' || error.code === 'bad-answer')
    return true
  if (error.code === 'wrong-chain') return true
  if (error.code !== 'rpc-refused') return false
  const { rpcCode, text } = error.details
  return TRANSIENT_CODES.has(Number(rpcCode)) || TRANSIENT_TEXT.test(String(text))
}

async function readLimited(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) throw new ChainError('bad-answer', 'an answer of the RPC is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function connectionProblem(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const sentences: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there (connection refused)',
    ENOTFOUND: 'the host name is unknown',
    ECONNRESET: 'the connection was cut',
    UND_ERR_SOCKET: 'the connection was cut',
    EHOSTUNREACH: 'the host cannot be reached',
  }
  return sentences[code] ?? (messageOf(cause) || code || 'no connection')
}

function meaning(status: number): string {
  if (status === 401 || status === 403) return ': check the key in its URL'
  if (status === 404) return ': check its path'
  if (status === 429) return ': too many requests'
  return ''
}

function shorten(text: string): string {
  return JSON.stringify(text.slice(0, 12) + (text.length > 12 ? '…' : ''))
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
