import { z } from 'zod'
import type { Clock } from '../../lib/clock.ts'
import { hiderOf } from '../../lib/mask-url.ts'
import { ChainError, translateRpcError } from './chain-error.ts'
import { packCalls, packedSize, readResults, type ViewCall } from './many-calls.ts'
import { Pace } from './rpc-pace.ts'
import { type QueuedRequest, RequestQueue } from './rpc-queue.ts'
import {
  type JsonRpcRequest,
  openTransport,
  type RpcTransport,
  type TransportAnswer,
} from './rpc-transport.ts'

/** How one request is sent. */
export interface AskOptions {
  /** From sending to the answer, without the time in the queue. */
  readonly timeoutMs: number
  /** The longest time in the queue. */
  readonly patienceMs: number
  /** When the caller first made it: older requests go first. Absent: now. */
  readonly sinceMs?: number
  readonly signal?: AbortSignal | undefined
}

/** Requests in flight at once: enough to fill a connection, few enough not to exceed an unknown limit by much. */
const MAX_IN_FLIGHT = 32
/** The most requests in one batch. */
const MAX_BATCH = 20
/** View calls merged into one: their results, ten words each, must fit into the maximum contract size (24 KiB). */
const MAX_MERGED = 64
/** The most bytes of merged calls: they must fit into the maximum size of contract creation code (48 KiB). */
const MAX_MERGED_BYTES = 40_000
/** Batching or merging that an endpoint refused is tried again after this time. */
const TOGETHER_AGAIN_MS = 60 * 60_000
/** After this many failures in a row the endpoint is assumed not to support it. */
const MAX_TOGETHER_FAILURES = 3

/** Never batched: no other request should wait for a large answer, or fail with a transaction. */
const NEVER_BATCHED = new Set(['eth_sendRawTransaction', 'eth_getLogs'])

const answerSchema = z.object({
  id: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z
    .object({ code: z.number().optional(), message: z.string(), data: z.unknown().optional() })
    .nullish(),
})

/** One JSON-RPC request: a caller's own, or several merged view calls. */
interface Item {
  readonly asked: readonly QueuedRequest[]
  readonly body: JsonRpcRequest
}

/**
 * One endpoint of `-ethUrl`. It paces requests to the rate at which the endpoint answers, batches and merges them if
 * the endpoint supports that, and reports what is wrong with it.
 */
export class RpcEndpoint {
  /** The URL without parts that may be secret: path, query and user. */
  readonly label: string
  readonly pace: Pace
  readonly #transport: RpcTransport
  /** Removes from the endpoint's words what may be secret: some name the key that they refuse. */
  readonly #hide: (text: string) => string
  readonly #clock: Clock
  readonly #queue = new RequestQueue()
  #inFlight = 0
  #requests = 0
  /** What the endpoint said when it last limited requests. */
  #lastLimit = ''
  #isFlushing = false
  #pause: AbortController | null = null
  readonly #batches: Together
  readonly #merges: Together

  /** Throws ChainError `bad-endpoint` for an unusable entry. */
  constructor(text: string, needs: { clock: Clock }) {
    this.#transport = openTransport(text)
    this.label = this.#transport.label
    this.#hide = hiderOf(text)
    this.#clock = needs.clock
    this.pace = new Pace(needs.clock)
    this.#batches = new Together(needs.clock)
    this.#merges = new Together(needs.clock)
  }

  /** Queues and sends one request. Throws ChainError: the endpoint's error, or why there is no answer. */
  async request(method: string, params: readonly unknown[], options: AskOptions): Promise<unknown> {
    const { patienceMs, signal, timeoutMs } = options
    signal?.throwIfAborted()
    if (this.#queue.isFull) throw this.#limited(`${this.#queue.size} requests wait for their turn`)
    const sinceMs = options.sinceMs ?? this.#clock.now()
    const answer = this.#queue.ask(
      { method, params, timeoutMs },
      { sinceMs, expiresAtMs: sinceMs + patienceMs, signal },
    )
    this.#flushSoon()
    return answer.finally(() => {
      if (this.#queue.size === 0) this.#pause?.abort()
    })
  }

  /** Closes connections that are kept open. */
  close(): void {
    this.#transport.close()
  }

  /** Sends in the next turn of the event loop, so that all requests made in this turn can be batched. */
  #flushSoon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(() => {
      this.#isFlushing = false
      this.#flush()
    })
  }

  #flush(): void {
    this.#pause?.abort()
    for (const { answer } of this.#queue.takeExpired(this.#clock.now())) {
      answer.reject(this.#limited(`a request waited too long for its turn${this.#lastLimit}`))
    }
    while (this.#queue.size > 0 && this.#room > 0) this.#sendNext()
    if (this.#queue.size > 0) this.#flushLater()
  }

  /** How many requests may be sent now. */
  get #room(): number {
    return Math.min(MAX_IN_FLIGHT - this.#inFlight, this.pace.ready)
  }

  /** Sends when the pace allows; each answer triggers the next send. */
  #flushLater(): void {
    const pause = new AbortController()
    this.#pause = pause
    const expiryMs = this.#queue.nextExpiryMs - this.#clock.now()
    const waitMs = this.#inFlight < MAX_IN_FLIGHT ? Math.min(this.pace.waitMs, expiryMs) : expiryMs
    this.#clock.sleep(Math.max(1, waitMs), pause.signal).then(
      () => this.#flushSoon(),
      () => {},
    )
  }

  #sendNext(): void {
    const items = this.#nextItems()
    this.pace.sent(items.length)
    this.#inFlight += items.length
    void this.#send(items).finally(() => {
      this.#inFlight -= items.length
      if (this.#queue.size > 0) this.#flushSoon()
    })
  }

  /** The requests to send together next. */
  #nextItems(): Item[] {
    const mayBatch = this.#transport.takesBatches && this.#batches.isOn
    const most = mayBatch ? Math.min(MAX_BATCH, this.#room) : 1
    const items: Item[] = []
    for (;;) {
      const next = this.#queue.take()
      if (!next) return items
      items.push(this.#itemOf(this.#merges.isOn ? this.#withSimilar(next) : [next]))
      const following = this.#queue.peek()
      if (items.length >= most || !canBatch(next) || !following || !canBatch(following)) return items
    }
  }

  /** A view call, and others at the same block that can be merged with it. */
  #withSimilar(first: QueuedRequest): QueuedRequest[] {
    const call = viewCallOf(first)
    if (!call) return [first]
    const block = first.params[1]
    let count = 1
    let bytes = packedSize(call)
    const others = this.#queue.takeAlso((request) => {
      const other = request.params[1] === block ? viewCallOf(request) : null
      if (!other || count >= MAX_MERGED || bytes + packedSize(other) > MAX_MERGED_BYTES) return false
      count++
      bytes += packedSize(other)
      return true
    })
    return [first, ...others]
  }

  #itemOf(asked: readonly QueuedRequest[]): Item {
    const [{ method, params }] = asked as [QueuedRequest]
    const merged = asked.length > 1 && [{ data: packCalls(asked.map((one) => viewCallOf(one)!)) }, params[1]]
    return { asked, body: { jsonrpc: '2.0', id: ++this.#requests, method, params: merged || params } }
  }

  /** Sends items together and settles their requests. Never throws. */
  async #send(items: readonly Item[]): Promise<void> {
    const asked = items.flatMap((item) => item.asked)
    const sentAtMs = this.#clock.now()
    const unwanted = new AbortController()
    this.#queue.watch(asked, () => unwanted.abort())
    const timeoutMs = Math.max(...asked.map((one) => one.timeoutMs))
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      const payload = items.length === 1 ? items[0]!.body : items.map(({ body }) => body)
      const answer = await this.#transport.send(payload, AbortSignal.any([timeout, unwanted.signal]))
      this.#settle(items, answer, sentAtMs)
    } catch (error) {
      const failure =
        timeout.aborted && !(error instanceof ChainError)
          ? new ChainError(
              'rpc-timeout',
              `${this.label} did not answer ${asked[0]!.method} within ${timeoutMs / 1000} s`,
            )
          : error
      for (const one of asked) one.answer.reject(failure)
    }
  }

  #settle(items: readonly Item[], answer: TransportAnswer, sentAtMs: number): void {
    const { body, status } = answer
    // The status decides for a request limit or a server error, whatever the body says.
    if (status === 429) {
      const error = this.#limited('HTTP status 429')
      this.#noteLimit(error, sentAtMs, answer)
      reject(items, error)
      return
    }
    if (items.length === 1) {
      this.#settleItem(items[0]!, answer, sentAtMs)
      return
    }
    const answers = status === 200 && Array.isArray(body) ? inOrder(items, body) : null
    if (!answers || isRefusedAsBatch(items, answers)) {
      this.#batches.failed(status < 500 && !Array.isArray(body))
      this.#askAlone(items)
      return
    }
    this.#batches.worked()
    for (const [i, item] of items.entries()) this.#settleItem(item, { ...answer, body: answers[i] }, sentAtMs)
  }

  #settleItem(item: Item, answer: TransportAnswer, sentAtMs: number): void {
    try {
      const result = this.#resultOf(item.body.method, answer)
      this.pace.answered(sentAtMs)
      if (item.asked.length === 1) item.asked[0]!.answer.resolve(result)
      else this.#settleMerged(item, result)
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      if (error.code === 'rpc-limited') this.#noteLimit(error, sentAtMs, answer)
      else this.pace.answered(sentAtMs)
      if (item.asked.length === 1 || error.code === 'rpc-limited') reject([item], error)
      else {
        // A verdict on a merged call rejects its form; other refusals may be temporary.
        this.#merges.failed(error.code !== 'rpc-refused' && error.code !== 'rpc-unreachable')
        this.#askAlone([item])
      }
    }
  }

  #noteLimit(error: ChainError, sentAtMs: number, { retryAfterMs }: TransportAnswer): void {
    this.#lastLimit = ` (${error.message})`
    this.pace.refused(sentAtMs, retryAfterMs)
  }

  #settleMerged({ asked }: Item, result: unknown): void {
    const results = readResults(result, asked.length)
    if (!results) throw new ChainError('bad-answer', `${this.label} answered several calls in another form`)
    this.#merges.worked()
    for (const [i, request] of asked.entries()) {
      const { data, success } = results[i]!
      if (success) request.answer.resolve(data)
      // A revert without data may mean that the other calls left this one too little gas.
      else if (data === '0x') this.#askAgainAlone(request)
      else
        request.answer.reject(translateRpcError('eth_call', { code: 3, message: 'execution reverted', data }))
    }
  }

  #askAlone(items: readonly Item[]): void {
    for (const request of items.flatMap(({ asked }) => asked)) this.#askAgainAlone(request)
  }

  #askAgainAlone(request: QueuedRequest): void {
    request.alone = true
    this.#queue.putBack(request)
  }

  #resultOf(method: string, { body, status }: TransportAnswer): unknown {
    const parsed = answerSchema.safeParse(body)
    if (status < 500 && parsed.success && parsed.data.error) {
      const { error } = parsed.data
      throw translateRpcError(method, { ...error, message: this.#hide(error.message) })
    }
    if (status !== 200) throw this.#unusable(status)
    if (!parsed.success) throw new ChainError('bad-answer', `${this.label} did not answer with JSON-RPC`)
    if (parsed.data.result === undefined) {
      throw new ChainError('bad-answer', `${this.label} answered ${method} with neither result nor error`)
    }
    return parsed.data.result
  }

  #unusable(status: number): ChainError {
    // These statuses mean that the endpoint is at fault; with any other, a different endpoint may accept the request.
    const code =
      status >= 500 || [401, 403, 404, 407, 408].includes(status) ? 'rpc-unreachable' : 'rpc-refused'
    const text = `${this.label} answers with HTTP status ${status}${meaning(status)}`
    return new ChainError(code, text, { details: { status, wasSent: status >= 500 || status === 408 } })
  }

  #limited(why: string): ChainError {
    return new ChainError('rpc-limited', `${this.label} limits requests: ${why}`)
  }
}

/** Whether an endpoint supports one way of combining requests. */
class Together {
  readonly #clock: Clock
  #offUntilMs = 0
  #failures = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isOn(): boolean {
    return this.#clock.now() >= this.#offUntilMs
  }

  worked(): void {
    this.#failures = 0
  }

  /** `isSure`: the refusal is not temporary. */
  failed(isSure: boolean): void {
    if (!isSure && ++this.#failures < MAX_TOGETHER_FAILURES) return
    this.#failures = 0
    this.#offUntilMs = this.#clock.now() + TOGETHER_AGAIN_MS
  }
}

function reject(items: readonly Item[], error: ChainError): void {
  for (const { answer } of items.flatMap(({ asked }) => asked)) answer.reject(error)
}

function canBatch({ alone, method }: QueuedRequest): boolean {
  return !alone && !NEVER_BATCHED.has(method)
}

/** The view call in a request; null if it has more than contract, data and block. */
function viewCallOf({ alone, method, params }: QueuedRequest): ViewCall | null {
  if (alone || method !== 'eth_call' || params.length !== 2) return null
  const [call] = params as [Readonly<Record<string, unknown>>]
  const { data, to, ...rest } = call
  if (typeof to !== 'string' || typeof data !== 'string' || Object.keys(rest).length > 0) return null
  return call as unknown as ViewCall
}

/** The answers to a batch, in the order of its items; null when one is missing. */
function inOrder(items: readonly Item[], body: readonly unknown[]): unknown[] | null {
  const byId = new Map<unknown, unknown>()
  for (const answer of body) {
    if (typeof answer === 'object' && answer !== null && 'id' in answer) byId.set(answer.id, answer)
  }
  const answers = items.map((item) => byId.get(item.body.id))
  return answers.includes(undefined) ? null : answers
}

/** Whether all items of a batch were refused in the same words: the refusal may be about the batch. */
function isRefusedAsBatch(items: readonly Item[], answers: readonly unknown[]): boolean {
  const refusals = answers.map((answer, i) => {
    const parsed = answerSchema.safeParse(answer)
    const error = parsed.success ? parsed.data.error : null
    return error && translateRpcError(items[i]!.body.method, error).code === 'rpc-refused'
      ? error.message
      : null
  })
  return refusals[0] !== null && refusals.every((words) => words === refusals[0])
}

function meaning(status: number): string {
  if (status === 401 || status === 403) return ': check the key in its URL'
  if (status === 404) return ': check its path'
  return ''
}
