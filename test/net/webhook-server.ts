import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A request that a webhook got. */
export interface HookRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** What a webhook answers, or does instead. */
export interface HookAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly delayMs?: number
  /** `hangs`: nothing comes. `cuts`: the connection ends before an answer, `breaks-off`: within it. `endless`: it never ends. */
  readonly habit?: 'hangs' | 'cuts' | 'breaks-off' | 'endless'
}

/** A webhook on loopback, which answers as a test says. */
export class WebhookServer implements AsyncDisposable {
  readonly requests: HookRequest[] = []
  /** The next answers; when none is left, `answer` is given. */
  readonly next: HookAnswer[] = []
  answer: HookAnswer | ((request: HookRequest) => HookAnswer) = { status: 200, body: '' }
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  static async open(): Promise<WebhookServer> {
    const webhook = new WebhookServer()
    webhook.#server.listen(0, '127.0.0.1')
    await once(webhook.#server, 'listening')
    return webhook
  }

  /** Its origin. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    for await (const chunk of request) body += chunk
    const heard = { method: request.method!, path: request.url!, headers: request.headers, body }
    this.requests.push(heard)
    const given = this.next.shift() ?? this.answer
    const answer = typeof given === 'function' ? given(heard) : given
    const { delayMs = 0, habit, headers = {}, status = 200 } = answer
    if (delayMs > 0) await sleep(delayMs)
    response.on('error', () => {})
    if (habit === 'hangs') return
    if (habit === 'cuts') {
      request.socket.destroy()
    } else if (habit === 'breaks-off') {
      response.writeHead(status, { ...headers, 'content-length': '1000' })
      response.write('{"manifestID":', () => request.socket.destroy())
    } else if (habit === 'endless') {
      response.writeHead(status, headers)
      const more = () => {
        while (!response.destroyed && response.write(' '.repeat(65_536)));
      }
      response.on('drain', more)
      more()
    } else {
      response.writeHead(status, headers).end(answer.body ?? '')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    if (this.#server.listening) await once(this.#server, 'close')
  }
}
