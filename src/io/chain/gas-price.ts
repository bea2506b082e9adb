import { ascending, larger, smaller } from '../../lib/bigints.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { gasPriceTooHigh, least } from './fees.ts'
import type { Rpc } from './rpc.ts'

/** Gas price settings, in wei; 0 is none. */
export interface GasPriceOptions {
  /** `-minGasPrice`: the least that ticket params and checks assume. It never raises what is paid. */
  readonly min: bigint
  /** `-maxGasPrice`: nothing is sent while the price is above it. */
  readonly max: bigint
  /** The most that a transaction offers on this network while `max` is 0; absent: that of Ethereum. */
  readonly networkMax?: bigint
  /** How often the chain is asked (chain.md §7: the block polling interval). */
  readonly pollMs: number
}

const GWEI = 10n ** 9n
/** The highest gas prices seen, by network (chain.md §1), with a margin. */
const NETWORK_MAX: ReadonlyMap<number, bigint> = new Map([[42161, 20n * GWEI]])
const OTHER_NETWORK_MAX = 500n * GWEI
/** While `-maxGasPrice` is not set, the most that is paid is this many times the median of the last prices, */
const MEDIAN_FACTOR = 10n
/** and never less than this. */
const LEAST_CEILING = 2n * GWEI
/** A price beyond this many times the median is checked with a second endpoint, where there is one. */
const SURPRISING_FACTOR = 2n
/** How many prices the median is taken of: an hour's, at the default interval. */
const REMEMBERED_PRICES = 720

/** The most that a transaction offers for a unit of gas on a network, in wei, unless `-maxGasPrice` is set. */
export function networkMaxOf(chainId: number): bigint {
  return NETWORK_MAX.get(chainId) ?? OTHER_NETWORK_MAX
}

/** Watches the chain's gas price (chain.md §7). A failed poll keeps the last price. */
export class GasPriceMonitor implements Service {
  readonly name = 'gas price'
  readonly #pollMs: number
  readonly #rpc: Rpc
  readonly #clock: Clock
  readonly #unreadable: PassingFailure
  readonly #networkMax: bigint
  readonly #history: bigint[] = []
  #polled = 0n
  #min: bigint
  #max: bigint

  constructor(options: GasPriceOptions, needs: { rpc: Rpc; clock: Clock; log: Log }) {
    this.#min = options.min
    this.#max = options.max
    this.#pollMs = options.pollMs
    this.#networkMax = options.networkMax ?? OTHER_NETWORK_MAX
    this.#rpc = needs.rpc
    this.#clock = needs.clock
    this.#unreadable = new PassingFailure(
      { message: 'cannot read the gas price, keeping the last one', over: 'gas price read again' },
      needs,
    )
  }

  async start(scope: Scope): Promise<void> {
    await this.#poll(scope.signal)
    scope.spawn('poll', async (signal) => {
      for (;;) {
        await this.#clock.sleep(this.#pollMs, signal)
        await this.#poll(signal)
      }
    })
  }

  /** max(polled, min) in wei; 0 while unknown. */
  get gasPrice(): bigint {
    if (this.#polled === 0n || this.#polled > this.#min) return this.#polled
    return this.#min
  }

  /** The most that is paid for a unit of gas; 0 for no limit. Can be changed while running. */
  get max(): bigint {
    return this.#max
  }

  set max(wei: bigint) {
    this.#max = wei
  }

  /**
   * The most that a transaction that earns nothing may offer for a unit of gas, in wei: the maximum, or while there is none
   * ten times the median price of the last hour, at least 2 gwei, and no more than the network has ever asked for.
   */
  get ceiling(): bigint {
    if (this.#max !== 0n) return this.#max
    return smaller(this.#networkMax, larger(LEAST_CEILING, MEDIAN_FACTOR * this.#median))
  }

  get #median(): bigint {
    const prices = this.#history.toSorted(ascending)
    return prices[prices.length >> 1] ?? 0n
  }

  /** See `GasPriceOptions.min`. Can be changed while running. */
  get min(): bigint {
    return this.#min
  }

  set min(wei: bigint) {
    this.#min = wei
  }

  /** Throws ChainError `gas-price-too-high` when the price is above the maximum. */
  assertBelowMax(): void {
    const price = this.gasPrice
    if (this.#max !== 0n && price > this.#max) throw gasPriceTooHigh(price, this.#max)
  }

  async #poll(signal: AbortSignal): Promise<void> {
    try {
      const price = await this.#rpc.quantity('eth_gasPrice', [], signal)
      const isUsual = price <= SURPRISING_FACTOR * this.#median
      this.#polled = isUsual ? price : await least(this.#rpc, 'eth_gasPrice', signal)
      this.#history.push(this.#polled)
      if (this.#history.length > REMEMBERED_PRICES) this.#history.shift()
      this.#unreadable.passed()
    } catch (error) {
      signal.throwIfAborted()
      this.#unreadable.failed({ gasPriceWei: this.#polled, reason: messageOf(error) })
    }
  }
}
