import type { Hex } from '../lib/bytes.ts'
import type { Address } from '../lib/crypto.ts'

/** What a transaction offers for a unit of gas, in wei (EIP-1559). */
export interface Fees {
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
}

/** One try at getting a transaction mined; all tries share its nonce. */
export interface TransactionAttempt extends Fees {
  readonly hash: Hex
  readonly sentAtMs: number
  /** The most that a replacement may offer for a unit of gas; 0 is no limit; absent in records of earlier versions. */
  readonly limit?: bigint
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
