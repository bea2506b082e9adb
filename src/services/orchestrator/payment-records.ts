import type { PricePerPixel, WinningTicket } from '../../domain/ticket.ts'
import type { TicketState } from '../../domain/ticket-state.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Rational } from '../../lib/rational.ts'

/*
 * What payments keep, each behind an interface of its own. All of it may be shared by several processes, so nothing
 * is read, changed and written back: each method is one step that either happens or does not.
 */

/** The purpose of a secret. */
export type SecretPurpose = 'ticket' | 'auth-token' | 'cluster'

/** Secrets of 32 bytes that survive restarts. */
export interface Secrets {
  /** The secrets in use, newest first, at least one: the newest signs, all verify. */
  secrets(purpose: SecretPurpose): Promise<readonly Uint8Array[]>
  /** Adds a secret that signs from now on, unless the newest was made at `notSinceMs` or later; those before it verify on. */
  rotateSecret(purpose: SecretPurpose, notSinceMs: number, nowMs: number): Promise<void>
  /** Retires all secrets but the newest that another replaced at `replacedBeforeMs` or before. */
  retireSecrets(purpose: SecretPurpose, replacedBeforeMs: number, nowMs: number): Promise<void>
}

/** Which nonces were used with which secret number. */
export interface SeenNonces {
  /** The nonces used, and whether the number has been revealed before its params expired. */
  noncesOf(
    recipientRandHash: Uint8Array,
  ): Promise<{ readonly used: ReadonlySet<number>; readonly revealed: boolean }>
  /** Marks a number as revealed: no ticket made with it is accepted from now on. */
  reveal(recipientRandHash: Uint8Array, expirationBlock: bigint): Promise<void>
  /** Deletes all nonces whose params expired at this L1 block or before. */
  forgetNonces(expiredAt: bigint): Promise<void>
}

/** Senders' credit by session, in wei; below zero when work cost more than was paid. */
export interface Balances {
  /** 0 for a session that is not known. */
  balance(sender: Address, sessionId: string): Promise<Rational>
  /** Takes a fee; gives the balance after it. */
  debit(sender: Address, sessionId: string, fee: Rational, nowMs: number): Promise<Rational>
  /**
   * Moves in what is left in the sender's sessions that were idle since `idleSinceMs` once their debts are settled, with
   * the price at which it was paid where this session has none; gives the balance after it. Nothing is written when
   * nothing is left.
   */
  carryOver(sender: Address, sessionId: string, idleSinceMs: number, nowMs: number): Promise<Rational>
  /**
   * What the sender owes: all its balances below zero, less what is left in its sessions that were idle since
   * `idleSinceMs`; never below 0.
   */
  owed(sender: Address, idleSinceMs: number): Promise<Rational>
  /** Forgets sessions idle since `idleSinceMs`, their debts too; what is left in them stays the sender's. */
  forgetSessions(idleSinceMs: number): Promise<void>
}

/** The price that a session keeps from its first payment on. */
export interface SessionPrices {
  price(sender: Address, sessionId: string): Promise<PricePerPixel | null>
  /** Sets the price unless there is one; gives the one that holds. */
  fixPrice(sender: Address, sessionId: string, price: PricePerPixel, nowMs: number): Promise<PricePerPixel>
}

/** All that one payment changes. */
export interface PaymentRecord {
  readonly sender: Address
  readonly sessionId: string
  readonly credit: Rational
  /** How far chance carries what its tickets pay from that: squares of wei, in (2^256 − 1)² parts. */
  readonly variance: bigint
  /** Becomes the session's unless it has one. */
  readonly price: PricePerPixel
  readonly recipientRandHash: Uint8Array
  readonly paramsExpirationBlock: bigint
  readonly nonces: readonly number[]
  readonly winners: readonly WinningTicket[]
  /** A session that is new takes over what is left in those of its sender that were idle since then. */
  readonly idleSinceMs: number
  readonly nowMs: number
}

/** The fee of a segment that is about to begin, to be set aside in its session. */
export interface HoldRequest {
  readonly sender: Address
  readonly sessionId: string
  /** Hash of the segment's bytes, by which another try of the same segment is recognised. */
  readonly segment: Hex
  /** Tells this hold from that of another try; different for each. In a cluster `node/instance/id`. */
  readonly holder: string
  readonly pixels: bigint
  /** Wei per pixel, where the session has no price. */
  readonly price: PricePerPixel
  /** The expected value of a ticket, in wei: the least balance of a sender whose segment is declared to cost nothing. */
  readonly ticketEv: bigint
  /** Wei that the sender has paid so far, as far as is known, this payment included. */
  readonly paid: Rational
  /** It ends by itself after this time, by the clock of the store: when its node crashed. */
  readonly lifeMs: number
  readonly idleSinceMs: number
  readonly nowMs: number
}

/** A fee that is set aside. */
export interface Hold {
  /** Wei per pixel of the session; where it is not above 0, nothing was set aside. */
  readonly price: PricePerPixel
  /** Wei that the segment may cost beyond its fee. */
  readonly overrun: bigint
}

/** What comes with a segment, or alone. */
export interface SegmentStart {
  readonly payment: PaymentRecord | null
  readonly hold: HoldRequest | null
}

/** What became of it. */
export interface SegmentStarted {
  /**
   * The winners of the payment that were not known before. Null: it was not recorded, since a nonce was used, its number is
   * revealed, or it has too many nonces; and nothing was set aside.
   */
  readonly newWinners: readonly WinningTicket[] | null
  /** Null: the balance does not cover the fee. */
  readonly hold: Hold | null
}

/** The end of a segment for which a fee was set aside. */
export interface SegmentEnd
  extends Pick<HoldRequest, 'sender' | 'sessionId' | 'segment' | 'holder' | 'nowMs'> {
  /** Wei to take from the balance; null when no work was done. */
  readonly fee: Rational | null
}

/** Puts payments on disk, and what they are spent for. */
export interface PaymentRecords {
  /**
   * Records the payment (nonces, credit, price and winners, all or nothing), then sets the fee aside if what is left of the
   * balance covers it: the balance without the fees of running segments, and if need be with the credit in idle sessions.
   * Another try of the same segment may use what the first has set aside, as far as its sender may owe that much. Resolves
   * once all is on disk.
   */
  beginSegment(start: SegmentStart): Promise<SegmentStarted>
  /** Frees what was set aside and takes the fee, in one step. */
  endSegment(end: SegmentEnd): Promise<void>
}

/** A winning ticket as it is stored. */
export interface StoredTicket {
  readonly hash: Uint8Array
  readonly ticket: WinningTicket
  readonly state: TicketState
  readonly receivedAtMs: number
}

/** What is told with a change of a ticket's state; it is kept in the ticket's story. */
export interface TicketRemark {
  /** The transaction that it is about, where the state does not name it. */
  readonly txHash?: Hex
  /** The redeemers that took it. */
  readonly redeemer?: string
  /** Why, in the words of whoever refused. */
  readonly says?: string
}

/** How many winning tickets are in one state, for one reason. */
export interface TicketCount {
  readonly state: TicketState['kind']
  readonly reason: string
  readonly count: number
  /** Wei. */
  readonly faceValue: bigint
  /** Wei that were paid, as far as known. */
  readonly paid: bigint
}

/** Keeps winning tickets and how far their redemption has come. Tickets are never deleted. */
export interface TicketRecords {
  /**
   * Adds winning tickets that no recorded payment brought; they are counted as received and won unless another node handed
   * them in. One that is known stays as it is. Gives those that were not known.
   */
  addTickets(
    tickets: readonly WinningTicket[],
    nowMs: number,
    source?: 'unpaid' | 'handedIn',
  ): Promise<readonly WinningTicket[]>
  /**
   * All that are neither redeemed nor refused, some at a time, without those that the caller knows. One that changes its
   * state between two portions may come twice, or not at all.
   */
  unfinishedTickets(isKnown?: (hash: Hex) => boolean): AsyncIterable<readonly StoredTicket[]>
  /** Those found redeemed at this block or later. */
  redeemedSince(block: bigint): Promise<StoredTicket[]>
  saveTicketState(hash: Uint8Array, state: TicketState, nowMs: number, remark?: TicketRemark): Promise<void>
  countTickets(): Promise<TicketCount[]>
}
