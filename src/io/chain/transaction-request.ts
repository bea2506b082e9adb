import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { RawLog } from './raw-log.ts'

/** Where transactions outlive the process. */
export interface TransactionStore {
  /** Those in state `open`. */
  openTransactions(account: Address): Promise<StoredTransaction[]>
  /**
   * The newest transactions that were mined on the day of this time or later, at most `most`; absent: a reorganisation while
   * the process is down goes unnoticed.
   */
  minedTransactions?(account: Address, sinceMs: number, most: number): Promise<StoredTransaction[]>
  /** Writes or overwrites by account and nonce; counts the fee, once, of one that is mined. */
  saveTransaction(transaction: StoredTransaction, nowMs: number): Promise<void>
}

/** An account that signs transactions. */
export interface TransactionSigner {
  readonly address: Address
  signTransaction(transaction: {
    type: 'eip1559'
    chainId: number
    nonce: number
    to: Address
    data: Hex
    value: bigint
    gas: bigint
    maxFeePerGas: bigint
    maxPriorityFeePerGas: bigint
  }): Promise<{ raw: Hex; hash: Hex }>
}

/** A transaction to send. */
export interface TransactionRequest {
  readonly purpose: string
  readonly to: Address
  readonly data: Hex
  readonly value?: bigint
  /** Gas limit; absent: estimated. */
  readonly gas?: bigint
  /** The block whose state the gas is estimated at; absent: the endpoint's newest. */
  at?(): Promise<bigint>
  /**
   * The most that its gas may cost, in wei, because that is what it earns; absent: the gas price is limited by
   * `-maxGasPrice`, or what stands for it where that is not set.
   */
  readonly maxCost?: bigint
  /** What is added to the estimate, in percent; absent: enough for most. */
  readonly gasMarginPercent?: bigint
  /** How often it is replaced when it is late; absent: `-maxTransactionReplacements`. */
  readonly maxReplacements?: number
  /**
   * Takes the lowest nonce that is not used, for a higher fee, whatever another process of the account sent under it:
   * for when that is not mined.
   */
  readonly takeOver?: boolean
  /**
   * Asked when the nonce is settled, right before sending: throws when nothing should be sent after all. `foreign` is
   * how many transactions of the account wait that others than this process sent. What another process sends after
   * this question takes the same nonce, so that only one of the two can be mined.
   */
  confirm?(foreign: number, signal: AbortSignal): Promise<void>
}

/** A mined transaction; `success` is false when the contract refused after all. */
export interface MinedTransaction {
  readonly hash: Hex
  readonly nonce: number
  readonly success: boolean
  readonly block: bigint
  /** Wei paid for its gas. */
  readonly fee: bigint
  readonly logs: readonly RawLog[]
}
