import { type CurrencyFeed, ethIsBaseOf, feedPrice } from '../../domain/price.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { readContract } from './client.ts'
import { abis } from './contracts.ts'
import type { Rpc } from './rpc.ts'

/** Why a price feed is of no use. */
export type PriceFeedFault = 'unusable-price-feed'

/** A price and its time. */
interface Quote {
  readonly feed: CurrencyFeed
  /** Unix seconds. */
  readonly updatedAt: bigint
}

const HOUR_MS = 3_600_000
/** payments.md §8: five attempts, the first pause 30 s, then twice as long each time. */
const MAX_ATTEMPTS = 5
const FIRST_PAUSE_MS = 30_000

/** What one currency is worth in ether, as a Chainlink feed has it; read at the start and at each full hour, UTC. */
export class PriceFeed implements Service {
  readonly name = 'price feed'
  readonly #address: Address
  readonly #currency: string
  readonly #rpc: Rpc
  readonly #clock: Clock
  readonly #log: Log
  readonly #listeners = new Listeners<CurrencyFeed>()
  #quote: Quote | null = null

  constructor(options: { address: Address; currency: string }, needs: { rpc: Rpc; clock: Clock; log: Log }) {
    this.#address = options.address
    this.#currency = options.currency
    this.#rpc = needs.rpc
    this.#clock = needs.clock
    this.#log = needs.log
  }

  /** Throws NodeError `unusable-price-feed` when it is another pair's feed, ChainError when it cannot be read. */
  async start(scope: Scope): Promise<void> {
    await this.#read()
    scope.spawn('each hour', async (signal) => {
      for (;;) {
        await this.#clock.sleep(HOUR_MS - (this.#clock.now() % HOUR_MS), signal)
        await this.#readPatiently(signal)
      }
    })
  }

  /** The newest price. Throws NodeError `unusable-price-feed` before the start. */
  get feed(): CurrencyFeed {
    if (!this.#quote)
      throw new NodeError<PriceFeedFault>(
        'unusable-price-feed',
        `no price is available for ETH in ${this.#currency} yet`,
      )
    return this.#quote.feed
  }

  /** Calls the listener with each newer price. */
  subscribe(listener: (feed: CurrencyFeed) => void, signal: AbortSignal): void {
    this.#listeners.add(listener, signal)
  }

  async #readPatiently(signal: AbortSignal): Promise<void> {
    for (let attempt = 1, pauseMs = FIRST_PAUSE_MS; ; attempt++, pauseMs *= 2) {
      try {
        return await this.#read()
      } catch (error) {
        signal.throwIfAborted()
        if (attempt === MAX_ATTEMPTS) {
          this.#log.error('cannot read the price feed, keeping the last price', { reason: messageOf(error) })
          return
        }
        await this.#clock.sleep(pauseMs, signal)
      }
    }
  }

  async #read(): Promise<void> {
    const call = { abi: abis.Aggregator, address: this.#address } as const
    const [description, decimals, round] = await Promise.all([
      readContract(this.#rpc, { ...call, functionName: 'description' }),
      readContract(this.#rpc, { ...call, functionName: 'decimals' }),
      readContract(this.#rpc, { ...call, functionName: 'latestRoundData' }),
    ])
    const ethIsBase = ethIsBaseOf(description, this.#currency)
    const [, answer, , updatedAt] = round
    const feed = { ethIsBase, price: feedPrice(answer, decimals) }
    if (this.#quote && updatedAt <= this.#quote.updatedAt) return
    this.#quote = { feed, updatedAt }
    this.#listeners.tell(feed)
  }
}
