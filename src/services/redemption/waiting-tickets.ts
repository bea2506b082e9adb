import { byUrgency, expiryBlock, type RoundClock } from '../../domain/redemption.ts'
import type { Ticket } from '../../domain/ticket.ts'
import { reasonOf, type TicketState } from '../../domain/ticket-state.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import { firstOf } from '../../lib/first-of.ts'

/** A waiting winning ticket, as the operator sees it. */
export interface WaitingTicket {
  readonly hash: Hex
  readonly sender: Address
  /** Wei. */
  readonly faceValue: bigint
  readonly state: TicketState
  /** The first L1 block in which it can no longer be redeemed. */
  readonly expiryBlock: bigint
}

/** A ticket that is neither redeemed nor refused. */
interface Entry {
  readonly id: Hex
  readonly ticket: Pick<Ticket, 'sender' | 'faceValue'> & {
    readonly expirationParams: Pick<Ticket['expirationParams'], 'creationRound'>
  }
  readonly state: TicketState
}

/** The `most` most urgent of these tickets, the first to expire first. */
export function mostUrgent(entries: Iterable<Entry>, most: number, clock: RoundClock): WaitingTicket[] {
  return firstOf(entries, most, (a, b) => byUrgency(a.ticket, b.ticket)).map(({ id, ticket, state }) => ({
    hash: id,
    sender: ticket.sender,
    faceValue: ticket.faceValue,
    state,
    expiryBlock: expiryBlock(ticket.expirationParams.creationRound, clock),
  }))
}

/** The first L1 block in which one of them cannot be redeemed any more, by `state reason`. */
export function firstExpiries(entries: Iterable<Entry>, clock: RoundClock): Map<string, bigint> {
  const rounds = new Map<string, { key: string; round: bigint }>()
  for (const { state, ticket } of entries) {
    const reason = reasonOf(state)
    const { creationRound } = ticket.expirationParams
    // Only open tickets have a reason.
    const known = rounds.get(reason === '' ? state.kind : reason)
    if (!known)
      rounds.set(reason === '' ? state.kind : reason, {
        key: `${state.kind} ${reason}`,
        round: creationRound,
      })
    else if (creationRound < known.round) known.round = creationRound
  }
  return new Map([...rounds.values()].map(({ key, round }) => [key, expiryBlock(round, clock)]))
}
