import { equalBytes } from '../lib/bytes.ts'
import { type Address, signedBy, ZERO_ADDRESS } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import { isOver, type RoundClock } from './redemption.ts'
import {
  isHashable,
  isUint256,
  isWinning,
  recipientRandHash,
  ticketHash,
  type WinningTicket,
} from './ticket.ts'

/** Why a redeemer refuses a ticket that it is handed. Each of these is permanent: the peer does not try again. */
export type HandedTicketFault =
  | 'wrong-recipient'
  | 'malformed-ticket'
  | 'rand-does-not-match'
  | 'invalid-signature'
  | 'not-winning'
  | 'expired'

/** A refusal of a handed ticket; the message is for the orchestrator's log. */
export class HandedTicketError extends NodeError<HandedTicketFault> {
  override name = 'HandedTicketError'
}

/**
 * Checks what an orchestrator says is a winning ticket as the chain will (payments.md §13), except for its age, so that
 * nothing is kept that could never be redeemed. Throws HandedTicketError; the text for another recipient is one that
 * peers know (wire.md §14).
 */
export function checkHandedTicket(
  ticket: WinningTicket,
  context: { /** Whom this redeemer redeems for. */ readonly recipient: Address },
): void {
  const { recipient } = context
  if (ticket.recipient !== recipient) {
    throw new HandedTicketError(
      'wrong-recipient',
      `invalid ticket recipient ${ticket.recipient.toLowerCase()}, expected ${recipient}`,
    )
  }
  if (!isHashable(ticket) || !isUint256(ticket.recipientRand) || ticket.sig.length !== 65) {
    throw new HandedTicketError(
      'malformed-ticket',
      'the ticket has numbers that do not fit into their fields',
    )
  }
  if (ticket.sender === ZERO_ADDRESS || ticket.faceValue === 0n) {
    throw new HandedTicketError('malformed-ticket', 'the ticket has no sender or pays nothing')
  }
  checkWin(ticket)
}

/**
 * Checks that a ticket can still be redeemed, by a clock that is confirmed. The newest blocks do not count: a short
 * reorganisation or an endpoint that answers wrongly for a while must not end a ticket. Without a confirmed clock every
 * ticket passes. Throws HandedTicketError `expired`.
 */
export function checkAge(ticket: WinningTicket, confirmed: RoundClock | null): void {
  const { creationRound } = ticket.expirationParams
  if (confirmed === null || !isOver(creationRound, confirmed)) return
  throw new HandedTicketError(
    'expired',
    `the ticket of round ${creationRound} has expired: the chain is in round ${confirmed.currentRound}`,
  )
}

/**
 * Checks what no chain is needed for: that the ticket's secret number, signature and luck are what the contract demands
 * (payments.md §13). A ticket that fails here can never be redeemed. Throws HandedTicketError.
 */
export function checkWin(ticket: WinningTicket): void {
  if (!equalBytes(recipientRandHash(ticket.recipientRand), ticket.recipientRandHash)) {
    throw new HandedTicketError('rand-does-not-match', 'invalid recipientRand for ticket recipientRandHash')
  }
  if (!signedBy(ticket.sender, ticketHash(ticket), ticket.sig)) {
    throw new HandedTicketError('invalid-signature', 'invalid ticket signature')
  }
  if (!isWinning(ticket.sig, ticket.recipientRand, ticket.winProb)) {
    throw new HandedTicketError('not-winning', 'the ticket did not win')
  }
}
