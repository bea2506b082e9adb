import type { Hex } from '../lib/bytes.ts'

/** Why a call was not sent. */
export type NotSent =
  /** It has been done meanwhile, or its time is over. */
  | 'not-due'
  /** Another process of this account has a transaction in the pool, possibly the same one. */
  | 'sent-elsewhere'
  /** The contract would revert. */
  | 'refused'
  /** Above `-maxGasPrice`. */
  | 'gas-too-high'
  | 'no-money'
  | 'chain-unavailable'

/** The result of a contract call that this node makes as a duty. */
export type CallResult =
  | {
      readonly kind: 'mined'
      readonly txHash: Hex
      /** False if the transaction reverted. */
      readonly success: boolean
      /** Wei spent on gas. */
      readonly fee: bigint
    }
  /** Sent but not mined yet: another call continues to wait for it. */
  | { readonly kind: 'timed-out'; readonly txHash: Hex }
  | { readonly kind: 'not-sent'; readonly why: NotSent; readonly reason: string }

/** A pending transaction. */
export interface InFlight {
  readonly txHash: Hex
  readonly sentAtMs: number
  /** How often it was sent, each time with higher fees. */
  readonly attempts: number
}
