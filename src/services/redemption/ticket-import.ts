import { ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { formatHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Log } from '../../lib/log.ts'
import type { Service } from '../../lib/service.ts'
import type { TicketRecords } from '../orchestrator/payment-records.ts'

/** Tickets written in one transaction. */
const AT_ONCE = 200

/** Another node's queue of winning tickets. */
export interface ForeignQueue {
  readonly tickets: readonly WinningTicket[]
  /** Why entries were not readable as tickets, one sentence each. */
  readonly unreadable: readonly string[]
}

/**
 * Imports the open winning tickets of the node that ran here before; a known ticket stays as it is. Starts before the
 * redeemer or the outbox, which then finds the tickets on disk.
 */
export class TicketImport implements Service {
  readonly name = 'ticket import'
  readonly #recipient: Address
  readonly #needs: {
    readonly read: () => ForeignQueue
    readonly tickets: Pick<TicketRecords, 'addTickets'>
    readonly clock: Clock
    readonly log: Log
  }

  constructor(
    options: { /** The recipient that tickets must pay. */ recipient: Address },
    needs: {
      read: () => ForeignQueue
      tickets: Pick<TicketRecords, 'addTickets'>
      clock: Clock
      log: Log
    },
  ) {
    this.#recipient = options.recipient
    this.#needs = needs
  }

  /** Resolves when all are on disk. Throws if the queue cannot be read. */
  async start(): Promise<void> {
    const { clock, log, read, tickets } = this.#needs
    const queue = read()
    const ours = queue.tickets.filter(({ recipient }) => recipient === this.#recipient)
    let added = 0
    for (let i = 0; i < ours.length; i += AT_ONCE) {
      added += (await tickets.addTickets(ours.slice(i, i + AT_ONCE), clock.now())).length
    }
    log.info('winning tickets taken over', { found: queue.tickets.length, added, known: ours.length - added })
    for (const ticket of queue.tickets) {
      if (ticket.recipient === this.#recipient) continue
      log.warn('ticket for another recipient not taken over', {
        ticket: formatHex(ticketHash(ticket)),
        recipient: ticket.recipient,
        expected: this.#recipient,
      })
    }
    for (const reason of queue.unreadable) log.error('row of the queue is not a ticket', { reason })
  }
}
