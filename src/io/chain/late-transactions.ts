import { smaller } from '../../lib/bigints.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { ChainError } from './chain-error.ts'
import { isKnown } from './delivery.ts'
import { readFeeMarket, replacementFor } from './fees.ts'
import { newestHash, type OpenTransaction, type OpenTransactions } from './open-transactions.ts'
import type { Rpc } from './rpc.ts'
import type { TransactionAttempts } from './transaction-attempts.ts'

/** How often a transaction without a receipt is looked for in the pool, and sent again if lost. */
const REBROADCAST_MS = 15_000
/** A transaction that is refused this often for a reason that is not understood, and is in no pool, is given up. */
const MAX_UNKNOWN_REFUSALS = 10

/** Gets transactions mined that are not: replaces the late for a higher fee and sends the lost again. */
export class LateTransactions {
  readonly #timeoutMs: number
  readonly #rpc: Rpc
  readonly #open: OpenTransactions
  readonly #attempts: TransactionAttempts
  readonly #gas: { readonly max: bigint }
  readonly #clock: Clock
  readonly #log: Log

  constructor(
    options: { /** A transaction is late after this time as the account's next one. */ timeoutMs: number },
    needs: {
      rpc: Rpc
      open: OpenTransactions
      attempts: TransactionAttempts
      /** `-maxGasPrice` in wei; 0 for no limit. */
      gasPrices: { readonly max: bigint }
      clock: Clock
      log: Log
    },
  ) {
    this.#timeoutMs = options.timeoutMs
    this.#rpc = needs.rpc
    this.#open = needs.open
    this.#attempts = needs.attempts
    this.#gas = needs.gasPrices
    this.#clock = needs.clock
    this.#log = needs.log
  }

  /** Looks after a transaction that has no receipt. `used`: how many nonces of the account are used. */
  async lookAfter(transaction: OpenTransaction, used: number, signal: AbortSignal): Promise<void> {
    const { attempts, nonce } = transaction.stored
    const now = this.#clock.now()
    transaction.nextSinceMs = used === nonce ? (transaction.nextSinceMs ?? now) : null
    const lateSince = Math.max(transaction.nextSinceMs ?? now, attempts.at(-1)!.sentAtMs)
    const isLate = now - lateSince >= this.#timeoutMs
    if (isLate && transaction.replacements < transaction.maxReplacements) {
      await this.#replace(transaction, signal)
    } else if (now - transaction.broadcastAtMs >= REBROADCAST_MS) {
      await this.#sendAgainIfLost(transaction, signal)
    }
  }

  async #replace(transaction: OpenTransaction, signal: AbortSignal): Promise<void> {
    const previous = transaction.stored.attempts.at(-1)!
    const { max } = this.#gas
    const limit = max === 0n ? transaction.limit : smaller(transaction.limit || max, max)
    const fees = replacementFor(previous, await readFeeMarket(this.#rpc, { isLate: true }, signal), limit)
    if (fees === null) {
      if (!transaction.toldOfMax) {
        this.#log.warn('late transaction not replaced: the maximum gas price does not allow it', {
          hash: previous.hash,
          maxGasPriceWei: limit,
        })
      }
      transaction.toldOfMax = true
      if (this.#clock.now() - transaction.broadcastAtMs >= REBROADCAST_MS)
        await this.#sendAgainIfLost(transaction, signal)
      return
    }
    const { stored, raw } = await this.#attempts.add(transaction.stored, fees, transaction.limit)
    await this.#open.replace(transaction, stored)
    transaction.replacements++
    transaction.broadcastAtMs = this.#clock.now()
    const { purpose } = stored
    this.#log.info('late transaction replaced', {
      ...{ purpose, hash: newestHash(stored) },
      ...{ maxGasPriceWei: fees.maxFeePerGas, tipPriceWei: fees.maxPriorityFeePerGas },
    })
    await this.#attempts.send(raw).catch((error) => this.#noteUnsent(transaction, error, signal))
  }

  async #sendAgainIfLost(transaction: OpenTransaction, signal: AbortSignal): Promise<void> {
    transaction.broadcastAtMs = this.#clock.now()
    const { stored } = transaction
    if (await isKnown(stored, this.#rpc, signal)) return
    this.#log.info('transaction sent again: the pool does not know it', { hash: newestHash(stored) })
    const raw = await this.#attempts.signAgain(stored)
    await this.#attempts.send(raw).catch((error) => this.#noteUnsent(transaction, error, signal))
  }

  /** Sending a replacement, or sending again, failed. */
  async #noteUnsent(transaction: OpenTransaction, error: unknown, signal: AbortSignal): Promise<void> {
    // A nonce too low means that an earlier attempt was mined: the next look finds its receipt.
    if (error instanceof ChainError && error.code === 'nonce-too-low') return
    const delivery = await this.#attempts.deliveryOf(transaction.stored, error, signal)
    if (delivery === 'sent') return
    const { purpose } = transaction.stored
    const facts = { purpose, hash: newestHash(transaction.stored), reason: messageOf(error) }
    this.#log.info('resent transaction may not have arrived', facts)
    if (delivery === 'unknown') transaction.broadcastAtMs = 0
    if (!(error instanceof ChainError) || error.code !== 'rpc-refused') return
    if (++transaction.unknownRefusals < MAX_UNKNOWN_REFUSALS) return
    await this.#open.close(transaction, { state: 'abandoned' })
    this.#log.error('transaction given up: refused each time and in no pool', facts)
    transaction.outcome.reject(error)
  }
}
