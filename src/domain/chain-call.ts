import type { Hex } from '../lib/bytes.ts'

/** Why a call was not sent. */
export type NotSent =
  /** Somebody did it meanwhile, or its time is over. */
  | 'not-due'
  /** Another process of this account has a transaction in the pool, which may be the same. */
  | 'sent-elsewhere'
  /** The contract would revert. */
  | 'refused'
  /** Above `-maxGasPrice`. */
  | 'gas-too-high'
  | 'no-money'
  | 'chain-unavailable'

/** What came of a call of a contract that this node makes as a duty. */
export type CallResult =
  | {
      readonly kind: 'mined'
      readonly txHash: Hex
      /** False when the contract refused after all. */
      readonly success: boolean
      /** Wei spent on gas. */
      readonly fee: bigint
    }
  /** Sent and still watched: calling again goes on waiting for it. */
  | { readonly kind: 'timed-out'; readonly txHash: Hex }
  | { readonly kind: 'not-sent'; readonly why: NotSent; readonly reason: string }

/** A transaction on its way. */
export interface InFlight {
  readonly txHash: Hex
  readonly sentAtMs: number
  /** How often it was sent, each time with a higher fee. */
  readonly attempts: number
}
