import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import { ChainError, isUnknownMethod } from './chain-error.ts'
import { type ChainRequest, fetchHeader, parseQuantity, type RawHeader } from './raw-header.ts'
import { RpcEndpoint } from './rpc-endpoint.ts'

/** How the endpoints are used. */
export interface RpcOptions {
  /** In order of preference: the first healthy one is used. */
  readonly urls: readonly string[]
  /** The chain id that every endpoint must serve; null: that of the first one. */
  readonly chainId: number | null
  /** Per request (chain.md §8: 20 s). */
  readonly timeoutMs?: number
  /** How long an endpoint may be behind the others before another one is preferred. */
  readonly staleAfterMs?: number
}

/** The state of an endpoint. */
export type EndpointState =
  | { readonly kind: 'untried' }
  | { readonly kind: 'healthy'; readonly sinceMs: number }
  | {
      readonly kind: EndpointFault
      readonly sinceMs: number
      readonly reason: string
    }

/** What is wrong with an endpoint: `limited` accepts no requests for now, `refusing` answers with errors. */
type EndpointFault = 'down' | 'slow' | 'stale' | 'wrong-chain' | 'limited' | 'refusing'

/** One endpoint as health pages show it. */
export interface EndpointHealth {
  readonly endpoint: string
  readonly state: EndpointState
  /** Its newest block, as last read. */
  readonly head: bigint | null
}

/** How long a request waits while all endpoints are rate-limited. */
export const PATIENCE_MS = 60_000

const DEFAULT_TIMEOUT_MS = 20_000
const DEFAULT_STALE_AFTER_MS = 60_000
/** Time limit of a check before use, so that it leaves time for the request itself. */
const PROBE_TIMEOUT_MS = 5_000
/** How often a check is retried, and after how long. */
const MAX_PROBE_ROUNDS = 3
const PROBE_PAUSE_MS = 200
const FIRST_BACKOFF_MS = 500
const MAX_BACKOFF_MS = 30_000
/** While no endpoint is healthy, all are retried at most this often, regardless of back-off. */
const DESPERATE_RETRY_MS = 1_000
/** An endpoint that is unusable for longer than this is logged. */
const LONG_LIMIT_MS = 5_000
/** An endpoint that refuses this many requests in a row is left for another. */
const MAX_REFUSALS = 10
/** An endpoint with this many server errors in a row is left sooner. */
const MAX_SERVER_ERRORS = 3
/** A block further in the future than this, by this node's clock, is not used to judge another's age. */
const MAX_AHEAD_MS = 60_000
/** The most endpoints in `-ethUrl`; more is a mistake. */
const MAX_ENDPOINTS = 16

/** One of the endpoints. */
export interface Candidate {
  readonly endpoint: RpcEndpoint
  state: EndpointState
  retryAtMs: number
  triedAtMs: number
  backoffMs: number
  head: RawHeader | null
  advancedAtMs: number
  probing: Promise<void> | null
  /** Whether it is known to serve the right chain. */
  isChecked: boolean
  /** Requests refused in a row. */
  refusals: number
  readonly unusable: PassingFailure
}

/** The endpoints of `-ethUrl`, their states, and which one to ask next. */
export class EndpointPool {
  readonly #candidates: readonly Candidate[]
  readonly #timeoutMs: number
  readonly #staleAfterMs: number
  readonly #clock: Clock
  #chainId: number | null
  #newestTimestamp = 0n

  /** Throws ChainError `bad-endpoint` for an empty list or an entry that cannot be used. */
  constructor(options: RpcOptions, needs: { clock: Clock; log: Log }) {
    if (options.urls.length === 0 || options.urls.length > MAX_ENDPOINTS) {
      throw new ChainError('bad-endpoint', `-ethUrl needs 1 to ${MAX_ENDPOINTS} URLs, separated by commas`)
    }
    this.#candidates = options.urls.map((url) => ({
      endpoint: new RpcEndpoint(url, needs),
      state: { kind: 'untried' },
      retryAtMs: 0,
      triedAtMs: 0,
      backoffMs: 0,
      head: null,
      advancedAtMs: 0,
      probing: null,
      isChecked: false,
      refusals: 0,
      unusable: new PassingFailure(
        { message: 'RPC endpoint not usable', over: 'RPC endpoint usable again' },
        { clock: needs.clock, log: needs.log },
      ),
    }))
    this.#chainId = options.chainId
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.#staleAfterMs = options.staleAfterMs ?? DEFAULT_STALE_AFTER_MS
    this.#clock = needs.clock
  }

  /** The chain id that every endpoint must serve; null while none has answered. */
  get chainId(): number | null {
    return this.#chainId
  }

  get size(): number {
    return this.#candidates.length
  }

  /** Whether an endpoint other than these may be worth trying: not if all others are known to be in trouble. */
  hasOther(than: ReadonlySet<Candidate>): boolean {
    return this.#candidates.some((other) => !than.has(other) && this.#mayServe(other))
  }

  /** The healthy endpoints that may be asked soon, preferred ones first, each checked before use if necessary. */
  async *usable(signal?: AbortSignal): AsyncGenerator<Candidate> {
    const inTurn = this.#candidates.toSorted((a, b) => Number(isUsable(b)) - Number(isUsable(a)))
    for (const candidate of inTurn) {
      signal?.throwIfAborted()
      if (!isUsable(candidate) && candidate.retryAtMs <= this.#clock.now()) await this.#probe(candidate)
      if (isUsable(candidate) && candidate.endpoint.pace.blockedMs <= LONG_LIMIT_MS) yield candidate
    }
  }

  /** Asks one endpoint and notes the outcome. */
  async ask(
    candidate: Candidate,
    request: {
      method: string
      params: readonly unknown[]
      sinceMs: number
      signal?: AbortSignal | undefined
    },
  ): Promise<unknown> {
    const { method, params, sinceMs, signal } = request
    const options = { timeoutMs: this.#timeoutMs, patienceMs: PATIENCE_MS, sinceMs, signal }
    try {
      const result = await candidate.endpoint.request(method, params, options)
      this.#noteAnswer(candidate)
      return result
    } catch (error) {
      if (error instanceof ChainError) this.#noteError(candidate, error)
      throw error
    }
  }

  /**
   * The first healthy endpoint that may be asked now. If there is none, checks the others; failing that, the one that
   * may be asked soonest, even if stale. Endpoints that failed this request come last: a healthy endpoint may be unable
   * to answer it.
   */
  async pick(failed: ReadonlySet<Candidate>, signal?: AbortSignal): Promise<Candidate> {
    signal?.throwIfAborted()
    const isFree = (candidate: Candidate) =>
      isUsable(candidate) && !failed.has(candidate) && candidate.endpoint.pace.blockedMs === 0
    const free = this.#candidates.find(isFree)
    if (free) {
      // Preferred endpoints are checked in the background; this request does not wait for them.
      for (const better of this.#candidates.slice(0, this.#candidates.indexOf(free))) {
        if (!isUsable(better) && better.retryAtMs <= this.#clock.now()) void this.#probe(better)
      }
      return free
    }
    const inTurn = this.#candidates.toSorted((a, b) => Number(failed.has(a)) - Number(failed.has(b)))
    const isDesperate = !inTurn.some(isUsable)
    for (const candidate of inTurn.filter((candidate) => !isUsable(candidate))) {
      const againAtMs = isDesperate ? candidate.triedAtMs + DESPERATE_RETRY_MS : candidate.retryAtMs
      if (againAtMs > this.#clock.now() && candidate.probing === null) continue
      await this.#probe(candidate)
      signal?.throwIfAborted()
      if (isFree(candidate)) return candidate
    }
    const usable = inTurn.filter(isUsable).toSorted((a, b) => {
      return (
        Number(failed.has(a)) - Number(failed.has(b)) || a.endpoint.pace.blockedMs - b.endpoint.pace.blockedMs
      )
    })
    const again = usable[0] ?? inTurn.find(({ state }) => state.kind === 'stale')
    if (again) return again
    throw this.nothingAnswers()
  }

  /** Whether an endpoint can stand in for another: not while it is known to be in trouble. */
  #mayServe(candidate: Candidate): boolean {
    if (isUsable(candidate)) return candidate.endpoint.pace.blockedMs === 0
    return candidate.state.kind === 'untried' || candidate.retryAtMs <= this.#clock.now()
  }

  /** Marks an endpoint as in trouble. */
  setAside(candidate: Candidate, error: ChainError): void {
    this.#fail(candidate, kindOf(error), error.message)
    // A restarted server drops its open connections: an immediate check tells it from one that is down.
    candidate.triedAtMs = 0
  }

  /** Records an endpoint's newest block: one that stands still while others advance is stale. */
  sawHead(candidate: Candidate, header: RawHeader): void {
    this.#noteHead(candidate, header)
    const still = this.#clock.now() - candidate.advancedAtMs
    if (still <= this.#staleAfterMs || this.#candidates.length === 1) return
    candidate.advancedAtMs = this.#clock.now()
    void this.#compareWithOthers(candidate, header)
  }

  /** What is known about each endpoint. */
  health(): readonly EndpointHealth[] {
    return this.#candidates.map(({ endpoint, state, head }) => ({
      endpoint: endpoint.label,
      state,
      head: head?.number ?? null,
    }))
  }

  /** Closes connections that are kept open. */
  close(): void {
    for (const { endpoint } of this.#candidates) endpoint.close()
  }

  /** Why there is no endpoint to ask. */
  nothingAnswers(): ChainError {
    const states = this.#candidates.map(({ state }) => state)
    const reasons = states.map((state) => ('reason' in state ? state.reason : 'not tried yet'))
    const all = (kind: EndpointState['kind']) => states.every((state) => state.kind === kind)
    const code = all('wrong-chain') ? 'wrong-chain' : all('slow') ? 'rpc-timeout' : 'rpc-unreachable'
    return new ChainError(code, `no usable RPC endpoint in -ethUrl: ${reasons.join('; ')}`)
  }

  /** Checks an endpoint's chain and freshness and records the result; never throws. */
  #probe(candidate: Candidate): Promise<void> {
    candidate.probing ??= this.#check(candidate).finally(() => {
      candidate.probing = null
    })
    return candidate.probing
  }

  async #check(candidate: Candidate): Promise<void> {
    candidate.triedAtMs = this.#clock.now()
    const request: ChainRequest = (method, params) => this.#probeRequest(candidate, method, params)
    try {
      const chainId = Number(parseQuantity('eth_chainId', await request('eth_chainId', [])))
      this.#chainId ??= chainId
      if (chainId !== this.#chainId) {
        throw new ChainError(
          'wrong-chain',
          `${candidate.endpoint.label} serves chain ${chainId}, this node is on chain ${this.#chainId}`,
        )
      }
      candidate.isChecked = true
      const header = await fetchHeader(request, 'latest')
      if (header === null) throw new ChainError('bad-answer', `${candidate.endpoint.label} has no blocks`)
      this.#noteHead(candidate, header)
      if (this.#isBehind(header)) return this.#fail(candidate, 'stale', this.#behindText(candidate, header))
      this.#noteHealthy(candidate)
    } catch (error) {
      this.#fail(candidate, kindOf(error), messageOf(error))
    }
  }

  /** One request of a check: its time is short, and single refusals are retried. */
  async #probeRequest(candidate: Candidate, method: string, params: readonly unknown[]): Promise<unknown> {
    const timeoutMs = Math.min(PROBE_TIMEOUT_MS, this.#timeoutMs)
    for (let round = 1; ; round++) {
      try {
        return await candidate.endpoint.request(method, params, { timeoutMs, patienceMs: PROBE_TIMEOUT_MS })
      } catch (error) {
        const isFinal = !(error instanceof ChainError) || !isPassing(error) || isUnknownMethod(error)
        if (isFinal || round >= MAX_PROBE_ROUNDS) throw error
        await this.#clock.sleep(PROBE_PAUSE_MS)
      }
    }
  }

  #noteHealthy(candidate: Candidate): void {
    if (candidate.state.kind === 'healthy') return
    candidate.unusable.passed()
    candidate.state = { kind: 'healthy', sinceMs: this.#clock.now() }
  }

  #noteAnswer(candidate: Candidate): void {
    candidate.refusals = 0
    candidate.backoffMs = 0
    if (candidate.state.kind === 'limited') this.#noteHealthy(candidate)
  }

  #noteError(candidate: Candidate, error: ChainError): void {
    const { blockedMs } = candidate.endpoint.pace
    if (error.code === 'rpc-limited' && blockedMs > LONG_LIMIT_MS) {
      this.#fail(candidate, 'limited', error.message)
    } else if (isPassing(error)) {
      candidate.refusals++
      if (candidate.refusals < (error.code === 'rpc-refused' ? MAX_REFUSALS : MAX_SERVER_ERRORS)) return
      if (isUsable(candidate) && this.hasOther(new Set([candidate])))
        this.#fail(candidate, kindOf(error), error.message)
      candidate.refusals = 0
    }
  }

  #fail(candidate: Candidate, kind: EndpointFault, reason: string): void {
    candidate.unusable.failed({ endpoint: candidate.endpoint.label, kind, reason })
    if (candidate.state.kind !== kind) {
      candidate.state = { kind, sinceMs: this.#clock.now(), reason }
    }
    candidate.backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, candidate.backoffMs * 2))
    candidate.retryAtMs = this.#clock.now() + candidate.backoffMs
  }

  /** An endpoint is stale only if another one is ahead: the chain itself may stand still. */
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
    // A future time would make every other endpoint look old.
    const isPast = header.timestamp * 1_000n <= BigInt(this.#clock.now() + MAX_AHEAD_MS)
    if (isPast && header.timestamp > this.#newestTimestamp) this.#newestTimestamp = header.timestamp
  }

  #isBehind(header: RawHeader): boolean {
    return this.#newestTimestamp - header.timestamp > BigInt(Math.ceil(this.#staleAfterMs / 1000))
  }

  #behindText(candidate: Candidate, header: RawHeader): string {
    const seconds = this.#newestTimestamp - header.timestamp
    return `${candidate.endpoint.label} is stale: its newest block is ${seconds} s older than another endpoint's`
  }
}

/** Errors that say nothing about the request: another endpoint may answer it. */
export const TROUBLES: ReadonlySet<string> = new Set([
  'rpc-unreachable',
  'rpc-timeout',
  'bad-answer',
  'wrong-chain',
])

/** Errors that may be temporary: a refusal without a verdict, a server error. */
export function isPassing({ code, details }: ChainError): boolean {
  return code === 'rpc-refused' || (code === 'rpc-unreachable' && Number(details.status) >= 500)
}

/** Whether a transaction may have arrived although no answer to it did. */
export function mayHaveBeenSent({ code, details }: ChainError): boolean {
  return TROUBLES.has(code) && details.wasSent !== false
}

function isHealthy(candidate: Candidate): boolean {
  return candidate.state.kind === 'healthy'
}

/** Whether an endpoint can be asked, at once or later. */
function isUsable({ isChecked, state }: Candidate): boolean {
  return state.kind === 'healthy' || (state.kind === 'limited' && isChecked)
}

function kindOf(error: unknown): EndpointFault {
  if (!(error instanceof ChainError)) return 'down'
  switch (error.code) {
    case 'rpc-timeout':
      return 'slow'
    case 'wrong-chain':
      return 'wrong-chain'
    case 'rpc-limited':
      return 'limited'
    case 'rpc-refused':
      return 'refusing'
    default:
      return 'down'
  }
}
