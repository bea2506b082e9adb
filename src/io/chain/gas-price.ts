import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { gasPriceTooHigh } from './fees.ts'
import type { Rpc } from './rpc.ts'

/** Gas price settings, in wei; 0 is none. */
export interface GasPriceOptions {
  /** `-minGasPrice`: what ticket params and checks reckon with at least. It never raises what is really paid. */
  readonly min: bigint
  /** `-maxGasPrice`: above it nothing is sent. */
  readonly max: bigint
  /** How often the chain is asked (chain.md §7: the block polling interval). */
  readonly pollMs: number
}

/** Watches the chain's gas price (chain.md §7). A failed poll keeps the last price. */
export class GasPriceMonitor implements Service {
  readonly name = 'gas price'
  readonly #pollMs: number
  readonly #rpc: Rpc
  readonly #clock: Clock
  readonly #log: Log
  #polled = 0n
  #min: bigint
  #max: bigint

  constructor(options: GasPriceOptions, needs: { rpc: Rpc; clock: Clock; log: Log }) {
    this.#min = options.min
    this.#max = options.max
    this.#pollMs = options.pollMs
    this.#rpc = needs.rpc
    this.#clock = needs.clock
    this.#log = needs.log
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

  /** The most that is paid for a unit of gas; 0 is no limit. Can be changed while running. */
  get max(): bigint {
    return this.#max
  }

  set max(wei: bigint) {
    this.#max = wei
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
      this.#polled = await this.#rpc.quantity('eth_gasPrice', [], signal)
    } catch (error) {
      signal.throwIfAborted()
      this.#log.warn('gas price not known anew, the last one stays', {
        gasPrice: this.#polled,
        reason: messageOf(error),
      })
    }
  }
}
