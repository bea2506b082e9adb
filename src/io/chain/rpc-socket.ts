import { createConnection } from 'node:net'
import { basename } from 'node:path'
import { abortError, messageOf } from '../../lib/errors.ts'
import { ChainError } from './chain-error.ts'
import { JsonSplitter } from './json-splitter.ts'
import {
  type JsonRpcRequest,
  MAX_ANSWER_BYTES,
  parseJson,
  type RpcTransport,
  type TransportAnswer,
} from './rpc-transport.ts'

/** An open connection that carries whole JSON texts both ways. */
interface Line {
  write(text: string): void
  close(): void
}

/** Events of a connection: each JSON text that arrives, and its end once it was open. */
interface LineEvents {
  onText(text: string): void
  onEnd(why: string): void
}

/** Opens a connection; resolves once it is open, rejects with the reason. */
type Dial = (events: LineEvents) => Promise<Line>

/**
 * An endpoint over one connection that is kept open, a WebSocket or a local IPC socket: answers find their requests by
 * id, in any order. What is under way when the connection ends fails; the next request opens it again.
 */
export class SocketTransport implements RpcTransport {
  readonly label: string
  readonly takesBatches = false
  readonly #dial: Dial
  readonly #waiting = new Map<number, PromiseWithResolvers<TransportAnswer>>()
  #line: Promise<Line> | null = null

  private constructor(label: string, dial: Dial) {
    this.label = label
    this.#dial = dial
  }

  /** Over `ws:` or `wss:`. */
  static web(url: URL, headers: Record<string, string>): SocketTransport {
    return new SocketTransport(`${url.protocol}//${url.host}`, dialWeb(url.href, headers))
  }

  /** Over the socket file of a node on this machine. Its folder is not named in the label. */
  static ipc(path: string): SocketTransport {
    return new SocketTransport(`ipc:${basename(path)}`, dialIpc(path))
  }

  async send(
    payload: JsonRpcRequest | readonly JsonRpcRequest[],
    signal: AbortSignal,
  ): Promise<TransportAnswer> {
    const request = payload as JsonRpcRequest
    signal.throwIfAborted()
    const answer = Promise.withResolvers<TransportAnswer>()
    const giveUp = () => answer.reject(signal.reason ?? abortError(signal))
    signal.addEventListener('abort', giveUp, { once: true })
    this.#waiting.set(request.id, answer)
    try {
      this.#line ??= this.#open()
      this.#line.then((line) => signal.aborted || line.write(JSON.stringify(request)), answer.reject)
      return await answer.promise
    } finally {
      this.#waiting.delete(request.id)
      signal.removeEventListener('abort', giveUp)
    }
  }

  close(): void {
    this.#line?.then((line) => line.close()).catch(() => {})
    this.#drop('the node is stopping')
  }

  #open(): Promise<Line> {
    const line: Promise<Line> = this.#dial({
      onText: (text) => this.#take(text),
      onEnd: (why) => {
        if (this.#line === line) this.#drop(why)
      },
    }).catch((error) => {
      if (this.#line === line) this.#line = null
      throw this.#unreachable(messageOf(error), false)
    })
    return line
  }

  /** Drops the connection; requests under way fail. */
  #drop(why: string): void {
    this.#line = null
    for (const { reject } of this.#waiting.values()) reject(this.#unreachable(why, true))
  }

  #unreachable(why: string, wasSent: boolean): ChainError {
    return new ChainError('rpc-unreachable', `${this.label}: ${why}`, { details: { wasSent } })
  }

  #take(text: string): void {
    const body = parseJson(text)
    const id = typeof body === 'object' && body !== null && 'id' in body ? Number(body.id) : Number.NaN
    // A message that answers no request, such as a subscription's, is ignored.
    this.#waiting.get(id)?.resolve({ status: 200, retryAfterMs: null, body })
  }
}

function dialWeb(url: string, headers: Record<string, string>): Dial {
  return ({ onEnd, onText }) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { headers })
      socket.addEventListener('open', () => {
        resolve({ write: (text) => socket.send(text), close: () => socket.close() })
        socket.addEventListener('close', () => onEnd('the connection was cut'))
      })
      socket.addEventListener('message', ({ data }) => {
        if (typeof data === 'string' && data.length <= MAX_ANSWER_BYTES) onText(data)
        else socket.close()
      })
      socket.addEventListener('error', () => reject(new Error('no WebSocket can be opened there')))
    })
}

function dialIpc(path: string): Dial {
  return ({ onEnd, onText }) =>
    new Promise((resolve, reject) => {
      const socket = createConnection(path)
      const splitter = new JsonSplitter(MAX_ANSWER_BYTES)
      socket.setEncoding('utf8')
      socket.on('connect', () => {
        resolve({ write: (text) => void socket.write(`${text}\n`), close: () => socket.destroy() })
        socket.on('close', () => onEnd('the connection was cut'))
      })
      socket.on('data', (chunk: string) => {
        try {
          for (const text of splitter.take(chunk)) onText(text)
        } catch {
          socket.destroy()
        }
      })
      socket.on('error', (error) => {
        const code = 'code' in error ? String(error.code) : ''
        reject(new Error(IPC_PROBLEMS[code] ?? error.message))
      })
    })
}

const IPC_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  ECONNREFUSED: 'nothing listens there (connection refused)',
  EACCES: 'the socket may not be opened by this user',
}
