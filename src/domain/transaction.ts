import type { Hex } from '../lib/bytes.ts'
import type { Address } from '../lib/crypto.ts'

/** Fees per unit of gas that a transaction offers, in wei (EIP-1559). */
export interface Fees {
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
}

/** One attempt to get a transaction mined; all attempts share its nonce. */
export interface TransactionAttempt extends Fees {
  readonly hash: Hex
  readonly sentAtMs: number
  /** The most that a replacement may offer per unit of gas; 0 for no limit; absent in records of earlier versions. */
  readonly limit?: bigint
}

/** A transaction as stored, from before it is first sent until its nonce is used. */
export interface StoredTransaction {
  readonly account: Address
  readonly nonce: number
  /** Its purpose; at most one open transaction has the same. */
  readonly purpose: string
  readonly to: Address
  readonly data: Hex
  readonly value: bigint
  readonly gas: bigint
  readonly attempts: readonly TransactionAttempt[]
  readonly state: 'open' | 'mined' | 'reverted' | 'abandoned'
  /** Wei paid for its gas; absent while it is not mined, and in records of earlier versions. */
  readonly fee?: bigint
}
