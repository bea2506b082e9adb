import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { runOperate } from '../../src/commands/operate/command.ts'
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

/* A transfer of LPT, as a node tells of it. */

export const ACCOUNT = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
export const COLD = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
export const OTHER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
export const TOKEN = '0x289ba1701C2F088cf0faf8B3705246331cB8A839'
export const HASH = `0x${'ab'.repeat(32)}`

const worded = {
  ...{ contract: 'LivepeerToken', address: TOKEN, method: 'transfer', about: `sends 1.5 LPT to ${OTHER}` },
  args: [
    { name: 'to', value: OTHER, words: OTHER },
    { name: 'amount', value: '1500000000000000000', words: '1.5 LPT' },
  ],
  valueWei: '0',
}
/** What it answers to dryRun=true. */
export const planned = {
  ...{ dryRun: true, chainId: '42161', from: ACCOUNT, maxCostWei: '100000000000000', maxCost: '0.0001 ETH' },
  steps: [
    {
      ...{ step: null, isDone: false },
      call: {
        ...worded,
        ...{ purpose: 'transfer', maxCostWei: '100000000000000', maxCost: '0.0001 ETH', open: null },
        transaction: {
          ...{ nonce: 7, to: TOKEN, data: '0xa9059cbb', value: '0', gas: '100000' },
          ...{ maxFeePerGas: '1000000000', maxPriorityFeePerGas: '0' },
        },
      },
    },
  ],
}
/** What it answers once it has sent. */
export const sent = {
  dryRun: false,
  steps: [{ step: null, isDone: false, call: { ...worded, hash: HASH, block: '9', feeWei: '5000' } }],
}
export const status = {
  ...{ version: '1', roles: ['orchestrator'], recipient: COLD },
  chain: { account: ACCOUNT, transactions: [{ purpose: 'transfer', txHash: HASH }] },
}

const usual = ({ path, values }: AskedNode): unknown => {
  if (path === '/status') return status
  return values.dryRun === 'true' ? { ...planned, from: values.from ?? ACCOUNT } : sent
}

/** Runs a command against a node that answers so. */
export async function runAt(
  line: string,
  {
    answers,
    respond = usual,
    files,
  }: {
    answers?: readonly string[]
    respond?: (asked: AskedNode) => unknown
    files?: Record<string, string>
  } = {},
) {
  await using node = await OperateNode.start(respond)
  const output = operateOutput(`${line} --node ${node.port}`, {
    ...(answers && { answers }),
    ...(files && { files }),
  })
  const code = await runOperate(output.env, new AbortController().signal)
  return { code, out: output.out(), err: output.err(), asked: node.requests, files: output.files }
}
