import type { Address } from '../lib/crypto.ts'
import type { Rational } from '../lib/rational.ts'

/** Who must act so that a cause ends. `operator`: whoever runs this machine, whatever the role. */
export type Side = 'operator' | 'gateway' | 'orchestrator' | 'redeemer' | 'transcoder' | 'chain' | 'publisher'

/** An orchestrator and why it is not used: its own words, or those of the error. */
export interface RefusedOffer {
  /** URL. */
  readonly orchestrator: string
  readonly reason: string
}

/** The facts behind each cause, by its code. Amounts are wei, prices wei per pixel. */
export interface CauseFacts {
  // Any role.
  'store-unwritable': { readonly fault: string }
  /** The database of a cluster cannot be used, and the node goes on with the sessions that it knows. */
  'store-away': { readonly why: string; readonly graceMs: number }
  /** Tickets that this node took while the database was away had been shown to another node too. */
  'tickets-shown-twice': { readonly sender: string; readonly tickets: number; readonly worth: Rational }
  /** The store has not renewed the membership in the cluster in time. */
  'membership-lapsed': { readonly silentMs: number; readonly reason: string }
  /** The clock of the database is ahead of this machine's by so much, or behind it below 0. */
  'clock-differs': { readonly aheadMs: number }
  /** A sibling uses the account of this node for another role. */
  'account-in-two-roles': {
    readonly account: string
    readonly roles: readonly string[]
    /** HOST:PORT. */
    readonly sibling: string
    readonly others: readonly string[]
  }
  /** A sibling tried to call this node, as this one asked it to. */
  'cluster-address-unreachable': { readonly address: string; readonly by: string; readonly why: string }
  'sibling-unusable': { readonly sibling: string; readonly error: string }
  'chain-unreachable': { readonly reason: string }
  /** The endpoints answer, but the chain has no new blocks. */
  'chain-standing-still': { readonly block: bigint; readonly silentMs: number }
  /** The account cannot pay for the transactions that its role sends. */
  'no-ether': {
    readonly account: Address
    readonly balanceWei: bigint
    /** For the next calls at the present gas price. */
    readonly neededWei: bigint
    readonly calls: bigint
    readonly gasPriceWei: bigint
  }

  // A gateway that finds no orchestrator for a stream.
  'no-deposit': { readonly account: Address; readonly reserveWei: bigint }
  'no-reserve': { readonly account: Address; readonly depositWei: bigint }
  'funds-unlocking': {
    readonly account: Address
    readonly withdrawRound: bigint
    readonly round: bigint
  }
  /** Offers ask for tickets of a larger face value than the deposit allows. */
  'deposit-too-small': {
    readonly account: Address
    readonly depositWei: bigint
    /** The smallest face value asked for. */
    readonly faceValueWei: bigint
    /** `-depositMultiplier`. */
    readonly multiplier: bigint
    readonly orchestrator: string
    readonly count: number
    readonly of: number
  }
  /** Orchestrators make no offer, since their share of the reserve is too small. */
  'reserve-too-small': {
    readonly account: Address
    readonly reserveWei: bigint
    /** Active orchestrators, among which the reserve is shared. */
    readonly poolSize: bigint
    /** The share that pays for a redemption. */
    readonly neededShareWei: bigint
    readonly orchestrators: readonly string[]
    readonly of: number
  }
  'price-above-maximum': {
    readonly limit: Rational
    /** The lowest price offered. */
    readonly best: Rational
    readonly orchestrator: string
    readonly count: number
    readonly of: number
  }
  'ticket-ev-above-maximum': {
    readonly limitWei: Rational
    /** The lowest expected value of a ticket offered. */
    readonly bestWei: Rational
    readonly orchestrator: string
    readonly count: number
    readonly of: number
  }
  'capability-missing': {
    /** In words. */
    readonly missing: readonly string[]
    readonly orchestrators: readonly string[]
    readonly of: number
  }
  'orchestrators-suspended': {
    readonly orchestrators: readonly (RefusedOffer & {
      /** In words: how long it stays suspended. */
      readonly until: string
    })[]
    readonly of: number
  }
  'orchestrators-silent': { readonly orchestrators: readonly RefusedOffer[]; readonly of: number }
  /** The webhook that lists orchestrators gives no list; `known` of the last one are used on. */
  'orchestrator-webhook-failing': {
    readonly webhook: string
    readonly reason: string
    readonly known: number
  }
  /** One that the operator listed; others may work meanwhile. */
  'orchestrator-unusable': RefusedOffer
  'orchestrators-full': { readonly orchestrators: readonly string[]; readonly of: number }
  'orchestrators-refuse': { readonly orchestrators: readonly RefusedOffer[]; readonly of: number }
  'orchestrators-blocked': { readonly orchestrators: readonly string[]; readonly of: number }
  'orchestrators-busy': { readonly orchestrators: readonly string[] }
  'no-orchestrators': { readonly where: 'listed' | 'webhook' | 'on-chain' }
  'streams-full': { readonly streams: number }
  /** The webhook that lets publishers in gives no answer, or none that can be used. */
  'auth-webhook-failing': { readonly webhook: string; readonly reason: string }
  /** Segments of a recording, `waiting` of them in all its store's recordings, cannot be saved. */
  'recording-failing': { readonly store: string; readonly reason: string; readonly waiting: number }
  /** Segments that are in no recording, since their store was away for too long. */
  'recording-lost': { readonly store: string; readonly stream: string; readonly segments: number }
  /** An object store takes no segments, which are played from this node meanwhile. */
  'object-store-failing': { readonly store: string; readonly reason: string }
  /** The verifier of results gives no verdict; `reason` without what is secret in its URL. */
  'verifier-failing': { readonly verifier: string; readonly reason: string }

  // An orchestrator.
  /** The webhook that lets gateways in gives no answer, or none that can be used. */
  'gateway-webhook-failing': { readonly webhook: string; readonly reason: string }
  'account-not-registered': {
    readonly account: Address
    /** An orchestrator that has set this account as its reward caller; null if none has. */
    readonly rewardCallerOf: Address | null
  }
  'recipient-inactive': { readonly recipient: Address; readonly sender: Address; readonly text: string }
  'sender-underfunded': { readonly sender: Address; readonly text: string }
  'sender-unlocking': { readonly sender: Address; readonly text: string }
  'sender-unknown': { readonly sender: Address; readonly text: string }
  'payment-refused': {
    readonly sender: Address
    /** The code of the refusal. */
    readonly reason: string
    readonly text: string
  }
  'service-uri-differs': {
    readonly account: Address
    readonly serviceUri: string
    readonly registeredUri: string
  }

  // An orchestrator and its transcoders.
  'transcoder-refused': { readonly address: string }
  'not-registered': { readonly orchestrators: readonly string[]; readonly reason: string }

  // An orchestrator and its redeemers.
  'orchestrator-refused': { readonly host: string; readonly why: RedeemerRefusal; readonly text: string }
  'redeemer-away': { readonly redeemer: string; readonly error: string }
  'redeemer-refuses': { readonly redeemer: string; readonly error: string; readonly why: RedeemerRefusal }
}

/** Why a redeemer refuses an orchestrator. */
export type RedeemerRefusal = 'secret' | 'certificate' | 'recipient' | 'not-a-redeemer' | 'other'

/** The code of a cause, also its label in metrics. */
export type CauseCode = keyof CauseFacts

/** What belongs to a code. */
export interface CauseKind<Facts> {
  readonly side: Side
  /** The roles that can meet it. */
  readonly of: readonly string[]
  readonly level?: 'error'
  /** Over after this long without a further occurrence; absent: only its end ends it. */
  readonly passesMs?: number
  /** What the log calls it. */
  readonly title: string
  /** What is wrong, with its numbers. */
  says(facts: Facts): string
  /** What to change. */
  change(facts: Facts): string
}
