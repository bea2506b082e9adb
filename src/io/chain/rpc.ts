import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { ChainError } from './chain-error.ts'
import {
  headerSchema,
  isEndpointTrouble,
  quantitySchema,
  type RawHeader,
  RpcEndpoint,
} from './rpc-endpoint.ts'

/** What of the settings concerns the connection to the chain. */
export interface RpcOptions {
  /** In order of preference: the first healthy one is used. */
  readonly urls: readonly string[]
  /** What every endpoint must serve; null takes over what the first one says. */
  readonly chainId: number | null
  /** Per request (chain.md §8: 20 s). */
  readonly timeoutMs?: number
  /** How far behind the others, or without a new block, an endpoint may be before another is preferred. */
  readonly staleAfterMs?: number
}

/** What is known about an endpoint now. */
export type EndpointState =
  | { readonly kind: 'untried' }
  | { readonly kind: 'healthy'; readonly sinceMs: number }
  | {
      readonly kind: 'down' | 'slow' | 'stale' | 'wrong-chain'
      readonly sinceMs: number
      readonly reason: string
    }

/** One endpoint as health pages show it. */
export interface EndpointHealth {
  readonly endpoint: string
  readonly state: EndpointState
  /** Newest block it told of. */
  readonly head: bigint | null
}

/** Asks one method of the chain. */
export type ChainRequest = (method: string, params: readonly unknown[]) => Promise<unknown>

/** One endpoint, kept for several requests that must see the same chain. */
export interface PinnedRpc {
  readonly request: ChainRequest
  /** Tells of the newest block seen, so that an endpoint that stands still is noticed. */
  sawHead(header: RawHeader): void
}

const DEFAULT_TIMEOUT_MS = 20_000
const DEFAULT_STALE_AFTER_MS = 60_000
/** How far blocks may be ahead of the local clock to be taken for the newest. */
const MAX_CLOCK_AHEAD_MS = 60_000
/** A check before use must not cost a request its whole time. */
const PROBE_TIMEOUT_MS = 5_000
const FIRST_BACKOFF_MS = 500
const MAX_BACKOFF_MS = 30_000
/** When nothing is healthy the endpoints are tried again at most this often, whatever their backoff. */
const DESPERATE_RETRY_MS = 1_000
const MAX_ATTEMPTS = 5
const TRANSIENT_PAUSE_MS = 250
/** A settings line with more endpoints than this is a mistake. */
const MAX_ENDPOINTS = 16

interface Candidate {
  readonly endpoint: RpcEndpoint
  state: EndpointState
  retryAtMs: number
  triedAtMs: number
  backoffMs: number
  head: RawHeader | null
  advancedAtMs: number
  probing: Promise<void> | null
}

/**
 * The connection to the chain over a list of URLs: uses the first healthy one, checks chain id and freshness before an
 * endpoint is used (again), moves on when one is down, slow or stale, and comes back when it recovers.
 */
export class Rpc {
  readonly #candidates: Candidate[]
  readonly #timeoutMs: number
  readonly #staleAfterMs: number
  readonly #clock: Clock
  readonly #log: Log
  #chainId: number | null
  #newestTimestamp = 0n

  /** Throws ChainError `bad-endpoint` for an empty list or a URL that cannot be used. */
  constructor(options: RpcOptions, needs: { clock: Clock; log: Log }) {
    if (options.urls.length === 0 || options.urls.length > MAX_ENDPOINTS) {
      throw new ChainError('bad-endpoint', `-ethUrl needs 1 to ${MAX_ENDPOINTS} URLs, separated by commas`)
    }
    this.#candidates = options.urls.map((url) => ({
      endpoint: new RpcEndpoint(url),
      state: { kind: 'untried' },
      retryAtMs: 0,
      triedAtMs: 0,
      backoffMs: 0,
      head: null,
      advancedAtMs: 0,
      probing: null,
    }))
    this.#chainId = options.chainId
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.#staleAfterMs = options.staleAfterMs ?? DEFAULT_STALE_AFTER_MS
    this.#clock = needs.clock
    this.#log = needs.log
  }

  /** The chain's id, once an endpoint has answered. */
  async chainId(signal?: AbortSignal): Promise<number> {
    if (this.#chainId === null) await this.#pick(new Set(), signal)
    return this.#chainId!
  }

  /** Sends one request, to another endpoint if the first is in trouble. Throws ChainError. */
  request(method: string, params: readonly unknown[] = [], signal?: AbortSignal): Promise<unknown> {
    return this.pinned((rpc) => rpc.request(method, params), signal)
  }

  /** Runs several requests against one endpoint; if it gets into trouble, all of them again against another. */
  async pinned<Result>(work: (rpc: PinnedRpc) => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const failed = new Set<Candidate>()
    for (let attempt = 1; ; attempt++) {
      const candidate = await this.#pick(failed, signal)
      try {
        return await work({
          request: (method, params) => candidate.endpoint.request(method, params, this.#timeoutMs, signal),
          sawHead: (header) => this.#sawHead(candidate, header),
        })
      } catch (error) {
        if (!isEndpointTrouble(error) || attempt >= MAX_ATTEMPTS) throw error
        failed.add(candidate)
        await this.#setAside(candidate, error as ChainError, attempt, signal)
      }
    }
  }

  /**
   * The same question to two endpoints, where there are several: what each of them answers. One answer only, and
   * `isLone`, when all others are out of reach. Throws ChainError when none answers.
   */
  async askTwo(
    method: string,
    params: readonly unknown[],
    signal?: AbortSignal,
  ): Promise<{ readonly answers: readonly unknown[]; readonly isLone: boolean }> {
    if (this.#candidates.length === 1) {
      return { answers: [await this.request(method, params, signal)], isLone: false }
    }
    const answers: unknown[] = []
    for (const candidate of this.#candidates.toSorted(
      (a, b) => Number(isHealthy(b)) - Number(isHealthy(a)),
    )) {
      if (!isHealthy(candidate) && candidate.retryAtMs <= this.#clock.now()) await this.#probe(candidate)
      if (!isHealthy(candidate)) continue
      try {
        answers.push(await candidate.endpoint.request(method, params, this.#timeoutMs, signal))
      } catch (error) {
        if (!isEndpointTrouble(error)) throw error
        this.#fail(candidate, kindOf(error), messageOf(error))
      }
      if (answers.length === 2) return { answers, isLone: false }
    }
    if (answers.length === 0) throw this.#nothingAnswers()
    return { answers, isLone: true }
  }

  /** The newest block's header, or the one asked for; null when the chain has no such block. */
  async header(block: bigint | 'latest', signal?: AbortSignal): Promise<RawHeader | null> {
    return this.pinned((rpc) => fetchHeader(rpc.request, block), signal)
  }

  /** A method whose answer is a quantity. */
  async quantity(method: string, params: readonly unknown[] = [], signal?: AbortSignal): Promise<bigint> {
    return parseQuantity(method, await this.request(method, params, signal))
  }

  /** What is known about each endpoint. */
  health(): readonly EndpointHealth[] {
    return this.#candidates.map(({ endpoint, state, head }) => ({
      endpoint: endpoint.label,
      state,
      head: head?.number ?? null,
    }))
  }

  /**
   * The first healthy endpoint; if there is none, the others are checked, and a stale one is better than none. Those
   * that failed in the same request come last: an endpoint may be well and yet not answer this one.
   */
  async #pick(failed: ReadonlySet<Candidate>, signal?: AbortSignal): Promise<Candidate> {
    signal?.throwIfAborted()
    const healthy = this.#candidates.find((candidate) => isHealthy(candidate) && !failed.has(candidate))
    if (healthy) {
      // Better ones are looked at again meanwhile, without making this request wait for them.
      for (const better of this.#candidates.slice(0, this.#candidates.indexOf(healthy))) {
        if (!isHealthy(better) && better.retryAtMs <= this.#clock.now()) void this.#probe(better)
      }
      return healthy
    }
    const inTurn = this.#candidates.toSorted((a, b) => Number(failed.has(a)) - Number(failed.has(b)))
    for (const candidate of inTurn) {
      const tooSoon = candidate.triedAtMs + DESPERATE_RETRY_MS > this.#clock.now()
      if (tooSoon && candidate.probing === null) continue
      await this.#probe(candidate)
      signal?.throwIfAborted()
      if (isHealthy(candidate)) return candidate
    }
    const again = inTurn.find(isHealthy) ?? inTurn.find(({ state }) => state.kind === 'stale')
    if (again) return again
    throw this.#nothingAnswers()
  }

  /** Checks an endpoint's chain and freshness and notes the result; never throws. */
  #probe(candidate: Candidate): Promise<void> {
    candidate.probing ??= this.#check(candidate).finally(() => {
      candidate.probing = null
    })
    return candidate.probing
  }

  async #check(candidate: Candidate): Promise<void> {
    candidate.triedAtMs = this.#clock.now()
    const request: ChainRequest = (method, params) =>
      candidate.endpoint.request(method, params, Math.min(PROBE_TIMEOUT_MS, this.#timeoutMs))
    try {
      const chainId = Number(parseQuantity('eth_chainId', await request('eth_chainId', [])))
      this.#chainId ??= chainId
      if (chainId !== this.#chainId) {
        throw new ChainError(
          'wrong-chain',
          `${candidate.endpoint.label} serves chain ${chainId}, this node is on chain ${this.#chainId}`,
        )
      }
      const header = await fetchHeader(request, 'latest')
      if (header === null) throw new ChainError('bad-answer', `${candidate.endpoint.label} has no blocks`)
      this.#noteHead(candidate, header)
      if (this.#isBehind(header)) return this.#fail(candidate, 'stale', this.#behindText(candidate, header))
      if (isHealthy(candidate)) return
      if (candidate.state.kind !== 'untried') {
        this.#log.info('RPC endpoint usable again', { endpoint: candidate.endpoint.label })
      }
      candidate.state = { kind: 'healthy', sinceMs: this.#clock.now() }
      candidate.backoffMs = 0
    } catch (error) {
      this.#fail(candidate, kindOf(error), messageOf(error))
    }
  }

  #fail(candidate: Candidate, kind: 'down' | 'slow' | 'stale' | 'wrong-chain', reason: string): void {
    if (candidate.state.kind !== kind) {
      this.#log.warn('RPC endpoint not usable', { endpoint: candidate.endpoint.label, kind, reason })
      candidate.state = { kind, sinceMs: this.#clock.now(), reason }
    }
    candidate.backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, candidate.backoffMs * 2))
    candidate.retryAtMs = this.#clock.now() + candidate.backoffMs
  }

  async #setAside(
    candidate: Candidate,
    error: ChainError,
    attempt: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const others = this.#candidates.some((other) => other !== candidate && isHealthy(other))
    if (error.code === 'rpc-refused' && !others) {
      // Limits and lagging replicas pass by themselves (chain.md §3.4).
      return this.#clock.sleep(TRANSIENT_PAUSE_MS * attempt, signal)
    }
    this.#fail(candidate, kindOf(error), error.message)
    // A server that was restarted cuts the connections kept open to it: one look at once tells it from one that is gone.
    candidate.triedAtMs = 0
  }

  #sawHead(candidate: Candidate, header: RawHeader): void {
    this.#noteHead(candidate, header)
    const still = this.#clock.now() - candidate.advancedAtMs
    if (still <= this.#staleAfterMs || this.#candidates.length === 1) return
    candidate.advancedAtMs = this.#clock.now()
    void this.#compareWithOthers(candidate, header)
  }

  /** Standing still may be the chain's own doing: only if another endpoint is ahead is this one stale. */
  async #compareWithOthers(candidate: Candidate, header: RawHeader): Promise<void> {
    const others = this.#candidates.filter((other) => other !== candidate)
    await Promise.all(others.map((other) => this.#probe(other)))
    if (this.#isBehind(header) && isHealthy(candidate)) {
      this.#fail(candidate, 'stale', this.#behindText(candidate, header))
    }
  }

  #noteHead(candidate: Candidate, header: RawHeader): void {
    if (candidate.head === null || candidate.head.number !== header.number) {
      candidate.advancedAtMs = this.#clock.now()
    }
    candidate.head = header
    // A clock that is ahead of ours says nothing about the others: they would all count as stale.
    const latest = BigInt(Math.ceil((this.#clock.now() + MAX_CLOCK_AHEAD_MS) / 1000))
    if (header.timestamp > this.#newestTimestamp && header.timestamp <= latest) {
      this.#newestTimestamp = header.timestamp
    }
  }

  #isBehind(header: RawHeader): boolean {
    return this.#newestTimestamp - header.timestamp > BigInt(Math.ceil(this.#staleAfterMs / 1000))
  }

  #behindText(candidate: Candidate, header: RawHeader): string {
    const seconds = this.#newestTimestamp - header.timestamp
    return `${candidate.endpoint.label} is stale: its newest block is ${seconds} s older than another endpoint's`
  }

  #nothingAnswers(): ChainError {
    const states = this.#candidates.map(({ state }) => state)
    const reasons = states.map((state) => ('reason' in state ? state.reason : 'not tried yet'))
    const all = (kind: EndpointState['kind']) => states.every((state) => state.kind === kind)
    const code = all('wrong-chain') ? 'wrong-chain' : all('slow') ? 'rpc-timeout' : 'rpc-unreachable'
    return new ChainError(code, `no RPC endpoint of -ethUrl can be used: ${reasons.join('; ')}`)
  }
}

/** A header by number, or the newest; null when there is none. */
export async function fetchHeader(
  request: ChainRequest,
  block: bigint | 'latest',
): Promise<RawHeader | null> {
  const tag = block === 'latest' ? block : toQuantity(block)
  return headerOf(await request('eth_getBlockByNumber', [tag, false]))
}

/** The header in an answer about a block; null when there is no such block. Throws ChainError `bad-answer`. */
export function headerOf(raw: unknown): RawHeader | null {
  if (raw === null) return null
  const parsed = headerSchema.safeParse(raw)
  if (!parsed.success) throw new ChainError('bad-answer', 'the RPC answered with a block that has no header')
  return parsed.data
}

/** Reads a quantity out of an answer. */
export function parseQuantity(method: string, answer: unknown): bigint {
  const parsed = quantitySchema.safeParse(answer)
  if (!parsed.success) throw new ChainError('bad-answer', `the RPC answered ${method} with something else`)
  return parsed.data
}

/** Writes a quantity as JSON-RPC wants it. */
export function toQuantity(value: bigint): `0x${string}` {
  return `0x${value.toString(16)}`
}

function isHealthy(candidate: Candidate): boolean {
  return candidate.state.kind === 'healthy'
}

function kindOf(error: unknown): 'down' | 'slow' | 'wrong-chain' {
  if (error instanceof ChainError && error.code === 'rpc-timeout') return 'slow'
  if (error instanceof ChainError && error.code === 'wrong-chain') return 'wrong-chain'
  return 'down'
}
