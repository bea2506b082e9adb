import { equalBytes } from '../lib/bytes.ts'
import { type Address, signedBy, ZERO_ADDRESS } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import { isExpired, type RoundClock } from './redemption.ts'
import {
  isHashable,
  isUint256,
  isWinning,
  recipientRandHash,
  ticketHash,
  type WinningTicket,
} from './ticket.ts'

/** Why a redeemer does not take a ticket that it is handed. None of these can pass away with time. */
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
 * Checks what an orchestrator says is a winning ticket as the chain will (payments.md §13), so that nothing is kept
 * that could never be redeemed. Throws HandedTicketError; the text for another recipient is one that peers know
 * (wire.md §14).
 */
export function checkHandedTicket(
  ticket: WinningTicket,
  context: { /** Whom this redeemer redeems for. */ readonly recipient: Address; readonly clock: RoundClock },
): void {
  const { recipient, clock } = context
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
  const { creationRound } = ticket.expirationParams
  if (isExpired(creationRound, clock)) {
    throw new HandedTicketError(
      'expired',
      `the ticket is of round ${creationRound} and the chain in round ${clock.currentRound}: it has expired`,
    )
  }
  checkWin(ticket)
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
