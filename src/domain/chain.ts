import type { Hex } from '../lib/bytes.ts'
import type { Address } from '../lib/crypto.ts'

/**
 * How many blocks must follow a block before what it holds is acted on for good. Short reorganisations, replicas that
 * lag and an endpoint that answers wrongly for a while are over by then.
 */
export const CONFIRMATIONS = 12n

/** Whether a block is deep enough below the head for what it holds to count for good. */
export function isConfirmed(block: bigint, head: bigint): boolean {
  return head >= block + CONFIRMATIONS
}

/** A block as far as the node cares: its place in the chain and the L1 block that the protocol counts in (chain.md §10). */
export interface ChainHead {
  readonly number: bigint
  readonly hash: Hex
  readonly parentHash: Hex
  readonly l1Block: bigint
  /** Unix seconds. */
  readonly timestamp: bigint
}

/** What the protocol's contracts announced, in the network's words (chain.md §3.3, contracts.md §8, §10). */
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
  | { readonly kind: 'reward'; readonly orchestrator: Address; readonly amount: bigint }

/** Where in the chain an event was found. */
export interface EventPlace {
  readonly block: bigint
  readonly txHash: Hex
  readonly logIndex: number
}

/** One step of the chain as the node has seen it: events in chain order, only from the protocol's own contracts. */
export interface ChainUpdate {
  readonly head: ChainHead
  readonly events: readonly (ChainEvent & EventPlace)[]
  /** Whether blocks seen before are gone: everything derived from earlier events must be read again. */
  readonly reorganised: boolean
  /** After a reorganisation: the newest block told before that is still in the chain; absent where that is not known. */
  readonly keptTo?: bigint
}

/** The protocol's time at one block. */
export interface RoundState {
  readonly lastInitialized: bigint
  /** 32 bytes; zeros where the chain has none (chain.md §10). */
  readonly blockHash: Uint8Array
  /** Of the round before `lastInitialized`; zeros when it was never initialised. */
  readonly previousBlockHash: Uint8Array
  readonly current: bigint
  readonly currentInitialized: boolean
  readonly startL1Block: bigint
  /** L1 blocks. */
  readonly length: bigint
}

/** What the chain knows of an orchestrator. */
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

/** One place of the orchestrators' pool, in the pool's order: most stake first. */
export interface PoolMember {
  readonly address: Address
  readonly serviceUri: string
  readonly stake: bigint
  readonly activationRound: bigint
  readonly deactivationRound: bigint
}
