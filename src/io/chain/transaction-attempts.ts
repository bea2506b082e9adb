import type { Fees, StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { ChainError } from './chain-error.ts'
import { type Delivery, deliveryOf } from './delivery.ts'
import { toQuantity } from './raw-header.ts'
import type { Rpc } from './rpc.ts'
import type { TransactionRequest, TransactionSigner } from './transaction-request.ts'

/** A state that moves between estimate and mining must not run a redemption out of gas. */
const GAS_MARGIN_PERCENT = 20n
/** More than any call of the protocol takes. */
const MAX_GAS = 30_000_000n

/** Signs and sends attempts at getting a transaction mined; all attempts at one transaction share its nonce. */
export class TransactionAttempts {
  readonly #rpc: Rpc
  readonly #signer: TransactionSigner
  readonly #clock: Clock
  readonly #pollMs: number
  readonly #used: (signal: AbortSignal) => Promise<number>
  #stop: AbortSignal | undefined

  constructor(needs: {
    rpc: Rpc
    signer: TransactionSigner
    clock: Clock
    /** How long to wait between looks for a transaction whose sending failed, ms. */
    pollMs: number
    /** How many nonces of the account are used. */
    used: (signal: AbortSignal) => Promise<number>
  }) {
    this.#rpc = needs.rpc
    this.#signer = needs.signer
    this.#clock = needs.clock
    this.#pollMs = needs.pollMs
    this.#used = needs.used
  }

  /** Ends all sending when the signal is aborted: what is on disk is sent again at the next start. */
  stopWith(signal: AbortSignal): void {
    this.#stop = signal
  }

  /** The gas limit of a request: what it takes now and a margin. Throws ChainError. */
  async estimate(request: TransactionRequest, signal: AbortSignal): Promise<bigint> {
    const call = {
      from: this.#signer.address,
      to: request.to,
      data: request.data,
      value: toQuantity(request.value ?? 0n),
    }
    // Some endpoints count the pool in, which holds the transaction to be replaced.
    const at = request.takeOver ? 'latest' : request.at && toQuantity(await request.at())
    const params = at ? [call, at] : [call]
    const gas = checkedGas(await this.#rpc.quantity('eth_estimateGas', params, signal))
    return gas + (gas * (request.gasMarginPercent ?? GAS_MARGIN_PERCENT)) / 100n
  }

  /** Signs one more attempt; sends and writes nothing. `limit`: the most that later ones may offer, wei per unit of gas. */
  async add(
    draft: StoredTransaction,
    fees: Fees,
    limit: bigint,
  ): Promise<{ stored: StoredTransaction; raw: Hex }> {
    const { raw, hash } = await this.#sign(draft, fees)
    const attempt = { hash, ...fees, sentAtMs: this.#clock.now(), limit }
    return { stored: { ...draft, attempts: [...draft.attempts, attempt] }, raw }
  }

  /** Signs the newest attempt again, to the same bytes. */
  async signAgain(stored: StoredTransaction): Promise<Hex> {
    return (await this.#sign(stored, stored.attempts.at(-1)!)).raw
  }

  /** Sends a signed transaction; one that the pool has already counts as sent. Throws ChainError. */
  async send(raw: Hex): Promise<void> {
    try {
      await this.#rpc.request('eth_sendRawTransaction', [raw], this.#stop)
    } catch (error) {
      if (!(error instanceof ChainError) || error.code !== 'already-known') throw error
    }
  }

  /** What became of a transaction whose sending failed with this error. */
  deliveryOf(stored: StoredTransaction, error: unknown, signal: AbortSignal): Promise<Delivery> {
    const needs = { rpc: this.#rpc, clock: this.#clock, pollMs: this.#pollMs, used: this.#used }
    return deliveryOf(stored, error, needs, signal)
  }

  async #sign(stored: StoredTransaction, fees: Fees): Promise<{ raw: Hex; hash: Hex }> {
    return this.#signer.signTransaction({
      type: 'eip1559',
      chainId: await this.#rpc.chainId(),
      nonce: stored.nonce,
      to: stored.to,
      data: stored.data,
      value: stored.value,
      gas: stored.gas,
      maxFeePerGas: fees.maxFeePerGas,
      maxPriorityFeePerGas: fees.maxPriorityFeePerGas,
    })
  }
}

/** The gas of an estimate. Throws ChainError `bad-answer` for more than any of the protocol's calls takes. */
export function checkedGas(gas: bigint): bigint {
  if (gas <= MAX_GAS) return gas
  throw new ChainError('bad-answer', `the RPC estimates ${gas} gas, more than the ${MAX_GAS} of any call`)
}
