import type { Hex } from '../lib/bytes.ts'
import type { Address } from '../lib/crypto.ts'

/**
 * How many blocks must follow a block before the node acts on its contents irrevocably. That outlasts short
 * reorganisations, lagging replicas and an endpoint that is wrong for a while.
 */
export const CONFIRMATIONS = 12n

/** Whether a block is deep enough below the head to count as final. */
export function isConfirmed(block: bigint, head: bigint): boolean {
  return head >= block + CONFIRMATIONS
}

/**
 * A block as the node needs it: its place in the chain, and the L1 block that the protocol counts in (chain.md §10).
 */
export interface ChainHead {
  readonly number: bigint
  readonly hash: Hex
  readonly parentHash: Hex
  readonly l1Block: bigint
  /** Unix seconds. */
  readonly timestamp: bigint
}

/** Events of the protocol's contracts, in the network's words (chain.md §3.3, contracts.md §8, §10). */
export type ChainEvent =
  | { readonly kind: 'new-round'; readonly round: bigint; readonly blockHash: Uint8Array }
  | {
      readonly kind: 'orchestrator-activated' | 'orchestrator-deactivated'
      readonly orchestrator: Address
      readonly round: bigint
    }
  | { readonly kind: 'service-uri-updated'; readonly orchestrator: Address; readonly serviceUri: string }
  | {
      readonly kind: 'deposit-funded' | 'reserve-funded'
      readonly sender: Address
      readonly amount: bigint
    }
  | { readonly kind: 'withdrawal' | 'unlock' | 'unlock-cancelled'; readonly sender: Address }
  | {
      readonly kind: 'winning-ticket-transfer'
      readonly sender: Address
      readonly recipient: Address
      readonly amount: bigint
    }
  | {
      readonly kind: 'winning-ticket-redeemed'
      readonly sender: Address
      readonly recipient: Address
      readonly senderNonce: bigint
      readonly recipientRand: bigint
      readonly ticketFaceValue: bigint
      /** Identifies the ticket (payments.md §3). */
      readonly ticketHash: Hex
    }
  | {
      readonly kind: 'reserve-claimed'
      readonly sender: Address
      readonly claimant: Address
      readonly amount: bigint
    }
  | {
      readonly kind: 'reward'
      readonly orchestrator: Address
      readonly amount: bigint
    }

/** The position of an event in the chain. */
export interface EventPlace {
  readonly block: bigint
  readonly txHash: Hex
  readonly logIndex: number
}

/** One update of the node's view of the chain: the events in chain order, only from the protocol's own contracts. */
export interface ChainUpdate {
  readonly head: ChainHead
  readonly events: readonly (ChainEvent & EventPlace)[]
  /** Whether blocks seen before were removed: everything derived from earlier events must be read again. */
  readonly reorganised: boolean
  /** After a reorganisation, the newest block reported before that is still in the chain; absent if not known. */
  readonly keptTo?: bigint
}

/** The state of the protocol's rounds at one block. */
export interface RoundState {
  readonly lastInitialized: bigint
  /** 32 bytes; zeros if the chain has none (chain.md §10). */
  readonly blockHash: Uint8Array
  /** Of the round before `lastInitialized`; zeros if it was never initialised. */
  readonly previousBlockHash: Uint8Array
  readonly current: bigint
  readonly currentInitialized: boolean
  readonly startL1Block: bigint
  /** L1 blocks. */
  readonly length: bigint
}

/** An orchestrator's state on chain. */
export interface OrchestratorState {
  readonly registered: boolean
  /** In the current round. */
  readonly active: boolean
  readonly activationRound: bigint
  readonly deactivationRound: bigint
  readonly lastRewardRound: bigint
  readonly serviceUri: string
  /** All tokens bonded to it. */
  readonly stake: bigint
}

/** One place in the orchestrators' pool, which is ordered by stake, highest first. */
export interface PoolMember {
  readonly address: Address
  readonly serviceUri: string
  readonly stake: bigint
  readonly activationRound: bigint
  readonly deactivationRound: bigint
}
