import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { RawLog } from './raw-log.ts'

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
