import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { ChainError, isUnknownMethod } from './chain-error.ts'
import {
  type Candidate,
  type EndpointHealth,
  EndpointPool,
  isPassing,
  mayHaveBeenSent,
  PATIENCE_MS,
  type RpcOptions,
  TROUBLES,
} from './endpoint-pool.ts'
import { type ChainRequest, fetchHeader, parseQuantity, type RawHeader } from './raw-header.ts'

/** One endpoint, kept for several requests that must see the same chain. */
export interface PinnedRpc {
  readonly request: ChainRequest
  /** Notes the newest block seen, so that an endpoint that stands still is noticed. */
  sawHead(header: RawHeader): void
}

/** How many failing endpoints one request may leave. */
const MAX_TROUBLES = 5
/** How often a request that all endpoints refuse is asked again: replicas that lag catch up, caches fill (chain.md §3.4). */
const MAX_ROUNDS = 5
const FIRST_ROUND_PAUSE_MS = 200

/**
 * The connection to the chain over a list of URLs: uses the first healthy one, checks chain id and freshness before an
 * endpoint is used (again), moves on when one is down, slow or stale, and comes back when it recovers.
 */
export class Rpc {
  readonly #pool: EndpointPool
  readonly #clock: Clock

  /** Throws ChainError `bad-endpoint` for an empty list or a URL that cannot be used. */
  constructor(options: RpcOptions, needs: { clock: Clock; log: Log }) {
    this.#pool = new EndpointPool(options, needs)
    this.#clock = needs.clock
  }

  /** The chain's id, once an endpoint has answered. */
  async chainId(signal?: AbortSignal): Promise<number> {
    if (this.#pool.chainId === null) await this.#pool.pick(new Set(), signal)
    return this.#pool.chainId!
  }

  /**
   * Sends one request: to another endpoint if the first is in trouble or refuses it, later if none takes it now. A
   * transaction that may have been sent is not sent again: it throws what went wrong. Throws ChainError.
   */
  request(method: string, params: readonly unknown[] = [], signal?: AbortSignal): Promise<unknown> {
    const sinceMs = this.#clock.now()
    const ask = (candidate: Candidate) => this.#pool.ask(candidate, { method, params, sinceMs, signal })
    const isSending = method === 'eth_sendRawTransaction'
    // The caller decides whether a refused transaction is sent again.
    return this.#overEndpoints(ask, { rounds: isSending ? 1 : MAX_ROUNDS, isSending, signal })
  }

  /** Runs several requests against one endpoint; if it fails, all of them again against another. */
  pinned<Result>(work: (rpc: PinnedRpc) => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const ask = (candidate: Candidate) =>
      work({
        request: (method, params) => this.#insist(candidate, { method, params, signal }),
        sawHead: (header) => this.#pool.sawHead(candidate, header),
      })
    return this.#overEndpoints(ask, { rounds: 1, isSending: false, signal })
  }

  /**
   * Asks two endpoints the same question, where there are several, and returns both answers; one answer, with `isLone`,
   * when all others are out of reach. Throws ChainError: the chain's verdict, or when none answers.
   */
  async askTwo(
    method: string,
    params: readonly unknown[],
    signal?: AbortSignal,
  ): Promise<{ readonly answers: readonly unknown[]; readonly isLone: boolean }> {
    if (this.#pool.size === 1) return { answers: [await this.request(method, params, signal)], isLone: false }
    const answers: unknown[] = []
    for await (const candidate of this.#pool.usable(signal)) {
      try {
        answers.push(await this.#insist(candidate, { method, params, signal, isAlone: () => true }))
      } catch (error) {
        if (!(error instanceof ChainError) || !isOfEndpoint(error)) throw error
        if (TROUBLES.has(error.code)) this.#pool.setAside(candidate, error)
      }
      if (answers.length === 2) return { answers, isLone: false }
    }
    if (answers.length === 0) throw this.#pool.nothingAnswers()
    return { answers, isLone: true }
  }

  /** Closes connections that are kept open. */
  [Symbol.dispose](): void {
    this.#pool.close()
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
    return this.#pool.health()
  }

  /** Asks one endpoint after another until one answers, or all have refused `rounds` times. */
  async #overEndpoints<Result>(
    ask: (candidate: Candidate) => Promise<Result>,
    { isSending, rounds, signal }: { rounds: number; isSending: boolean; signal: AbortSignal | undefined },
  ): Promise<Result> {
    const sinceMs = this.#clock.now()
    const failed = new Set<Candidate>()
    let troubles = 0
    for (let round = 1; ; ) {
      const candidate = await this.#pool.pick(failed, signal)
      try {
        return await ask(candidate)
      } catch (error) {
        if (!(error instanceof ChainError)) throw error
        if (error.code === 'rpc-limited') {
          if (this.#clock.now() - sinceMs >= PATIENCE_MS) throw error
        } else if (isPassing(error) && !(isSending && mayHaveBeenSent(error))) {
          failed.add(candidate)
          if (this.#pool.hasOther(failed)) continue
          if (isUnknownMethod(error) || round >= rounds) {
            if (TROUBLES.has(error.code)) this.#pool.setAside(candidate, error)
            throw error
          }
          failed.clear()
          await this.#clock.sleep(FIRST_ROUND_PAUSE_MS * 2 ** (round - 1), signal)
          round++
        } else if (TROUBLES.has(error.code)) {
          failed.add(candidate)
          this.#pool.setAside(candidate, error)
          if (++troubles >= MAX_TROUBLES || (isSending && mayHaveBeenSent(error))) throw error
        } else throw error
      }
    }
  }

  /** Asks one endpoint again and again, unless another could be asked instead. */
  async #insist(
    candidate: Candidate,
    request: {
      method: string
      params: readonly unknown[]
      signal: AbortSignal | undefined
      isAlone?: () => boolean
    },
  ): Promise<unknown> {
    const { method, signal } = request
    const isAlone = request.isAlone ?? (() => !this.#pool.hasOther(new Set([candidate])))
    const sinceMs = this.#clock.now()
    for (let round = 1; ; ) {
      try {
        return await this.#pool.ask(candidate, { ...request, sinceMs })
      } catch (error) {
        if (!(error instanceof ChainError) || !isAlone()) throw error
        if (error.code === 'rpc-limited' && this.#clock.now() - sinceMs < PATIENCE_MS) continue
        // The log window itself handles refused ranges.
        const isOfRange = method === 'eth_getLogs' && error.code === 'rpc-refused'
        const isFinal = !isPassing(error) || isOfRange || isUnknownMethod(error)
        if (isFinal || round >= MAX_ROUNDS) throw error
        await this.#clock.sleep(FIRST_ROUND_PAUSE_MS * 2 ** (round - 1), signal)
        round++
      }
    }
  }
}

/** Whether an error is about the endpoint, not about the request. */
function isOfEndpoint({ code }: ChainError): boolean {
  return TROUBLES.has(code) || code === 'rpc-refused' || code === 'rpc-limited'
}
