import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Fees } from './fees.ts'
import type { RawLog } from './raw-log.ts'

/** One try at getting a transaction mined; all tries share its nonce. */
export interface TransactionAttempt extends Fees {
  readonly hash: Hex
  readonly sentAtMs: number
}

/** A transaction as it is kept, from before it is first sent until its nonce is used. */
export interface StoredTransaction {
  readonly account: Address
  readonly nonce: number
  /** What it is for: at most one open transaction has the same. */
  readonly purpose: string
  readonly to: Address
  readonly data: Hex
  readonly value: bigint
  readonly gas: bigint
  readonly attempts: readonly TransactionAttempt[]
  readonly state: 'open' | 'mined' | 'reverted' | 'abandoned'
}

/** Where transactions outlive the process. */
export interface TransactionStore {
  /** Those in state `open`. */
  openTransactions(account: Address): Promise<StoredTransaction[]>
  /** Writes or overwrites by account and nonce. */
  saveTransaction(transaction: StoredTransaction): Promise<void>
}

/** Who signs. */
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

/** What is to be sent. */
export interface TransactionRequest {
  readonly purpose: string
  readonly to: Address
  readonly data: Hex
  readonly value?: bigint
  /** Gas limit; absent: estimated. */
  readonly gas?: bigint
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
