import type { NodeEvents } from '../../domain/events.ts'
import { ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { type Leads, whileLeading } from '../../lib/terms.ts'
import type { TicketRecords } from '../orchestrator/payment-records.ts'
import type { OpenTickets } from './open-tickets.ts'
import type { Redeemer } from './redeemer.ts'
import type { WaitingTicket } from './waiting-tickets.ts'

/** What a redeemer in a cluster needs. */
export interface LedRedeemerNeeds {
  /** Whether this process is the one that redeems. */
  readonly leads: Leads
  /** Makes the redeemer of one term, which takes up what earlier leaders left. It must not count pending amounts itself. */
  readonly ofTerm: (epoch: bigint) => Redeemer
  readonly openTickets: OpenTickets
  readonly tickets: Pick<TicketRecords, 'addTickets'>
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
}

/**
 * The redeemer of a cluster, in one of its processes. All of them take winning tickets and write them to the store; the
 * leader finds them there and redeems them.
 */
export class LedRedeemer implements Service {
  readonly name = 'redeemer'
  readonly #needs: LedRedeemerNeeds
  /** Null while another process redeems. */
  #redeemer: Redeemer | null = null

  constructor(needs: LedRedeemerNeeds) {
    this.#needs = needs
  }

  start(scope: Scope): void {
    const { leads, ofTerm, openTickets } = this.#needs
    scope.spawn('redeem while leading', (signal) =>
      whileLeading(
        leads,
        async (epoch, supervisor, term) => {
          const redeemer = ofTerm(epoch)
          openTickets.onNew(() => redeemer.lookForTickets(), term)
          await supervisor.start(redeemer)
          if (term.aborted) return
          this.#redeemer = redeemer
          // What this node won since the redeemer has read the store.
          redeemer.lookForTickets()
          term.addEventListener('abort', () => this.#leave(), { once: true })
        },
        this.#needs,
        signal,
      ),
    )
  }

  /** Whether this process redeems now. */
  get leads(): boolean {
    return this.#redeemer !== null
  }

  /** Takes over a winning ticket of another node and resolves once it is in the store. A known ticket stays as it is. */
  async queue(ticket: WinningTicket): Promise<void> {
    const { clock, tickets } = this.#needs
    this.adopt(await tickets.addTickets([ticket], clock.now(), 'handedIn'))
  }

  /** Takes over winning tickets that this node has just written to the store. */
  adopt(tickets: readonly WinningTicket[]): void {
    this.#needs.openTickets.adopt(tickets)
    if (this.#redeemer) this.#redeemer.adopt(tickets)
    else for (const ticket of tickets) this.#tellWon(ticket)
  }

  /** Whether the cluster has a ticket, open or ended lately. */
  knows(hash: Uint8Array): boolean {
    return this.#needs.openTickets.knows(formatHex(hash)) || (this.#redeemer?.knows(hash) ?? false)
  }

  /** The account has ether again: retries at once what waits for it. */
  funded(): void {
    this.#redeemer?.funded()
  }

  /** Retries one ticket at once. Returns whether it is open; null while another process redeems. */
  retryTicket(id: Hex): boolean | null {
    return this.#redeemer?.retryTicket(id) ?? null
  }

  /** How many tickets of the cluster are neither redeemed nor refused. */
  get openTickets(): number {
    return this.#needs.openTickets.size
  }

  /** The cluster's tickets not redeemed yet, the most urgent first; at most `most`. */
  waiting(most = Number.POSITIVE_INFINITY): WaitingTicket[] {
    return (this.#redeemer ?? this.#needs.openTickets).waiting(most)
  }

  /** By state and reason, the first L1 block in which a ticket cannot be redeemed any more. */
  firstExpiries(): Map<string, bigint> {
    return (this.#redeemer ?? this.#needs.openTickets).firstExpiries()
  }

  #tellWon(ticket: WinningTicket): void {
    const { faceValue, sender } = ticket
    const id = formatHex(ticketHash(ticket))
    this.#needs.events.tell({ kind: 'ticket-won', ticket: id, sender, faceValue })
  }

  #leave(): void {
    this.#redeemer = null
  }
}
