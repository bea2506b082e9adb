import { messageOf } from '../../lib/errors.ts'
import { hiderOf } from '../../lib/mask-url.ts'
import { isSocketPath } from '../../lib/socket-path.ts'
import { ChainError } from './chain-error.ts'
import { SocketTransport } from './rpc-socket.ts'

/** One request as JSON-RPC carries it. */
export interface JsonRpcRequest {
  readonly jsonrpc: '2.0'
  readonly id: number
  readonly method: string
  readonly params: readonly unknown[]
}

/** An endpoint's answer. */
export interface TransportAnswer {
  /** HTTP status; 200 for other transports. */
  readonly status: number
  /** Milliseconds that `Retry-After` asks for; null where it is absent. */
  readonly retryAfterMs: number | null
  /** The JSON of the answer; undefined when it is not JSON. */
  readonly body: unknown
}

/** The transport to one endpoint. */
export interface RpcTransport {
  /** The URL without possible secrets: no path, no query, no user. */
  readonly label: string
  /** Whether several requests can travel together. */
  readonly takesBatches: boolean
  /** Throws ChainError when nothing came back, and the signal's AbortError. */
  send(payload: JsonRpcRequest | readonly JsonRpcRequest[], signal: AbortSignal): Promise<TransportAnswer>
  /** Closes open connections; the next request opens them again. */
  close(): void
}

/** An answer larger than this is not read to its end: the largest regular ones are log windows of a few MiB. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/**
 * The way that an entry of `-ethUrl` names: `http:`, `https:`, `ws:`, `wss:`, or the path of an IPC socket. Throws
 * ChainError `bad-endpoint`.
 */
export function openTransport(text: string): RpcTransport {
  if (isSocketPath(text)) return SocketTransport.ipc(text)
  const url = URL.parse(text)
  if (url === null || url.host === '') {
    throw new ChainError(
      'bad-endpoint',
      '-ethUrl has an entry that is neither a URL, such as http://localhost:8545, nor the path of an IPC socket',
    )
  }
  switch (url.protocol) {
    case 'http:':
    case 'https:':
      return new HttpTransport(url)
    case 'ws:':
    case 'wss:':
      return SocketTransport.web(url, takeCredentials(url))
    default:
      throw new ChainError(
        'bad-endpoint',
        `-ethUrl: ${url.protocol}//${url.host} cannot be used, only http, https, ws, wss and paths of IPC sockets are supported`,
      )
  }
}

class HttpTransport implements RpcTransport {
  readonly label: string
  readonly takesBatches = true
  readonly #url: string
  readonly #headers: Record<string, string>
  readonly #hide: (text: string) => string

  constructor(url: URL) {
    this.#hide = hiderOf(url.href)
    this.label = `${url.protocol}//${url.host}`
    this.#headers = { 'content-type': 'application/json', ...takeCredentials(url) }
    this.#url = url.href
  }

  async send(
    payload: JsonRpcRequest | readonly JsonRpcRequest[],
    signal: AbortSignal,
  ): Promise<TransportAnswer> {
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: this.#headers,
        body: JSON.stringify(payload),
        signal,
      })
      const text = await readLimited(response)
      return {
        status: response.status,
        retryAfterMs: readRetryAfter(response.headers.get('retry-after')),
        body: parseJson(text),
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof ChainError) throw error
      throw new ChainError('rpc-unreachable', `${this.label}: ${this.#hide(connectionProblem(error))}`, {
        details: { wasSent: mayHaveBeenSent(error) },
      })
    }
  }

  close(): void {}
}

/** The header for a URL's user and password, which are removed from it. */
function takeCredentials(url: URL): Record<string, string> {
  if (!url.username && !url.password) return {}
  const credentials = `${unescaped(url.username)}:${unescaped(url.password)}`
  url.username = ''
  url.password = ''
  return { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
}

/** A percent sign that escapes nothing is part of the text. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
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

/** Parses JSON; undefined for anything else. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Milliseconds of a `Retry-After` in seconds. Its other form, a date, is ignored: clocks differ. */
function readRetryAfter(text: string | null): number | null {
  return text !== null && /^\d{1,9}(\.\d{1,3})?$/.test(text.trim()) ? Math.ceil(Number(text) * 1_000) : null
}

/** The system's code for a failed connection; empty when there is none. */
function codeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error && 'code' in cause ? String(cause.code) : ''
}

/** Codes of failures to connect: nothing has been sent. */
const NEVER_CONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
])

function mayHaveBeenSent(error: unknown): boolean {
  return !NEVER_CONNECTED.has(codeOf(error))
}

function connectionProblem(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const code = codeOf(error)
  const sentences: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there (connection refused)',
    ENOTFOUND: 'the host name is unknown',
    ECONNRESET: 'the connection was cut',
    UND_ERR_SOCKET: 'the connection was cut',
    EHOSTUNREACH: 'the host cannot be reached',
  }
  return sentences[code] ?? (messageOf(cause) || code || 'no connection')
}
