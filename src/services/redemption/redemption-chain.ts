import type { WinningTicket } from '../../domain/ticket.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { RedemptionReads } from './redemption-proofs.ts'

/** The chain access for redeeming tickets. */
export interface RedemptionChain extends RedemptionReads {
  isTicketUsed(hash: Uint8Array): Promise<boolean>
  /** What redeeming would pay now, or why it would fail; sends nothing. */
  simulate(ticket: WinningTicket): Promise<Simulation>
  /**
   * Sends the ticket and waits for its receipt. Each ticket is sent once, across restarts too: a second call waits for
   * the first transaction or returns its result.
   */
  redeem(ticket: WinningTicket, options: RedeemOptions, signal: AbortSignal): Promise<RedemptionResult>
}

/** Limits on a redemption. */
export interface RedeemOptions {
  /** The most that may be paid for its gas, in wei. */
  readonly maxCost: bigint
}

/** What redeeming a ticket would bring now. */
export type Simulation =
  | { readonly kind: 'pays'; readonly amount: bigint; readonly gas: bigint }
  | { readonly kind: 'reverts'; readonly reason: string }

/** The outcome of redeeming a ticket. */
export type RedemptionResult =
  | {
      readonly kind: 'mined'
      readonly txHash: Hex
      readonly success: boolean
      /** Wei credited to the recipient, by the contract's event. */
      readonly paid: bigint
      /** Wei spent on gas. */
      readonly fee: bigint
      readonly block: bigint
    }
  /** `why`: the account has too little ether, or anything else. */
  | { readonly kind: 'not-sent'; readonly why: 'no-ether' | 'refused'; readonly reason: string }
  | { readonly kind: 'timed-out'; readonly txHash: Hex }
