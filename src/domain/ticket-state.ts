import type { Hex } from '../lib/bytes.ts'
import { NodeError } from '../lib/errors.ts'

/** Why a ticket cannot change its state. */
export type TicketStateFault = 'impossible-transition'

/** Why a winning ticket is not being redeemed at the moment. */
export type OpenReason =
  /** Just won: redeeming it while its params are valid would reveal a rand in use. */
  | 'params-live'
  /** The sender's funds do not cover its face value. */
  | 'underfunded'
  /** Redeeming would cost more than it pays. */
  | 'not-worth-gas'
  /** The gas price is above the operator's limit. */
  | 'gas-too-high'
  /** The account cannot pay for the gas. */
  | 'no-ether'
  /** Others of the same sender are in flight and its funds may not cover all of them. */
  | 'after-others'
  /** The chain does not accept it now: its round is not initialised, it is paused, the sender is unlocked … */
  | 'chain-refuses'
  /** The chain cannot be reached. */
  | 'chain-unavailable'
  /** Its transaction was mined and failed. */
  | 'reverted'
  /** It was redeemed in a block that is no longer part of the chain. */
  | 'reorganised'
  /** It should go to a redeemer, but none answers. */
  | 'redeemer-away'
  /**
   * A redeemer answers but cannot take it now: its disk is full, or it has as many of this sender as its funds cover.
   */
  | 'redeemer-unable'
  /** Every redeemer that answers refuses it. */
  | 'redeemer-refuses'

/** Why a winning ticket will never be redeemed. */
export type RefusalReason =
  /** Only time ran out, or the chain could not be reached in time. */
  | 'expired'
  /** The sender's funds did not cover it until it expired. */
  | 'underfunded'
  /** Redeeming it was not worth the gas until it expired. */
  | 'not-worth-gas'
  /** The gas price was above the operator's limit until it expired. */
  | 'gas-too-high'
  /** The chain will never accept it: it is not what its sender signed, or did not win. */
  | 'invalid'

/**
 * The state of a winning ticket. `redeemed` and `refused` are final, except that a reorganisation may reopen a redeemed
 * one.
 */
export type TicketState =
  | { readonly kind: 'open'; readonly reason: OpenReason }
  /** Sent to the chain; the hash is null until a transaction that redeems it is known. */
  | { readonly kind: 'submitted'; readonly txHash: Hex | null }
  /** On a redeemer's disk; its redemption is observed on chain. */
  | { readonly kind: 'delivered' }
  | Redeemed
  | { readonly kind: 'refused'; readonly reason: RefusalReason }

/**
 * A ticket whose redemption is in a confirmed block. The fee is null (unknown) if another account paid it; `paid` is
 * null only in records of earlier versions.
 */
export interface Redeemed {
  readonly kind: 'redeemed'
  readonly txHash: Hex | null
  /** Wei paid to the recipient. */
  readonly paid: bigint | null
  /** Wei spent on gas. */
  readonly fee: bigint | null
  /** An event in a ticket's life. */
  readonly block: bigint
}

/** What can happen to a winning ticket. */
export type TicketEvent =
  | { readonly kind: 'waits'; readonly reason: OpenReason }
  | { readonly kind: 'submitting' }
  | { readonly kind: 'sent'; readonly txHash: Hex }
  | { readonly kind: 'delivered' }
  | { readonly kind: 'redeemed'; readonly redemption: Redeemed }
  | { readonly kind: 'refused'; readonly reason: RefusalReason }
  | { readonly kind: 'undone' }

/** The state of a new winning ticket. */
export const NEW_TICKET: TicketState = { kind: 'open', reason: 'params-live' }

/** The events that are possible in each state. */
const POSSIBLE: Readonly<Record<TicketState['kind'], readonly TicketEvent['kind'][]>> = {
  open: ['waits', 'submitting', 'delivered', 'redeemed', 'refused'],
  submitted: ['waits', 'submitting', 'sent', 'delivered', 'redeemed', 'refused'],
  delivered: ['waits', 'submitting', 'delivered', 'redeemed', 'refused'],
  // A reorganisation may move the redemption to another block.
  redeemed: ['redeemed', 'undone'],
  refused: [],
}

/** The state after an event. Throws NodeError `impossible-transition` if the event is impossible in this state. */
export function nextState(state: TicketState, event: TicketEvent): TicketState {
  if (!POSSIBLE[state.kind].includes(event.kind)) {
    throw new NodeError<TicketStateFault>(
      'impossible-transition',
      `a ticket that is ${state.kind} cannot be ${event.kind}`,
    )
  }
  switch (event.kind) {
    case 'waits':
      return { kind: 'open', reason: event.reason }
    case 'submitting':
      return { kind: 'submitted', txHash: state.kind === 'submitted' ? state.txHash : null }
    case 'sent':
      return { kind: 'submitted', txHash: event.txHash }
    case 'delivered':
      return { kind: 'delivered' }
    case 'redeemed':
      return event.redemption
    case 'refused':
      return { kind: 'refused', reason: event.reason }
    case 'undone':
      return { kind: 'open', reason: 'reorganised' }
  }
}

/** Whether the state is final, short of a reorganisation. */
export function isFinal(state: TicketState): boolean {
  return state.kind === 'redeemed' || state.kind === 'refused'
}

/** The reason in a state, or '': for counters and for the disk. */
export function reasonOf(state: TicketState): OpenReason | RefusalReason | '' {
  return state.kind === 'open' || state.kind === 'refused' ? state.reason : ''
}

/** Why a ticket that waits for this reason is refused when it expires. */
export function refusalAtExpiry(state: TicketState): RefusalReason {
  if (state.kind !== 'open') return 'expired'
  switch (state.reason) {
    case 'underfunded':
    case 'not-worth-gas':
    case 'gas-too-high':
      return state.reason
    default:
      return 'expired'
  }
}
