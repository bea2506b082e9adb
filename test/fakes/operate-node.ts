import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { OperateEnvironment } from '../../src/commands/operate/environment.ts'
import { systemClock } from '../../src/lib/clock.ts'

/** A request that a command made. */
export interface AskedNode {
  readonly method: string
  readonly path: string
  readonly values: Readonly<Record<string, string>>
}

type Answer = unknown | { readonly refusal: string; readonly status?: number }

/** A control API whose answers a test gives, by path. */
export class OperateNode implements AsyncDisposable {
  readonly asked: AskedNode[] = []
  readonly #server
  readonly #answers: (asked: AskedNode) => Answer | Promise<Answer>

  private constructor(answers: (asked: AskedNode) => Answer | Promise<Answer>) {
    this.#answers = answers
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const url = new URL(request.url!, 'http://node')
      const form = new URLSearchParams(Buffer.concat(chunks).toString())
      const values = Object.fromEntries([...url.searchParams, ...form])
      const asked = { method: request.method!, path: url.pathname, values }
      this.asked.push(asked)
      const answer = await this.#answers(asked)
      if (isRefusal(answer)) response.writeHead(answer.status ?? 500).end(`${answer.refusal}\n`)
      else response.writeHead(200).end(JSON.stringify(answer ?? {}))
    })
  }

  static async start(answers: (asked: AskedNode) => Answer | Promise<Answer>): Promise<OperateNode> {
    const node = new OperateNode(answers)
    await new Promise<void>((resolve) => node.#server.listen(0, '127.0.0.1', resolve))
    return node
  }

  get port(): string {
    return String((this.#server.address() as AddressInfo).port)
  }

  /** What was asked that is no look at the status. */
  get requests(): readonly AskedNode[] {
    return this.asked.filter(({ path }) => path !== '/status')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

function isRefusal(answer: Answer): answer is { refusal: string; status?: number } {
  return typeof answer === 'object' && answer !== null && 'refusal' in answer
}

/** What a command wrote, and where. */
export interface OperateOutput {
  readonly env: OperateEnvironment
  readonly out: () => string
  readonly err: () => string
  readonly files: ReadonlyMap<string, string>
}

/** An environment for a command: `answers` are what a person types, absent where there is no terminal. */
export function operateOutput(
  line: string | readonly string[],
  { answers, files = {} }: { answers?: readonly string[]; files?: Readonly<Record<string, string>> } = {},
): OperateOutput {
  const [out, err]: string[][] = [[], []]
  const kept = new Map(Object.entries(files))
  const left = [...(answers ?? [])]
  const ask = answers
    ? async (question: string) => {
        err!.push(question)
        return left.shift() ?? ''
      }
    : null
  return {
    env: {
      argv: typeof line === 'string' ? line.split(' ') : line,
      variables: {},
      clock: systemClock,
      readText: (path) => kept.get(path) ?? null,
      writeNew: (path, text) => {
        if (kept.has(path))
          throw new Error(`${path} is there already, and is not overwritten: name another file`)
        kept.set(path, text)
      },
      ask,
      askHidden: ask,
      write: (text) => void out!.push(text),
      writeError: (text) => void err!.push(text),
    },
    out: () => out!.join(''),
    err: () => err!.join(''),
    files: kept,
  }
}
