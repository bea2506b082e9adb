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

/** Why a redeemer refuses a ticket handed to it. All of these are permanent. */
export type HandedTicketFault =
  | 'wrong-recipient'
  | 'malformed-ticket'
  | 'rand-does-not-match'
  | 'invalid-signature'
  | 'not-winning'
  | 'expired'

/** A refused ticket. The message is for the orchestrator's log. */
export class HandedTicketError extends NodeError<HandedTicketFault> {
  override name = 'HandedTicketError'
}

/**
 * Checks a winning ticket from an orchestrator as the chain will (payments.md §13), so that nothing is stored that
 * could never be redeemed. Throws HandedTicketError; the text for another recipient is the one that peers know (wire.md
 * §14).
 */
export function checkHandedTicket(
  ticket: WinningTicket,
  context: {
    /** The orchestrator that this redeemer redeems for. */ readonly recipient: Address
    readonly clock: RoundClock
  },
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
      `the ticket of round ${creationRound} has expired: the chain is in round ${clock.currentRound}`,
    )
  }
  checkWin(ticket)
}

/**
 * Checks what needs no chain: that the ticket's rand, signature and draw are what the contract requires (payments.md
 * §13). A ticket that fails can never be redeemed. Throws HandedTicketError.
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
