import { z } from 'zod'
import type { Fees, StoredTransaction } from '../../domain/transaction.ts'
import { smaller } from '../../lib/bigints.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import { ChainError, translateRpcError } from './chain-error.ts'
import { offerFor, readFeeMarket } from './fees.ts'
import type { TransactionSender } from './led-transactions.ts'
import { quantitySchema, toQuantity } from './raw-header.ts'
import type { Rpc } from './rpc.ts'
import { checkedGas } from './transaction-attempts.ts'
import type { MinedTransaction, TransactionRequest } from './transaction-request.ts'
import type { GasLimits } from './transactions.ts'

/** A transaction that would be sent. */
export interface PlannedTransaction extends Fees {
  readonly purpose: string
  readonly nonce: number
  readonly to: Address
  readonly data: Hex
  readonly value: bigint
  /** Its gas limit. */
  readonly gas: bigint
  /** The hash of the open transaction of the same purpose, which would be waited for instead. */
  readonly open: Hex | null
}

/** What a call takes whose gas cannot be estimated, since it needs the one before it. */
const ASSUMED_GAS = 1_500_000n
/** How much more may be paid for gas when a transaction is signed later; less is paid if it costs less. */
const LATER_FACTOR = 2n
const DEFAULT_MARGIN_PERCENT = 20n
/** What was used is less than what has to be there while it runs. */
const USED_MARGIN_PERCENT = 100n
const NO_HASH: Hex = `0x${'0'.repeat(64)}`

/**
 * Simulates the transactions of an account in place of sending them, each on the state that those before it leave, and
 * remembers them. The key of the account is not needed.
 */
export class DryTransactions implements TransactionSender {
  readonly simulates = true
  readonly gasLimit: bigint
  readonly open: readonly StoredTransaction[]
  readonly #rpc: Rpc
  readonly #account: Address
  readonly #gas: GasLimits
  readonly #isSignedLater: boolean
  readonly #planned: PlannedTransaction[] = []
  #firstNonce: number | null = null

  /**
   * `open`: the account's transactions that wait to be mined, as far as they are known. `isSignedLater`: they are signed
   * elsewhere, so that the price of gas may have risen when they are sent, and nobody replaces one that is late.
   */
  constructor(
    options: {
      readonly account: Address
      readonly gasLimit: bigint
      readonly open: readonly StoredTransaction[]
      readonly isSignedLater: boolean
    },
    needs: { readonly rpc: Rpc; readonly gasPrices: GasLimits },
  ) {
    this.#account = options.account
    this.gasLimit = options.gasLimit
    this.open = options.open
    this.#isSignedLater = options.isSignedLater
    this.#rpc = needs.rpc
    this.#gas = needs.gasPrices
  }

  /** What would have been sent so far. */
  get planned(): readonly PlannedTransaction[] {
    return this.#planned
  }

  /** Resolves as if the transaction had been mined. Throws ChainError for what would keep it from that. */
  async submit(request: TransactionRequest, signal: AbortSignal): Promise<MinedTransaction> {
    const open = this.open.find(({ purpose }) => purpose === request.purpose)
    const { data, purpose, to, value = 0n } = request
    if (open) {
      const { hash, maxFeePerGas, maxPriorityFeePerGas } = open.attempts.at(-1)!
      const { gas, nonce } = open
      const fees = { maxFeePerGas, maxPriorityFeePerGas }
      this.#planned.push({ purpose, nonce, to, data, value, gas, ...fees, open: hash })
      return minedAs(nonce)
    }
    await request.confirm?.(0, signal)
    this.#gas.assertBelowMax()
    const market = await readFeeMarket(this.#rpc, {}, signal)
    const { ceiling, max } = this.#gas
    const offer = offerFor(market, ceiling, max === 0n ? 'default' : 'flag')
    const fees = this.#isSignedLater
      ? { ...offer, maxFeePerGas: smaller(ceiling, LATER_FACTOR * offer.maxFeePerGas) }
      : offer
    const gas = await this.#gasOf({ ...request, value }, signal)
    const nonce = (await this.#nonce(signal)) + this.#fresh.length
    this.#planned.push({ purpose, nonce, to, data, value, gas, ...fees, open: null })
    return minedAs(nonce)
  }

  /** Nothing is open here that could be joined. */
  join(): null {
    return null
  }

  /** Nothing is open here that could cost more. */
  allow(): void {}

  get #fresh(): readonly PlannedTransaction[] {
    return this.#planned.filter(({ open }) => open === null)
  }

  async #nonce(signal: AbortSignal): Promise<number> {
    this.#firstNonce ??= Math.max(
      Number(await this.#rpc.quantity('eth_getTransactionCount', [this.#account, 'pending'], signal)),
      ...this.open.map(({ nonce }) => nonce + 1),
    )
    return this.#firstNonce
  }

  async #gasOf(
    request: TransactionRequest & { readonly value: bigint },
    signal: AbortSignal,
  ): Promise<bigint> {
    const before = this.#fresh
    if (before.length > 0) {
      const used = await this.#usedAfter(before, request, signal)
      if (this.gasLimit !== 0n) return this.gasLimit
      return used === null ? ASSUMED_GAS : withMargin(used, USED_MARGIN_PERCENT)
    }
    const estimate = checkedGas(await this.#rpc.quantity('eth_estimateGas', [this.#call(request)], signal))
    if (this.gasLimit !== 0n) return this.gasLimit
    return withMargin(estimate, request.gasMarginPercent ?? DEFAULT_MARGIN_PERCENT)
  }

  /**
   * The gas that a call uses once those before it are mined; null where no endpoint simulates several. Throws ChainError
   * for what the contract would say.
   */
  async #usedAfter(
    before: readonly PlannedTransaction[],
    request: TransactionRequest & { readonly value: bigint },
    signal: AbortSignal,
  ): Promise<bigint | null> {
    const calls = [...before, request].map((one) => this.#call(one))
    let answer: unknown
    try {
      answer = await this.#rpc.request('eth_simulateV1', [{ blockStateCalls: [{ calls }] }, 'latest'], signal)
    } catch (error) {
      if (error instanceof ChainError && (error.code === 'rpc-refused' || error.code === 'rejected'))
        return null
      throw error
    }
    const last = simulatedSchema
      .safeParse(answer)
      .data?.at(-1)
      ?.calls.at(calls.length - 1)
    if (!last) throw new ChainError('bad-answer', 'the RPC answered eth_simulateV1 in another form')
    if (last.error) {
      const { code, data, message } = last.error
      throw translateRpcError('eth_call', { code, message, data: data ?? last.returnData })
    }
    return checkedGas(last.gasUsed)
  }

  #call({ data, to, value }: { readonly to: Address; readonly data: Hex; readonly value: bigint }) {
    return { from: this.#account, to, data, ...(value > 0n && { value: toQuantity(value) }) }
  }
}

const simulatedSchema = z.array(
  z.object({
    calls: z.array(
      z.object({
        gasUsed: quantitySchema,
        returnData: z.string().optional(),
        error: z
          .object({ code: z.number().optional(), message: z.string(), data: z.unknown().optional() })
          .optional(),
      }),
    ),
  }),
)

function withMargin(gas: bigint, percent: bigint): bigint {
  return gas + (gas * percent) / 100n
}

function minedAs(nonce: number): MinedTransaction {
  return { hash: NO_HASH, nonce, success: true, block: 0n, fee: 0n, logs: [] }
}
